"""Go / no-go conditions, asked of real programs; those of PromQL stand in `test_asking`."""

import asyncio
import os
from pathlib import Path

import pytest

from gameday.calendar.conditions import Answered, Asker, ask
from gameday.spec.day import Condition
from gameday.spec.inputs import find_system, load_system

SYSTEM = load_system(find_system(None)).system


def answered(**keys: object) -> Answered:
    condition = Condition.model_validate({"name": "calm", **keys})
    return asyncio.run(ask(condition, Asker(SYSTEM, Path.cwd(), os.environ)))


@pytest.mark.parametrize(
    ("command", "go", "why"),
    [
        (["true"], True, "exit status 0"),
        (["sh", "-c", "echo first; echo last; exit 3"], False, "exit status 3: last"),
        (["sh", "-c", "kill -9 $$"], False, "ended by signal 9"),
        (["no-such-program"], False, "cannot be run"),
        (["sh", "-c", "printf '\\377\\n'"], True, "\ufffd"),
    ],
)
def test_a_command_means_go_when_it_ends_well(command: list[str], go: bool, why: str) -> None:
    found = answered(command=command)
    assert found.go is go
    assert why in found.why


def test_a_command_has_no_shell() -> None:
    assert answered(command=["echo", "$(false)"]).why == "exit status 0: $(false)"


def test_what_a_command_says_is_bounded() -> None:
    found = answered(command=["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"])
    assert found.go
    assert len(found.why) < 300


def test_a_command_that_does_not_end_is_no_go_and_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    here = tmp_path / "child"
    script = f"sleep 1000 & echo $! > {here}; wait"
    found = answered(command=["sh", "-c", script], timeout="500ms")
    assert not found.go
    assert "no answer" in found.why
    with pytest.raises(ProcessLookupError):
        while True:  # it is reaped by init a moment after it was killed
            stat = Path("/proc", here.read_text().strip(), "stat")
            if stat.parent.exists() and stat.read_text().split()[2] == "Z":
                raise ProcessLookupError
            os.kill(int(here.read_text()), 0)


def test_a_day_that_is_stopped_waits_for_no_answer() -> None:
    condition = Condition.model_validate({"name": "a", "command": ["sleep", "1000"]})
    by = Asker(SYSTEM, Path.cwd(), os.environ, stopped=lambda: True)
    found = asyncio.run(ask(condition, by))
    assert not found.go
    assert "the day ends" in found.why


def test_a_command_that_leaves_something_behind_is_not_waited_for() -> None:
    found = answered(command=["sh", "-c", "sleep 1000 & echo fine"], timeout="20s")
    assert found.go
    assert found.why == "exit status 0: fine"


def test_a_command_runs_in_the_folder_of_its_file_or_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("gamedays", "called"):
        (tmp_path / folder / "bin").mkdir(parents=True)
        script = tmp_path / folder / "bin" / f"of-{folder}"
        script.write_text("#!/bin/sh\npwd\n")
        script.chmod(0o700)
    monkeypatch.chdir(tmp_path / "called")

    def where(*argv: str) -> str:
        condition = Condition.model_validate({"name": "calm", "command": argv})
        by = Asker(SYSTEM, tmp_path / "gamedays", os.environ)
        return asyncio.run(ask(condition, by)).why

    assert where("bin/of-gamedays") == f"exit status 0: {tmp_path}/gamedays"
    assert where("bin/of-called") == f"exit status 0: {tmp_path}/called"
    assert where("sh", "bin/of-called") == f"exit status 0: {tmp_path}/called"
    assert where("pwd") == f"exit status 0: {tmp_path}/gamedays"
    assert "cannot be run" in where("bin/of-nobody")
