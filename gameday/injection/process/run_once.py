"""A program run to its end, whose process others can find while it works, and end.

It waits at the gate of `exec_gate` until its PID stands in a file, so that whoever has that file
knows the process from its first instruction to its last, also after this one was killed. It has a
session of its own. What it says goes to a file, not to a pipe: a server that it leaves in the
background must not die of a reader that has gone. That file may grow so far and no further.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.clock import NS, Clock
from gameday.core.errors import StackError, StuckFaultError
from gameday.core.files import KIB, MIB
from gameday.core.files.private import only_for_us
from gameday.injection.process import process
from gameday.injection.process.launch import Launch, start

SHOWN_BYTES: Final = 4 * KIB  # of what it said last; enough for an error, and for a person
LARGEST_OUTPUT: Final = 64 * MIB  # a program that says more is ended: the disk is everybody's
POLITE_S: Final = 1.0
_KILLED_S: Final = 5.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """The end of a program: its exit code, and the end of what it said.

    `code` is None where it was ended, and `why` says why; below 0 it is a signal.
    """

    code: int | None
    said: str
    why: str = ""

    @property
    def how(self) -> str:
        """The way it ended, in words that are to be masked before they are shown."""
        if self.why:
            way = self.why
        elif self.code is not None and self.code < 0:
            way = f"was ended by signal {-self.code}"
        else:
            way = f"ended with {self.code}"
        return f"{way}: {self.said}" if self.said else way


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOrder:
    """Order to run a program once; `acting` is the file with its process while it runs."""

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    within_s: float
    acting: Path


async def run_once(order: ProgramOrder, clock: Clock) -> ProgramEnd:
    """Run it, and wait for its end; one that is late is ended, with all of its session.

    So is one that nobody waits for any more, as this task is cancelled.

    Raises StackError where no process can be made.
    """
    log = _log_of(order.acting)
    launch = Launch(
        name=order.name,
        argv=order.argv,
        environment=order.environment,
        folder=order.folder,
        log=log,
    )
    try:
        with only_for_us():
            log.touch(mode=0o600)
            # Without its environment, which may hold secrets: only the process is to be found.
            started = start(launch, lambda now: replace(now, environment={}).write(order.acting))
    except OSError as error:
        raise StackError(f"{order.name}: cannot be started: {error.strerror}") from error
    try:
        code, why = await _end_of(started, order.within_s, log, clock)
        return ProgramEnd(code, _last_words(log), why)
    finally:
        if started.runs():  # nobody waits any more
            await _end_whatever_comes(started.pid, clock)
        _reap(started.pid)
        forget(order.acting)


async def _end_of(
    launch: Launch, within_s: float, log: Path, clock: Clock
) -> tuple[int | None, str]:
    """Its exit code, or why it was ended."""
    deadline_ns = clock.now_ns() + int(within_s * NS)
    while (code := _reap(launch.pid)) is None:
        if not launch.runs() and (code := _reap(launch.pid)) is None:
            return None, "was ended from outside"
        if code is not None:
            break
        if clock.now_ns() >= deadline_ns:
            await end_session(launch.pid, clock)
            return None, f"did not end within {within_s:g} s, and was ended"
        if _size(log) > LARGEST_OUTPUT:
            await end_session(launch.pid, clock)
            return None, f"said more than {LARGEST_OUTPUT // MIB} MiB, and was ended"
        await clock.sleep(_LOOK_S)
    return code, ""


async def _end_whatever_comes(leader: int, clock: Clock) -> None:
    """End a session, also while this task is cancelled again: it takes some seconds at most."""
    ending = asyncio.ensure_future(end_session(leader, clock))
    cancelled: asyncio.CancelledError | None = None
    while not ending.done():
        try:
            await asyncio.wait({ending})
        except asyncio.CancelledError as error:
            cancelled = error
    ending.result()
    if cancelled is not None:
        raise cancelled


async def end_acting(acting: Path, clock: Clock) -> None:
    """End the program of that file, if it still works; what it left behind by itself stays."""
    with suppress(StuckFaultError):  # not a file of ours: no process is known by it
        launch = Launch.read(acting)
        if launch is not None and launch.runs():
            await end_session(launch.pid, clock)
    forget(acting)


async def end_session(leader: int, clock: Clock) -> None:
    """End a session, politely first. Its leader is known to be ours."""
    for number, within_s in ((signal.SIGTERM, POLITE_S), (signal.SIGKILL, _KILLED_S)):
        deadline_ns = clock.now_ns() + int(within_s * NS)
        # The leader first: a shell whose command is ended before it goes on to the next one.
        there = process.in_session(leader)
        for pid, began in sorted(there.items(), key=lambda each: each[0] != leader):
            with suppress(StuckFaultError):  # another user's, by sudo: the others are ended
                process.send(pid, began, number, "command")
        while clock.now_ns() < deadline_ns:
            _reap(leader)
            if not process.in_session(leader):
                return
            await clock.sleep(_LOOK_S)


def forget(acting: Path) -> None:
    """Remove the file, and what was said."""
    for each in (acting, _log_of(acting)):
        with suppress(OSError):
            each.unlink()


def _log_of(acting: Path) -> Path:
    return acting.with_suffix(".log")


def _reap(pid: int) -> int | None:
    """Its exit code once it has ended; None while it runs, or where it is no child of ours."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_words(log: Path) -> str:
    """The end of what it said, in one line; of one that could not be started that is why."""
    try:
        with files.open_file(log) as file:
            file.seek(max(0, _size(log) - SHOWN_BYTES))
            raw = file.read(SHOWN_BYTES)
    except OSError:
        return ""
    return " ".join(raw.decode(errors="replace").split())
