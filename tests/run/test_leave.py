"""A run that does not end is left at the third Ctrl-C, and its faults come out all the same."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hanging_controller import FAULT

ROOT = Path(__file__).parents[2]


def until(there: Callable[[], bool], within_s: float = 60) -> bool:
    deadline_s = time.monotonic() + within_s
    while not there():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def hanging(folder: Path, hangs: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hanging_controller", str(folder / "r"), hangs],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"hangs\n"
    return process


def reaped(folder: Path) -> bool:
    path = folder / "r" / "reaper.jsonl"
    return path.exists() and b"reaper.ended" in path.read_bytes()


@pytest.mark.parametrize("hangs", ["loop", "task", "shield", "thread", "pipe"])
def test_the_third_ctrl_c_ends_it_whatever_it_hangs_in_and_the_reaper_takes_the_fault_out(
    tmp_path: Path, hangs: str
) -> None:
    process = hanging(tmp_path, hangs)
    for _ in range(3):
        time.sleep(0.1)  # as quickly as somebody presses; signals that come at once are one
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 6, said  # it was not seen gone
    assert b"third Ctrl-C" in said
    assert b"gameday heal" in said
    assert until(lambda: reaped(tmp_path))
    assert not (tmp_path / "r" / FAULT).exists()


def test_with_no_fault_in_it_is_an_abort_and_no_more(tmp_path: Path) -> None:
    process = hanging(tmp_path, "before")
    for _ in range(3):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 5
    assert until(lambda: reaped(tmp_path))


def test_two_are_no_more_than_one_and_three_must_come_quickly(tmp_path: Path) -> None:
    process = hanging(tmp_path, "task")
    for wait_s in (0.1, 0.1, 2.2):
        time.sleep(wait_s)
        process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    journal = (tmp_path / "r" / "journal.jsonl").read_bytes()
    assert journal.count(b"operator.abort") == 1
    process.kill()
    process.communicate(timeout=60)
    assert until(lambda: reaped(tmp_path))
