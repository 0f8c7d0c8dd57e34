"""Containers of the stack ended, stopped or started anew: what `service` does to processes.

Only containers of a project that gameday put up. A fault strikes every replica of its service, and
each is known by its id and by when it was started, so that one that somebody has renamed is still
meant, and one that somebody has started anew is not.
"""

import io
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import StuckFaultError, UsageError
from gameday.core.messages import Message
from gameday.injection import engine
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose
from gameday.injection.drivers.service import StrikeError
from gameday.injection.engine import Container, EngineError
from gameday.injection.removal_proof import State
from gameday.spec.changes import ServiceChange
from gameday.spec.undos import ContainerUndo

RESTART_S = 60.0  # a health check has to come round, and the service may wait for its stores
STRUCK_S = 10.0
POLITE_S = 15  # as compose.yml gives its service, which leaves the balancer first
EMPTY_DUMP = b"REDIS0003\xff"  # of a format that has no checksum; every later Redis reads it
_POLL_S = 0.1


async def prepare(change: ServiceChange, context: InjectionContext) -> ContainerUndo:
    """Find the containers of the service and look that they run.

    Raises UsageError where the stack has none of that name, StackError where one is down.
    """
    fault = f"service.{change.do}"
    project, found = await engine.running(context.direct.project, change.part, fault)
    return ContainerUndo(
        what="continue" if change.do == "pause" else "start",
        do=change.do,
        memory=_memory(found) if change.forget else None,
        name=change.part,
        project=project,
        containers={each.id: each.name for each in found},
        started=await engine.asked(project, lambda client: _started(client, [e.id for e in found])),
        hosts=tuple(sorted({each.host for each in found if each.host})),
    )


def _memory(found: list[Container]) -> Path:
    """Path in the container of what it would remember from. Raises UsageError."""
    if not found[0].memory:
        name = found[0].service
        raise UsageError(
            f"{name}: its container does not say where it keeps what it is to forget",
            help=f"give it the label {engine.MEMORY}, or use service.kill",
        )
    return Path(found[0].memory)


async def act(change: ServiceChange, undo: ContainerUndo, context: InjectionContext) -> None:
    """Kill, pause or restart each of them. Raises StrikeError, StuckFaultError."""
    del change  # all of it stands in its undo
    if undo.do != "pause":
        context.stopped_on_purpose.add(undo.name)
    try:
        await engine.asked(undo.project, lambda client: _strike(client, undo))
    except EngineError as error:
        raise StrikeError(error.message, help=error.help) from error
    if undo.do == "restart":
        await _until_well(undo, SystemClock())


async def undo(record: ContainerUndo) -> None:
    """Start them again unless they run, or let them go on. Harmless when the stack is gone.

    Raises StuckFaultError when they do not get healthy.
    """
    try:
        there = await engine.asked(record.project, lambda client: _take_back(client, record))
        if there and record.what == "start":
            await _until_well(record, SystemClock())
    except EngineError as error:
        raise StuckFaultError(error.message, help=error.help) from error


async def look(record: ContainerUndo) -> State:
    """State of the service: gone when it runs, and what was struck of it is healthy or removed.

    Gone as well when its stack has ended. For a pause: when none of them is paused.
    """
    project = record.project
    return await engine.look(
        record, lambda client: _state(record, engine.containers(client, project))
    )


async def dose(record: ContainerUndo) -> Dose:
    """An observation of the containers: away, paused, or started anew."""
    there = {each.id: each for each in await _containers(record)}
    ours = [there[id_] for id_ in record.containers if id_ in there]
    count = len(record.containers)
    if record.do == "pause":
        paused = sum(each.state == "paused" for each in ours)
        share = paused / count
        return share == 1.0, round(share, 3), "share", _counted("paused", paused, record)
    if record.do == "kill":
        running = sum(each.runs for each in ours)
        why = _counted("ended", count - running, record)
        return running == 0, float(count - running), "processes", why
    now = await engine.asked(record.project, lambda client: _started(client, [e.id for e in ours]))
    anew = sum(now.get(id_) != began for id_, began in record.started.items())
    return anew == count, float(anew), "processes", _counted("anew", anew, record)


def _counted(what: str, count: int, record: ContainerUndo) -> Message:
    all_ = len(record.containers)
    return Message(f"dose.containers_{what}", count=count, all=all_, name=record.name)


