"""Whole runs whose fault is a command of the system file: felt, taken back, and never left in."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_shop import gameday, relayed, run_arguments, write_files
from tests.support.foreign_runs import shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A shop that can be cut off."""
    with shop(tmp_path, stock=100_000) as behind, relayed(tmp_path, behind) as url:
        yield url


def finished(folder: Path, runs: str = "runs") -> tuple[int, str, dict[str, Any]]:
    """Exit code, output and result of a run."""
    running = gameday(folder, *run_arguments(folder, runs))
    said, _ = running.communicate(timeout=120)
    result = next((folder / runs).glob("*/result.json"), None)
    return running.returncode, said, json.loads(result.read_bytes()) if result else {}


def test_a_command_is_a_fault_that_is_felt_and_proven_out(tmp_path: Path, url: str) -> None:
    write_files(tmp_path, url)
    code, said, result = finished(tmp_path)
    (fault,) = result["faults"]
    assert (fault["injected"], fault["removed"]) == ("yes", "yes"), said
    assert code in (0, 1), said  # whether the refusals break an objective is not asked here
    assert (tmp_path / "acts").read_text() == "in\nout\n"
    journal = next((tmp_path / "runs").glob("*/journal.jsonl")).read_text()
    assert '"kind": "command"' in journal
    assert "rm -f cut" not in journal  # a record has the sum of an argv, and not the argv


def test_without_a_check_the_traffic_tells_that_it_is_in_and_nothing_that_it_is_out(
    tmp_path: Path, url: str
) -> None:
    write_files(tmp_path, url, check=None)
    code, said, result = finished(tmp_path)
    (fault,) = result["faults"]
    assert (fault["injected"], fault["removed"]) == ("yes", "unknown"), said
    assert code in (1, 3)
    assert not (tmp_path / "cut").exists()


def test_a_command_that_nobody_feels_is_not_called_injected(tmp_path: Path, url: str) -> None:
    write_files(tmp_path, url, run=["sh", "-c", "echo in >> acts"], check=None)
    _, said, result = finished(tmp_path)
    assert result["faults"][0]["injected"] == "unknown", said


def test_a_command_from_outside_the_project_is_not_run_unasked(tmp_path: Path, url: str) -> None:
    write_files(tmp_path, url)
    (tmp_path / "elsewhere").mkdir()
    running = gameday(tmp_path, *run_arguments(tmp_path), here=tmp_path / "elsewhere")
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 2, said
    assert "outside this project" in said
    assert not (tmp_path / "acts").exists()
    for flags in (["--allow-commands"], []):  # agreed to once, it is not asked again
        arguments = ["plan", *run_arguments(tmp_path)[1:], *flags]
        told = gameday(tmp_path, *arguments, here=tmp_path / "elsewhere")
        said, _ = told.communicate(timeout=60)
        assert told.returncode == 0, said
        assert ("has these commands run" in said) is bool(flags)
    write_files(tmp_path, url, undo=["true"])
    told = gameday(tmp_path, "plan", *run_arguments(tmp_path)[1:], here=tmp_path / "elsewhere")
    said, _ = told.communicate(timeout=60)
    assert told.returncode == 2, said


def test_the_plan_prints_what_would_be_run_and_runs_only_the_check(
    tmp_path: Path, url: str
) -> None:
    write_files(tmp_path, url)
    told = gameday(tmp_path, "plan", *run_arguments(tmp_path)[1:])
    said, _ = told.communicate(timeout=60)
    flat = " ".join(said.split())
    assert told.returncode == 0, said
    assert 'command cut is run: ["sh", "-c", "echo in >> acts; touch cut"]' in flat
    assert "rm -f cut; echo out >> acts" in flat
    assert not (tmp_path / "acts").exists()


@pytest.mark.parametrize("moment", ["at work", "in", "stopped"])
def test_a_killed_controller_leaves_the_undo_to_the_reaper(
    tmp_path: Path, url: str, moment: str
) -> None:
    slow = ["sh", "-c", "echo in >> acts; touch cut; sleep 2; echo late >> acts"]
    write_files(tmp_path, url, **({"run": slow} if moment == "at work" else {}))
    running = gameday(tmp_path, *run_arguments(tmp_path))
    try:
        wait_for(lambda: (tmp_path / "cut").exists(), running)
        if moment == "in":
            wait_for(lambda: "fault.injected" in journals(tmp_path), running)
        os.kill(running.pid, signal.SIGSTOP if moment == "stopped" else signal.SIGKILL)
        wait_for(lambda: not (tmp_path / "cut").exists(), None)
        wait_for(lambda: '"fault.removed"' in journals(tmp_path, "reaper"), None)
    finally:
        running.kill()
        running.communicate()
    wait_for(lambda: '"reaper.ended"' in journals(tmp_path, "reaper"), None)
    assert not (tmp_path / "cut").exists()
    assert "late" not in (tmp_path / "acts").read_text()
    assert (tmp_path / "acts").read_text().startswith("in\nout\n")
    healing = gameday(tmp_path, "heal", "--runs", str(tmp_path / "runs"))
    said, _ = healing.communicate(timeout=60)
    assert healing.returncode == 0, said


def test_an_abort_ends_a_command_that_is_at_work_and_takes_it_back(
    tmp_path: Path, url: str
) -> None:
    slow = ["sh", "-c", "echo in >> acts; touch cut; sleep 25; echo late >> acts"]
    write_files(tmp_path, url, run=slow, within="30s")
    running = gameday(tmp_path, *run_arguments(tmp_path))
    wait_for(lambda: (tmp_path / "cut").exists(), running)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 5, said
    assert not (tmp_path / "cut").exists()
    assert (tmp_path / "acts").read_text().startswith("in\nout\n")
    assert "late" not in (tmp_path / "acts").read_text()


def journals(folder: Path, name: str = "journal") -> str:
    return "".join(path.read_text() for path in (folder / "runs").glob(f"*/{name}.jsonl"))


def wait_for(condition: Any, running: "subprocess.Popen[str] | None") -> None:
    """Wait until it holds; fail when the run ends before that."""
    deadline = time.monotonic() + 90
    while not condition():
        over = running is not None and running.poll() is not None
        assert not over, "it ended too early"
        assert time.monotonic() < deadline
