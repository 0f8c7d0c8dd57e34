"""Processes of the stack ended, stopped or started anew: its service, its stores, its parts.

Only parts of a stack that gameday started: each has a file that says how it is started and which
process it is now (`launching`). Taking back is starting it again, or letting it go on, and waiting
until it is healthy. A stack that ends with its controller is not started again once that is gone:
there, what is to be undone goes with the stack.
"""

import asyncio
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import ExitCode, GamedayError, StackError, StuckFaultError, UsageError
from gameday.core.messages import Message
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose
from gameday.injection.process import process
from gameday.injection.process.launch import Launch, alone, start, until_ready
from gameday.injection.removal_proof import State, elsewhere, here, masked_name, was_masked
from gameday.spec.changes import ServiceChange
from gameday.spec.undos import ProcessUndo, ServiceUndo

RESTART_S = 10.0  # the duration of a fault must not be used up by its beginning
STOPPED_WITHIN_S = 2.0  # a signal acts at once, but a busy machine shows it later
ANSWERS_WITHIN_S = 1.0  # one that went on answers in milliseconds
_POLL_S = 0.02  # to see a stop within the time that it is measured by


class StrikeError(GamedayError):
    """A process did not do what the fault asks of it."""

    exit_code = ExitCode.UNKNOWN


async def prepare(change: ServiceChange, context: InjectionContext) -> ServiceUndo:
    """Find the part and look that it runs.

    Raises UsageError where the stack has no such part of gameday's, StackError where it is down.
    """
    name, do = change.part, change.do
    parts = context.direct.parts
    if name not in parts:
        told = f"; it has {', '.join(sorted(parts))}" if parts else ": gameday did not start it"
        raise UsageError(
            f"this stack cannot do service.{do}: it has no part {name!r}{told}",
            help="run it on the embedded stack, or break the network on the way instead",
        )
    launch = Launch.read(parts[name])
    if launch is None or not launch.runs():
        raise StackError(f"{name} does not run, before anything was broken")
    return ServiceUndo(
        what="continue" if do == "pause" else "start",
        do=do,
        forget=change.forget,
        part=parts[name],
        name=name,
        pid=launch.pid,
        start_time=launch.start_time,
        seen_from=here(),
    )


async def act(change: ServiceChange, undo: ServiceUndo, context: InjectionContext) -> None:
    """End it, stop it, or end it and start it anew. Raises StrikeError, StuckFaultError."""
    del change  # all of it stands in its undo
    clock = SystemClock()
    match undo.do:
        case "pause":
            await _pause(_same(undo), clock)
        case "kill":
            context.stopped_on_purpose.add(undo.name)
            await _end(_same(undo), signal.SIGKILL, clock)
        case "restart":
            context.stopped_on_purpose.add(undo.name)
            launch = _same(undo)
            await restart(undo.part, clock, signal.Signals[launch.polite])
        case other:
            raise UsageError(f"service: {other!r} is not known")


async def undo(record: ServiceUndo) -> None:
    """Start it again unless it runs, or let it go on. Harmless when its stack is gone.

    Raises StuckFaultError when it does not get healthy.
    """
    clock = SystemClock()
    launch = Launch.read(record.part)
    if record.what == "continue":
        await _go_on(record, launch, clock)
    elif launch is not None and not launch.is_orphaned():
        await start_again(record.part, clock, forget=record.forget)


async def look(record: ServiceUndo) -> State:
    """State of the component: gone when it runs and is healthy, or its stack has ended."""
    if was_masked(record):
        return masked_name()
    if away := elsewhere(record.seen_from):
        return away
    if record.what == "continue":
        still = _stopped(_whole(record))
        return State(not still, f"process {min(still)} is stopped" if still else "")
    launch = Launch.read(record.part)
    if launch is None or launch.is_orphaned():
        return State(gone=True, why="the stack that it was a part of is gone")
    ready = await launch.is_ready()
    return State(ready, "" if ready else f"{launch.name} is not healthy")


async def dose(record: ServiceUndo) -> Dose:
    """An observation of the process: away, stopped, or another than before."""
    who = {"name": record.name, "pid": record.pid}
    same = process.start_time(record.pid or 0) == record.start_time
    if record.do == "pause":
        there, still = process.alive(_whole(record)), _stopped(_whole(record))
        share = len(still) / len(there) if there else 0.0
        counts = {"stopped": len(still), "all": len(there)}
        why = Message("dose.process_stopped", name=record.name, **counts)
        return share == 1.0, round(share, 3), "share", why
    if same:
        return False, 0.0, "processes", Message("dose.process_runs", **who)
    launch = Launch.read(record.part)
    runs = launch is not None and launch.runs()
    if record.do == "kill":
        how = "started_again" if runs else "ended"
        return not runs, 1.0, "processes", Message(f"dose.process_{how}", **who)
    how = "replaced" if runs else "not_replaced"
    return runs, 1.0, "processes", Message(f"dose.process_{how}", **who)


