"""Processes that a stack started: ended together with all their children, by whoever must.

A process is named by its PID *and* its start time, so that a PID which the kernel has given to
somebody else is never hit; on Linux the signal goes through a pidfd, which closes even the gap
between looking and signalling. Its children are known by their session, and by a token in their
environment where they have left the session or outlived their parent. A part that was started
again is another process; the file that its record names says which one it is now.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from gameday.changes import Undo
from gameday.clock import NS, Clock, SystemClock, boot_id
from gameday.core import files
from gameday.errors import StuckFaultError

TOKEN_VARIABLE = "GAMEDAY_PART"
PATIENCE_S = 5.0
_POLL_S = 0.02
_GONE_STATES = b"ZXx"


def record(
    pid: int, name: str, *, token: str = "", stop_signal: str = "SIGTERM", part: str = ""
) -> Undo:
    """How to end the running process `pid`; it must be a session leader or become one.

    `stop_signal` asks it to end; SIGKILL follows after `PATIENCE_S`. `token` is the value of
    `GAMEDAY_PART` in the environment of its children. `part` is the file with its `Launch`.
    """
    data = {"pid": pid, "start_time": start_time(pid) or "", "name": name}
    where = {"part": part} if part else {}
    return Undo("process", {**data, "token": token, "signal": stop_signal, **where})


def start_time(pid: int) -> str | None:
    """What tells this process from a later one of the same PID; None when it does not run."""
    if sys.platform == "linux":
        return _linux_start_time(pid)
    try:
        process = psutil.Process(pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone else f"{process.create_time():.3f}"
    except psutil.Error:
        return None


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


async def undo(data: Mapping[str, Any], clock: Clock | None = None) -> None:
    """Ask the process and its children to end, then end them. Harmless when they are gone.

    Raises StuckFaultError when they belong to another user.
    """
    clock = clock or SystemClock()
    polite = signal.Signals[data.get("signal", "SIGTERM")]
    for number in (polite, signal.SIGKILL):
        if await end(data, number, clock):
            return


async def read_back(data: Mapping[str, Any]) -> bool:
    """Whether the process and its children are gone."""
    return not alive(data)


def alive(data: Mapping[str, Any]) -> dict[int, str]:
    """The process and its children that run: PID → start time."""
    leading = leaders(data)
    found = set(leading)
    token = f"{TOKEN_VARIABLE}={data['token']}".encode() if data.get("token") else b""
    for other in psutil.pids():
        if _session(other) in leading or (token and token in _environment(other)):
            found.add(other)
    return {each: began for each in found if (began := start_time(each)) is not None}


def leaders(data: Mapping[str, Any]) -> set[int]:
    """The process itself, and the one that it was started again as, where they run."""
    known = [(int(data["pid"]), data["start_time"]), *_now(data.get("part", ""))]
    return {pid for pid, began in known if began != "" and start_time(pid) == began}


def _now(part: str) -> Iterator[tuple[int, str]]:
    """The process that the file of a part names; none when it is gone with its stack."""
    try:
        launched = json.loads(files.read_bytes(Path(part), files.SETTING_BYTES)) if part else None
    except FileNotFoundError:
        return
    if launched is not None:
        yield launched["pid"], launched["start_time"]


async def end(data: Mapping[str, Any], number: signal.Signals, clock: Clock) -> bool:
    """Send `number` once to each, and wait. True when all are gone in time."""
    deadline_ns = clock.now_ns() + int(PATIENCE_S * NS)
    told: set[tuple[int, str]] = set()
    while left := alive(data):
        for each in left.items():
            if each not in told:
                told.add(each)
                send(*each, number, data["name"])
                send(*each, signal.SIGCONT, data["name"])  # a stopped one would never hear it
        # Looking through all processes is dear on a busy host; these few are looked at instead.
        while any(start_time(pid) == began for pid, began in left.items()):
            if clock.now_ns() >= deadline_ns:
                return False
            await clock.sleep(_POLL_S)
    return True


def send(pid: int, began: str, number: signal.Signals, name: str) -> None:
    """Signal that very process, or nobody. Raises StuckFaultError for another user's."""
    try:
        for target in _held(pid):
            if start_time(pid) == began:
                target(number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        who = f"{name} (process {pid})"
        raise StuckFaultError(
            f"{who} belongs to another user", help=f"as that user: kill {pid}"
        ) from error


def _held(pid: int) -> Iterator[Any]:
    """What sends a signal to the process that has this PID now, whoever gets the PID later."""
    if not hasattr(os, "pidfd_open"):
        yield lambda number: os.kill(pid, number)
        return
    handle = os.pidfd_open(pid)
    try:
        yield lambda number: signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def _linux_start_time(pid: int) -> str | None:
    """Clock ticks since boot, and which boot: unlike the wall time it never shifts."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()
    return None if fields[0] in _GONE_STATES else f"{fields[19].decode()}@{boot_id()}"


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def _environment(pid: int) -> bytes:
    """The environment it was started with; empty where that may not be read."""
    try:
        if sys.platform == "linux":
            return Path(f"/proc/{pid}/environ").read_bytes()
        return repr(psutil.Process(pid).environ()).encode()
    except (OSError, psutil.Error):
        return b""