async def _containers(record: ContainerUndo) -> list[Container]:
    project = record.project
    return await engine.asked(project, lambda client: engine.containers(client, project))


def _started(client: Any, ids: Iterable[str]) -> Mapping[str, str]:
    """Since when each runs, as the engine tells it."""
    return {id_: client.api.inspect_container(id_)["State"]["StartedAt"] for id_ in ids}


def _strike(client: Any, undo: ContainerUndo) -> None:
    _refuse_others(client, undo)
    strike = {
        "pause": client.api.pause,
        "kill": client.api.kill,
        "restart": lambda id_: client.api.restart(id_, timeout=POLITE_S),
    }[undo.do]
    for id_ in undo.containers:
        strike(id_)
    if undo.do == "kill":
        for id_ in undo.containers:
            client.api.wait(id_, timeout=STRUCK_S)


def _refuse_others(client: Any, undo: ContainerUndo) -> None:
    """Raises StrikeError unless all of them run, and have done so since they were prepared."""
    there = {each.id: each for each in engine.containers(client, undo.project)}
    for id_, name in undo.containers.items():
        if id_ not in there:
            raise StrikeError(f"{name}: the container is gone")
        if there[id_].state != "running":
            raise StrikeError(f"{name}: it does not run any more: {there[id_].status}")
    if _started(client, undo.containers) != undo.started:
        raise StrikeError(f"{undo.name}: it was started anew meanwhile")


def _take_back(client: Any, record: ContainerUndo) -> bool:
    """Start or wake what is there; False when nothing of the project is."""
    import docker.errors

    there = {each.id: each for each in engine.containers(client, record.project)}

    def take_back(id_: str) -> None:
        with suppress(docker.errors.NotFound):  # it goes just now
            if there[id_].state == "paused":
                _wake(client, id_)
            elif record.what == "start" and not there[id_].runs:
                if record.memory is not None:
                    _empty(client, id_, record.memory)
                client.api.start(id_)

    engine.each_of((id_ for id_ in record.containers if id_ in there), take_back)
    return bool(there)


def _empty(client: Any, id_: str, memory: Path) -> None:
    """Put an empty dump in the place of the one that a stopped Redis would start with."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(memory.name)
        entry.size, entry.mode = len(EMPTY_DUMP), 0o644
        tar.addfile(entry, io.BytesIO(EMPTY_DUMP))
    client.api.put_archive(id_, str(memory.parent), packed.getvalue())


def _wake(client: Any, id_: str) -> None:
    import docker.errors

    try:
        client.api.unpause(id_)
    except docker.errors.APIError as error:
        if client.api.inspect_container(id_)["State"]["Paused"]:
            raise
        del error  # somebody else has woken it


async def _until_well(record: ContainerUndo, clock: Clock) -> None:
    """Wait until its fault is out. Raises StuckFaultError, with the end of the container's log."""
    deadline_ns = clock.now_ns() + int(RESTART_S * NS)
    while not (state := _state(record, await _containers(record))).gone:
        if clock.now_ns() >= deadline_ns:
            words = await engine.asked(record.project, lambda client: _last_words(client, record))
            raise StuckFaultError(f"{state.why}, after {RESTART_S:g} s{words}", help="see its log")
        await clock.sleep(_POLL_S)


def _last_words(client: Any, record: ContainerUndo) -> str:
    found = [e for e in engine.containers(client, record.project) if e.service == record.name]
    return "".join(f"\n{engine.last_words(client, each)}" for each in found if not each.is_well)


def _state(record: ContainerUndo, there: list[Container]) -> State:
    """State by what was struck and is still there: an autoscaler may remove and add meanwhile.

    It leaves one of each service of the compose file.
    """
    if record.what == "continue":
        paused = [e for e in there if e.id in record.containers and e.state == "paused"]
        return State(not paused, f"{paused[0].name} is paused" if paused else "")
    if not there:
        return State(gone=True, why="the stack that it was a part of is gone")
    now = [each for each in there if each.service == record.name]
    ill = [each for each in now if each.id in record.containers and not each.is_well]
    if ill:
        return State(gone=False, why=f"{ill[0].name} is not healthy: {ill[0].status}")
    well = {each.host for each in now if each.is_well}
    missing = [host for host in record.hosts if host not in well]
    if missing or not well:
        which = missing[0] if missing else record.name
        return State(gone=False, why=f"no container of {which} is healthy")
    return State(gone=True, why="")
