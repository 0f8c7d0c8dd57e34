"""Processes of the stack ended, stopped or started anew: its service, its stores, its parts.

Only parts of a stack that gameday started: each has a file that says how it is started and which
process it is now (`launching`). Taking back is starting it again, or letting it go on, and waiting
until it is healthy. A stack that ends with its controller is not started again once that is gone:
there, what is to be undone goes with the stack.
"""

import asyncio
import fcntl
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gameday.clock import NS, Clock
from gameday.effects import process
from gameday.effects.launching import Launch, start, until_ready
from gameday.errors import StuckFaultError

RESTART_S = 10.0
_LOCK_S = 10.0
_POLL_S = 0.02


async def restart(
    part: Path, clock: Clock, number: signal.Signals = signal.SIGKILL, *, forget: bool = False
) -> Launch:
    """End the part whose file this is, start it again, and wait until it is healthy.

    It keeps its port, its token and its log. `forget`: what it would remember is removed first.
    Raises StuckFaultError when its stack is gone, or it is not healthy in time.
    """
    async with _alone(part, clock):
        launch = _known(part)
        await _end(launch, number, clock)
        return await _start(launch, part, clock, forget=forget)


async def start_again(part: Path, clock: Clock) -> None:
    """Start it unless it runs, and wait until it is healthy. Raises as `restart` does."""
    async with _alone(part, clock):
        launch = _known(part)
        if launch.runs():
            await _must_get_ready(launch, clock)
        else:
            await _end(launch, signal.SIGKILL, clock)  # children that have outlived it
            await _start(launch, part, clock, forget=False)


async def _start(launch: Launch, part: Path, clock: Clock, *, forget: bool) -> Launch:
    for path in (*launch.stale, *(launch.memory if forget else ())):
        await asyncio.to_thread(_remove, path)
    # Only the process that the stack ends with may tie a part to its own life.
    tied = launch.death_signal if launch.is_ours() else 0
    started = start(replace(launch, death_signal=tied), lambda now: _keep(now, launch, part))
    await _must_get_ready(started, clock)
    return started


def _keep(now: Launch, before: Launch, part: Path) -> None:
    replace(now, death_signal=before.death_signal).write(part)


async def _must_get_ready(launch: Launch, clock: Clock) -> None:
    within_s = min(launch.ready_s, RESTART_S)
    if not await until_ready(launch, within_s, clock):
        why = f"not healthy within {within_s:g} s" if launch.runs() else "ended while starting"
        raise StuckFaultError(f"{launch.name}: {why}", help=f"see {launch.log}")


async def _end(launch: Launch, number: signal.Signals, clock: Clock) -> None:
    """Signal it and its children; SIGKILL for those that do not end in time."""
    data = launch.process()
    if number is signal.SIGKILL and launch.runs():
        # Stopped first, so that it starts no child that is not seen below.
        process.send(launch.pid, launch.start_time, signal.SIGSTOP, launch.name)
    for each in (number, signal.SIGKILL):
        if await process.end(data, each, clock):
            return
    left = ", ".join(map(str, process.alive(data)))
    raise StuckFaultError(f"{launch.name}: process {left} does not end")


def _known(part: Path) -> Launch:
    launch = Launch.read(part)
    if launch is None:
        raise StuckFaultError(f"{part}: it is gone, and with it the stack that it was a part of")
    return launch


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@asynccontextmanager
async def _alone(part: Path, clock: Clock) -> AsyncIterator[None]:
    """One process at a time starts a part; a dead one holds no lock."""
    try:
        handle = os.open(part.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        raise StuckFaultError(f"{part}: it is gone, with its stack") from None
    try:
        deadline_ns = clock.now_ns() + int(_LOCK_S * NS)
        while not _locked(handle):
            if clock.now_ns() > deadline_ns:
                raise StuckFaultError(f"{part}: another process is starting it all the time")
            await clock.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
