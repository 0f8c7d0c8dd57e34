"""Processes that a stack started: ended together with all their children, by whoever must.

A process is named by its PID *and* its start time, so that a PID which the kernel has given to
somebody else is never hit; on Linux the signal goes through a pidfd, which closes even the gap
between looking and signalling. Its children are known by their session, and by a token in their
environment where they have left the session or outlived their parent. A part that was started
again is another process; the file that its record names says which one it is now.

A record may be forged. So what shows that it is no part of a stack of ours is not signalled: an
environment without the token (some programs wipe theirs, which shows nothing) that no file of the
stack contradicts, this process, and those that it descends from.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gameday.core.clock import NS, Clock, SystemClock, boot_id
from gameday.core.errors import StuckFaultError
from gameday.core.json_objects import read_object
from gameday.injection.removal_proof import GONE, State, elsewhere, here, masked_name, was_masked
from gameday.spec.undos import ProcessUndo

TOKEN_VARIABLE = "GAMEDAY_PART"
PATIENCE_S = 5.0  # a store writes its memory to the disk in that time; then SIGKILL
_POLL_S = 0.02  # the end of a process of another's is not told, only seen
_LARGEST_PART = 8 * 1024 * 1024
_GONE_STATES = b"ZXx"


@dataclass(frozen=True, slots=True)
class _Launched:
    """The process of a launch file."""

    pid: int
    start_time: str
    token: str = ""


def record(
    pid: int, name: str, *, token: str = "", stop_signal: str = "SIGTERM", part: Path | None = None
) -> ProcessUndo:
    """The undo that ends the running process `pid`; it must be a session leader or become one.

    `stop_signal` asks it to end; SIGKILL follows after `PATIENCE_S`. `token` is the value of
    `GAMEDAY_PART` in the environment of its children. `part` is the file with its `Launch`.
    """
    return ProcessUndo(
        pid=pid,
        start_time=start_time(pid) or "",
        name=name,
        token=token,
        signal=stop_signal,
        seen_from=here(),
        part=part,
    )


def start_time(pid: int) -> str | None:
    """The start time, which a later process of the same PID has not; None if it does not run."""
    if sys.platform == "linux":
        return _linux_start_time(pid)
    try:
        process = psutil.Process(pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return None if gone else f"{process.create_time():.3f}"
    except psutil.Error:
        return None


def is_stopped(pid: int) -> bool:
    """True if a signal has stopped it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


async def undo(record: ProcessUndo, clock: Clock | None = None) -> None:
    """Ask the process and its children to end, then end them. Harmless when they are gone.

    Raises StuckFaultError when they belong to another user.
    """
    clock = clock or SystemClock()
    polite = signal.Signals[record.signal]
    for number in (polite, signal.SIGKILL):
        if await end(record, number, clock):
            return


async def look(record: ProcessUndo) -> State:
    """State of the process and its children."""
    there = alive(record)
    if there:
        return State(gone=False, why=f"process {min(there)} runs")
    return masked_name() if was_masked(record) else elsewhere(record.seen_from) or GONE


def alive(record: ProcessUndo) -> dict[int, str]:
    """The process and its children that run: PID → start time. Raises as `leaders` does."""
    leading = leaders(record)
    found = set(leading)
    token = f"{TOKEN_VARIABLE}={record.token}".encode() if record.token else b""
    for other in psutil.pids():
        if _session(other) in leading or (token and token in _environment(other).split(b"\0")):
            found.add(other)
    found -= _own_line() | {0, 1}
    return {each: began for each in found if (began := start_time(each)) is not None}


def in_session(leader: int) -> dict[int, str]:
    """The processes of a session that run: PID → start time.

    Once they and its leader are all gone, its number may be that of a stranger's session.
    """
    members = {each for each in psutil.pids() if _session(each) == leader} - _own_line()
    return {each: began for each in members if (began := start_time(each)) is not None}


