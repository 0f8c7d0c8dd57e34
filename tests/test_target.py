"""One run per target: a lock that a dead process cannot hold, and a socket to reach the run."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gameday.controller import target
from gameday.controller.target import TargetLock
from gameday.errors import UsageError

HOLD = """
import sys
from pathlib import Path
from gameday.controller.target import TargetLock
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
        assert [r["run"] for r in target.running()] == ["first"]
        with pytest.raises(UsageError, match="run first .*already uses this target"), lock():
            pass
        with lock(base_url="http://another"):
            pass
        holder.kill()
    with lock():
        assert [r["run"] for r in target.running()] == ["second"]
    assert target.running() == []


async def test_another_terminal_is_answered() -> None:
    heard: list[Mapping[str, Any]] = []

    def answer(order: Mapping[str, Any]) -> Mapping[str, Any]:
        heard.append(order)
        return {"ok": True, "run": "second"}

    with lock() as held:
        server = await target.serve(held.socket, answer)
        assert held.socket.stat().st_mode & 0o077 == 0
        told = await target.tell(target.running()[0], {"cmd": "ack", "by": "ann"})
        server.close()
        await server.wait_closed()
    assert told == {"ok": True, "run": "second"}
    assert heard == [{"cmd": "ack", "by": "ann"}]
    assert not held.socket.exists()


def test_a_path_too_long_for_a_socket_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("deep" * 20)))
    with lock() as held:
        assert len(str(held.socket)) <= target.SOCKET_BYTES_MAX


async def test_a_run_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run x does not answer"):
        await target.tell({"run": "x", "socket": str(tmp_path / "none.sock")}, {"cmd": "ack"})