def _same(undo: ServiceUndo) -> Launch:
    """The part, if it still is the process that was prepared."""
    launch = _known(undo.part)
    if (launch.pid, launch.start_time) != (undo.pid, undo.start_time):
        raise StrikeError(f"{launch.name}: it was started anew meanwhile")
    return launch


async def _pause(launch: Launch, clock: Clock) -> None:
    """Stop the process first, which then starts no more children, and all of them after it."""
    which = launch.process()
    deadline_ns = clock.now_ns() + int(STOPPED_WITHIN_S * NS)
    process.send(launch.pid, launch.start_time, signal.SIGSTOP, launch.name)
    while there := process.alive(which):
        moving = {pid: began for pid, began in there.items() if not process.is_stopped(pid)}
        if not moving and launch.pid in there:
            return
        for pid, began in moving.items():
            process.send(pid, began, signal.SIGSTOP, launch.name)
        if clock.now_ns() > deadline_ns:
            raise StrikeError(f"{launch.name}: process {min(moving)} does not stop")
        await clock.sleep(_POLL_S)
    raise StrikeError(f"{launch.name}: it has ended, and cannot be stopped")


async def _go_on(record: ServiceUndo, launch: Launch | None, clock: Clock) -> None:
    _wake(_whole(record))
    if launch is not None and launch.runs():
        await until_ready(launch, ANSWERS_WITHIN_S, clock)


def _wake(which: ProcessUndo) -> None:
    # All of them: one that was told to stop a moment ago may not look stopped yet, and goes on
    # only because this order takes back the one that it has not heard.
    for pid, began in process.alive(which).items():
        process.send(pid, began, signal.SIGCONT, which.name)


def _stopped(which: ProcessUndo) -> dict[int, str]:
    """The processes of the part that are stopped."""
    there = process.alive(which)
    return {pid: began for pid, began in there.items() if process.is_stopped(pid)}


def _whole(record: ServiceUndo) -> ProcessUndo:
    """The component's data from the journal, and the token that finds children which left it."""
    launch = Launch.read(record.part)
    return ProcessUndo(
        pid=record.pid or 0,
        start_time=record.start_time,
        name=record.name,
        token="" if launch is None else launch.token,
        part=record.part,
    )


async def restart(
    part: Path, clock: Clock, number: signal.Signals = signal.SIGKILL, *, forget: bool = False
) -> Launch:
    """End the part whose file this is, start it again, and wait until it is healthy.

    It keeps its port, its token and its log. `forget`: what it would remember is removed first.
    Raises StuckFaultError when its stack is gone, or it is not healthy in time.
    """
    async with alone(part, clock):
        launch = _known(part)
        await _end(launch, number, clock)
        return await _start(launch, part, clock, forget=forget)


async def start_again(part: Path, clock: Clock, *, forget: bool = False) -> None:
    """Start it unless it runs, and wait until it is healthy. Raises as `restart` does."""
    async with alone(part, clock):
        launch = _known(part)
        if launch.runs():
            _wake(launch.process())  # whoever was to kill it may have got no further
            await _must_get_ready(launch, clock)
        else:
            await _end(launch, signal.SIGKILL, clock)  # children that have outlived it
            await _start(launch, part, clock, forget=forget)


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
    """End it and its children; SIGKILL for those that a polite signal does not end in time."""
    which, there = launch.process(), process.alive(launch.process())
    if number is not signal.SIGKILL and launch.runs():
        # To the process alone: it knows how to end its children.
        process.send(launch.pid, launch.start_time, number, launch.name)
        deadline_ns = clock.now_ns() + int(process.PATIENCE_S * NS)
        while _any_runs(there) and clock.now_ns() < deadline_ns:
            await clock.sleep(_POLL_S)
    elif launch.runs():
        # Stopped first, so that it starts no child that is not seen below.
        process.send(launch.pid, launch.start_time, signal.SIGSTOP, launch.name)
    if not await process.end(which, signal.SIGKILL, clock):
        left = ", ".join(map(str, process.alive(which)))
        raise StuckFaultError(f"{launch.name}: process {left} does not end")


def _any_runs(processes: Mapping[int, str]) -> bool:
    return any(process.start_time(pid) == began for pid, began in processes.items())


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