def leaders(record: ProcessUndo) -> set[int]:
    """The process itself, and the one that it was started again as, where they run.

    Raises StuckFaultError for a process that is no part of a stack of ours.
    """
    launched = _launched(record.part)
    known = [(record.pid, record.start_time)]
    if launched is not None:
        known.append((launched.pid, launched.start_time))
    found = {pid for pid, began in known if pid > 1 and began != "" and start_time(pid) == began}
    for pid in found:
        _refuse_stranger(pid, record, launched)
    return found


def _refuse_stranger(pid: int, record: ProcessUndo, launched: _Launched | None) -> None:
    """Raise StuckFaultError for a process that shows that it is no part of ours."""
    if pid in _own_line():
        why = "it is this process, or one that started it"
    elif record.token and _is_without(pid, record.token) and not _confirmed(record.token, launched):
        why = f"its environment has no {TOKEN_VARIABLE}={record.token}"
    else:
        return
    raise StuckFaultError(
        f"process {pid} is no part of a stack of gameday's: {why}",
        help="look at it, and end it yourself if it is to end",
    )


def _own_line() -> set[int]:
    """The PIDs of this process, its parent, and so on."""
    try:
        return {os.getpid(), *(each.pid for each in psutil.Process().parents())}
    except psutil.Error:
        return {os.getpid(), os.getppid()}


def _is_without(pid: int, token: str) -> bool:
    """True if its environment can be read, is whole, and lacks the token."""
    entries = _environment(pid).split(b"\0")
    whole = any(b"=" in entry for entry in entries)
    return whole and f"{TOKEN_VARIABLE}={token}".encode() not in entries


def _confirmed(token: str, launched: _Launched | None) -> bool:
    """True if the component's launch file, which only its owner can write, has that token."""
    return launched is not None and launched.token == token


def _launched(part: Path | None) -> _Launched | None:
    """The process in a launch file; None when the file is gone, or not one of ours."""
    try:
        return read_object(_Launched, json.loads(private_bytes(part))) if part else None
    except (OSError, ValueError, RecursionError):
        return None


def private_bytes(path: Path) -> bytes:
    """A file that nobody but this user can have written. Raises OSError, ValueError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        own = stat.S_ISREG(found.st_mode) and found.st_uid in (os.geteuid(), 0)
        if not own or found.st_mode & 0o022:
            raise ValueError("not a file that only this user can have written")
        return file.read(_LARGEST_PART)


async def end(record: ProcessUndo, number: signal.Signals, clock: Clock) -> bool:
    """Send `number` once to each, and wait. True when all are gone in time."""
    deadline_ns = clock.now_ns() + int(PATIENCE_S * NS)
    told: set[tuple[int, str]] = set()
    while left := alive(record):
        for each in left.items():
            if each not in told:
                told.add(each)
                send(*each, number, record.name)
                send(*each, signal.SIGCONT, record.name)  # a stopped one would never hear it
        # Looking through all processes is dear on a busy host; these few are looked at instead.
        while any(start_time(pid) == began for pid, began in left.items()):
            if clock.now_ns() >= deadline_ns:
                return False
            await clock.sleep(_POLL_S)
    return True


def send(pid: int, began: str, number: signal.Signals, name: str) -> None:
    """Signal that very process, or nobody. Raises StuckFaultError for another user's."""
    try:
        for target in _signaller(pid):
            if start_time(pid) == began:
                target(number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        who = f"{name} (process {pid})"
        raise StuckFaultError(
            f"{who} belongs to another user", help=f"as that user: kill {pid}"
        ) from error


def _signaller(pid: int) -> Iterator[Any]:
    """A function that signals the process that has this PID now, whoever gets the PID later."""
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
        named = psutil.Process(pid).environ().items()
        return b"\0".join(f"{name}={value}".encode() for name, value in named)
    except (OSError, psutil.Error):
        return b""
