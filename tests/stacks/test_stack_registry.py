"""A stack is right everywhere by its entry alone: a made-up one, in real commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.core.errors import ExitCode

ENTRY = """
import sys
from gameday.core.stack_registry import STACKS, StackEntry
STACKS["pods"] = StackEntry(
    owned={owned}, starts_components=False, shares_machine=False,
    kinds=frozenset({kinds}), made_by="{made_by}",
)
from gameday.__main__ import main
sys.argv = ["gameday", "plan", "{experiment}", "--short", "--stack", "pods", "--runs", "{runs}"]
main()
"""
PERSISTENT = "gameday.stacks.persistent:PersistentStack"


def plan(
    tmp_path: Path, *, owned: bool, kinds: set[str], made_by: str = PERSISTENT
) -> subprocess.CompletedProcess[str]:
    code = ENTRY.format(
        owned=owned,
        kinds=kinds,
        made_by=made_by,
        experiment="redis-slow",
        runs=tmp_path / "runs",
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )


@pytest.mark.parametrize(("owned", "code"), [(True, ExitCode.UNHEALTHY), (False, ExitCode.UNKNOWN)])
def test_its_failures_end_as_its_owner_must_know(
    tmp_path: Path, owned: bool, code: ExitCode
) -> None:
    done = plan(tmp_path, owned=owned, kinds={"toxic", "proxy", "traffic", "request"})
    assert done.returncode == code, done.stdout + done.stderr


def test_a_change_that_it_cannot_make_is_refused(tmp_path: Path) -> None:
    done = plan(tmp_path, owned=True, kinds={"traffic"})
    assert done.returncode == ExitCode.USAGE
    assert "the pods stack cannot do" in " ".join(done.stdout.split())


def test_one_that_nothing_makes_is_not_built_yet(tmp_path: Path) -> None:
    done = plan(tmp_path, owned=True, kinds={"toxic"}, made_by="")
    assert done.returncode == ExitCode.USAGE
    assert "the pods stack is not built yet" in done.stderr
