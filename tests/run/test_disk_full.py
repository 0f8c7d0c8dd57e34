"""Runs whose disk fills up: at the start, in the fault, at the end. The fault always comes out.

The run directory lies on a disk of a few MiB of its own, which only root can mount. What the
controller alone cannot write is tried without root, by the limit that the kernel keeps for the
size of a process's files.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gameday.evidence import journal
from gameday.evidence.read import read as read_evidence
from gameday.injection import heal as healing
from gameday.judge.judge import judge

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
LINUX = sys.platform == "linux"


@dataclass
class Started:
    """A run under way, and where it writes."""

    process: "subprocess.Popen[bytes]"
    runs: Path
    told: list[str] = field(default_factory=list)

    @property
    def dir(self) -> Path:
        return next(self.runs.iterdir())

    def events(self) -> list[str]:
        path = next(self.runs.glob("*/journal.jsonl"), None)
        return [] if path is None else [r.event.kind for r in journal.read(path).records]

    def finish(self) -> tuple[int, str]:
        if not self.told:
            out, err = self.process.communicate(timeout=200)
            self.told.append((out + err).decode())
        return self.process.returncode, self.told[0]


def run_on(folder: Path, state: Path, *arguments: str) -> Started:
    command = [sys.executable, "-m", "gameday", "run", "redis-slow", "--short", *arguments]
    process = subprocess.Popen(
        [*command, "--runs", str(folder / "runs")],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return Started(process, folder / "runs")


def until(condition: Callable[[], object], run: Started, within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert run.process.poll() is None, run.finish()
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path, leave: int = 0) -> None:
    """Take all the room but `leave` bytes."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    if leave:
        os.truncate(path, path.stat().st_size - leave)


def judged(run: Started) -> Any:
    return judge(read_evidence(run.dir))


def test_a_disk_that_is_full_before_the_run_is_bad_usage(small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk / "filler")
    code, told = run_on(small_disk, tmp_path / "state").finish()
    assert code in (2, 4), told  # found by the look before the run, or by the run itself
    assert "make room" in told
    assert "Traceback" not in told


def test_a_disk_that_fills_up_in_the_fault_ends_the_run_with_the_fault_out(
    small_disk: Path, tmp_path: Path
) -> None:
    run = run_on(small_disk, tmp_path / "state")
    until(lambda: "fault.injected" in run.events(), run)
    fill(small_disk / "filler")
    code, told = run.finish()
    result = judged(run)
    assert code == result.exit_code, told
    assert code in (4, 5), told
    assert result.ended in ("interrupted", "unhealthy"), told
    assert "fault.removed" in run.events(), told
    assert not any(f.left_behind for f in read_evidence(run.dir).timeline.faults)
    assert "Traceback" not in told
    assert "No space left" in told or "the collector died" in told, told
    # Who meets the full disk first is open: the collector, whose samples then lack their end, or
    # the journal, whose reserve may carry all to the end. What is lost is named, or all is there.
    whole = run.events()[-1] == "run.ended" and not journal.read(run.dir / "journal.jsonl").damage
    assert result.missing or whole, told
    assert not [left for left in healing.left_behind(_records(run)) if left.owner != "step"]


def _records(run: Started) -> Any:
    return journal.read(run.dir / "journal.jsonl").records


def test_a_disk_that_fills_up_at_the_end_costs_the_verdict_and_nothing_else(
    small_disk: Path, tmp_path: Path
) -> None:
    run = run_on(small_disk, tmp_path / "state")
    until(lambda: "fault.proven" in run.events(), run)
    fill(small_disk / "filler")
    code, told = run.finish()
    result = judged(run)
    assert code == result.exit_code, told
    assert code in (3, 4, 5), told
    assert result.verdict != "passed"
    assert "run.ended" in run.events(), told
    assert "Traceback" not in told


@pytest.mark.skipif(not LINUX, reason="only Linux sets the limits of another process")
def test_a_journal_that_may_not_grow_any_more_leaves_the_fault_out_and_says_6(
    tmp_path: Path,
) -> None:
    """No room was set aside for this: the removal is done and cannot be written down."""
    run = run_on(tmp_path, tmp_path / "state")
    until(lambda: "fault.injected" in run.events(), run)
    size = (run.dir / "journal.jsonl").stat().st_size
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size, size))
    code, told = run.finish()
    assert code == 6, told
    assert "File too large" in told
    assert "gameday heal" in told
    assert "Traceback" not in told
    assert judged(run).exit_code == 6
    heal = [sys.executable, "-m", "gameday", "heal", str(run.dir)]
    own = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}  # where the key of the run is
    healed = subprocess.run(heal, capture_output=True, check=False, cwd=ROOT, env=own)
    assert healed.returncode == 0, healed
    assert json.loads(judged(run).to_bytes())
