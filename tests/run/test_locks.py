"""One run per target: a lock that a dead process cannot hold, and a socket to reach the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.run import locks
from gameday.run.locks import Presence, Reply, RunCommand, TargetClosed, TargetLock, UnderWay

HOLD = """
import sys
from pathlib import Path
from gameday.run.locks import TargetLock
with TargetLock("http://s", "http://t", "first", Path(".")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def lock(run: str = "second", base_url: str = "http://s") -> TargetLock:
    return TargetLock(base_url, "http://t", run, Path("runs"))


def test_a_second_run_on_the_same_target_is_refused_and_names_the_first() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert [r.run for r in locks.running()] == ["first"]
        with pytest.raises(UsageError, match="run first .*already uses this target"), lock():
            pass
        with lock(base_url="http://another"):
            pass
        holder.kill()
    with lock():
        assert [r.run for r in locks.running()] == ["second"]
    assert locks.running() == []


def test_what_holds_a_target_without_being_a_run_is_named_and_not_listed() -> None:
    with TargetClosed("http://s", "http://t", "gameday down"):
        assert locks.running() == []
        with pytest.raises(UsageError, match="gameday down .*already uses this target"), lock():
            pass


def test_the_refusal_says_how_to_end_the_first() -> None:
    with lock("first"), pytest.raises(UsageError) as caught, lock():
        pass
    assert caught.value.help == "gameday stop first ends it"


async def test_another_terminal_is_answered() -> None:
    heard: list[RunCommand] = []

    def answer(order: RunCommand) -> Reply:
        heard.append(order)
        return Reply(ok=True, run="second")

    with Presence("second", Path("runs")) as held:
        server = await locks.serve(held.socket, answer)
        assert held.socket.stat().st_mode & 0o077 == 0
        (run,) = locks.running()
        assert run.has_controller
        told = await locks.send_order(run, RunCommand("ack", "ann"))
        server.close()
        await server.wait_closed()
    assert told == Reply(ok=True, run="second")
    assert heard == [RunCommand("ack", "ann")]
    assert not held.socket.exists()


def test_a_run_is_listed_once_and_found_where_its_evidence_is(tmp_path: Path) -> None:
    with Presence("r", tmp_path), lock("r"):
        (run,) = locks.running()
        assert run.has_controller
        assert run.dir.name == "r"
    with lock("r"):
        assert [r.has_controller for r in locks.running()] == [False]


def test_the_presence_of_a_killed_run_is_cleared_away(tmp_path: Path) -> None:
    hold_it = HOLD.replace("TargetLock", "Presence").replace('"http://s", "http://t", ', "")
    with subprocess.Popen(
        [sys.executable, "-c", hold_it], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert [r.run for r in locks.running()] == ["first"]
        holder.kill()
    assert locks.running() == []
    assert not list((tmp_path / "gameday" / "targets").iterdir())


def test_a_path_too_long_for_a_socket_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("deep" * 20)))
    with Presence("r", tmp_path) as held:
        assert len(str(held.socket)) <= locks.SOCKET_BYTES_MAX


async def test_a_run_that_does_not_answer_is_told(tmp_path: Path) -> None:
    run = UnderWay("x", 1, tmp_path / "x", tmp_path / "none.sock", has_controller=True)
    with pytest.raises(UsageError, match="run x does not answer"):
        await locks.send_order(run, RunCommand("ack"))
