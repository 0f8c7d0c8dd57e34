"""Limits of containers, lowered and put back: less CPU or memory for every replica of a service.

What is put back is what the engine showed before, and only where it still shows what was asked for:
somebody else's limit is theirs. A container that the kernel ended for want of memory is started
again then.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StuckFaultError, UsageError
from gameday.core.messages import Message
from gameday.injection import engine
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose
from gameday.injection.drivers.service import StrikeError
from gameday.injection.engine import Container, EngineError
from gameday.injection.removal_proof import GONE, State
from gameday.spec.changes import LimitChange
from gameday.spec.undos import Limits, LimitUndo, Throttling

RESTART_S = 60.0  # a health check has to come round
_POLL_S = 0.1
PERIOD_US = 100_000
"""Of the kernel's accounting, as docker's --cpus has it."""
NANO = 10**9


async def prepare(change: LimitChange, context: InjectionContext) -> LimitUndo:
    """Read the limits of the service's containers, all of which must run.

    Raises UsageError for a limit that would not be less than the one that is there.
    """
    fault = "service.cpu" if change.memory_bytes is None else "service.memory"
    project, found = await engine.running(context.direct.project, change.part, fault)
    before = await engine.asked(
        project, lambda client: {each.id: _limits(client, each.id) for each in found}
    )
    is_cpu = change.cpus is not None
    throttling = await engine.asked(
        project, lambda client: {each.id: _throttling(client, each.id) for each in found if is_cpu}
    )
    for each in found:
        _refuse_more(change, each.name, before[each.id])
    return LimitUndo(
        name=change.part,
        project=project,
        before=before,
        cpus=change.cpus,
        memory=change.memory_bytes,
        throttling=throttling,
    )


def _refuse_more(change: LimitChange, name: str, now: Limits) -> None:
    has = _cpus(now)
    if change.cpus is not None and has is not None and change.cpus >= has:
        raise UsageError(f"{name} has {has:g} CPUs, and {change.cpus:g} is not less")
    if change.memory_bytes is None:
        return
    if now.memory <= 0:
        raise UsageError(
            f"{name} has no limit of memory, and the engine cannot take one away again",
            help="give it one in the compose file (mem_limit)",
        )
    if change.memory_bytes >= now.memory:
        raise UsageError(f"{name} has {now.memory} bytes of memory, and that is not less")


async def act(change: LimitChange, undo: LimitUndo, context: InjectionContext) -> None:
    """Lower them. Raises StrikeError, where the kernel cannot take the memory back too."""
    del change  # all of it stands in its undo
    context.stopped_on_purpose.add(undo.name)  # the kernel may end it

    def lower(client: Any) -> None:
        for id_, before in undo.before.items():
            _update(client, id_, _asked_for(undo, before))

    try:
        await engine.asked(undo.project, lower)
    except EngineError as error:
        raise StrikeError(f"{undo.name}: {error.message}", help=error.help) from error


async def undo(record: LimitUndo) -> None:
    """Put them back, and start what the kernel has ended. Harmless when the stack is gone.

    Raises StuckFaultError where that does not get healthy.
    """
    try:
        started = await engine.asked(record.project, lambda client: _put_back(client, record))
        if started:
            await _until_well(record, started)
    except EngineError as error:
        raise StuckFaultError(error.message, help=error.help) from error


async def _until_well(record: LimitUndo, started: Sequence[str]) -> None:
    """Wait until what was started is healthy. Raises StuckFaultError, EngineError.

    Nothing else is waited for: a limit is back at once, and a health check may take minutes.
    """
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(RESTART_S * NS)
    while ill := await engine.asked(record.project, lambda client: _ill(client, record, started)):
        if clock.now_ns() >= deadline_ns:
            why = f"{ill[0].name} is not healthy: {ill[0].status}, after {RESTART_S:g} s"
            raise StuckFaultError(why, help="see its log")
        await clock.sleep(_POLL_S)


def _ill(client: Any, record: LimitUndo, ids: Sequence[str]) -> list[Container]:
    there = engine.containers(client, record.project)
    return [each for each in there if each.id in ids and not each.is_well]


async def look(record: LimitUndo) -> State:
    """State of the limits: gone when no container has the one that was asked for, and all run."""
    return await engine.look(record, lambda client: _state(client, record))


async def dose(record: LimitUndo) -> Dose:
    """An observation of the containers: each has the limit, and what it has of it."""
    return await engine.asked(record.project, lambda client: _dose(client, record))


def _limits(client: Any, id_: str) -> Limits:
    shown = client.api.inspect_container(id_)["HostConfig"]
    return Limits(
        nano_cpus=shown["NanoCpus"] or 0,
        cpu_quota=shown["CpuQuota"] or 0,
        cpu_period=shown["CpuPeriod"] or 0,
        memory=shown["Memory"] or 0,
        memory_swap=shown["MemorySwap"] or 0,
    )


def _cpus(limits: Limits) -> float | None:
    """The CPUs that a container may use, None where that is all."""
    if limits.nano_cpus > 0:
        return limits.nano_cpus / NANO
    return limits.cpu_quota / (limits.cpu_period or PERIOD_US) if limits.cpu_quota > 0 else None


def _asked_for(record: LimitUndo, before: Limits) -> Mapping[str, int]:
    """The update that lowers it. The engine takes CPUs in the words in which it has them."""
    if record.memory is not None:
        return {"Memory": record.memory, "MemorySwap": record.memory}
    cpus = record.cpus or 0.0
    if before.nano_cpus > 0:
        return {"NanoCpus": round(cpus * NANO)}
    return {"CpuQuota": round(cpus * PERIOD_US), "CpuPeriod": PERIOD_US}


def _as_before(record: LimitUndo, before: Limits) -> Mapping[str, int]:
    """The update that puts it back. The engine takes no 0 for "none": a quota of -1 is."""
    if record.memory is not None:
        return {"Memory": before.memory, "MemorySwap": before.memory_swap}
    if before.nano_cpus > 0:
        return {"NanoCpus": before.nano_cpus}
    return {
        "CpuQuota": before.cpu_quota if before.cpu_quota > 0 else -1,
        "CpuPeriod": before.cpu_period or PERIOD_US,
    }


def _is_lowered(record: LimitUndo, before: Limits, now: Limits) -> bool:
    """True if it has the limit that was asked for.

    The swap is not asked about: an engine that cannot limit it sets another value than was asked.
    """
    if record.memory is not None:
        return now.memory == record.memory
    shown = {
        "NanoCpus": now.nano_cpus,
        "CpuQuota": now.cpu_quota,
        "CpuPeriod": now.cpu_period,
    }
    return all(shown[key] == value for key, value in _asked_for(record, before).items())


def _update(client: Any, id_: str, limits: Mapping[str, int]) -> None:
    """Alter limits of a running container. The library's own call knows no NanoCpus."""
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{id_}/update"
    answer = api.post(url, json=dict(limits), timeout=engine.ANSWER_S)
    if answer.status_code != 200:
        raise EngineError(f"its limits cannot be altered: {answer.text.strip():.300}")


def _put_back(client: Any, record: LimitUndo) -> list[str]:
    """Put back what still is as asked for; the ids of containers that had to be started."""
    import docker.errors

    started = []
    there = {each.id: each for each in engine.containers(client, record.project)}

    def put_back(id_: str) -> None:
        before = record.before[id_]
        with suppress(docker.errors.NotFound):  # it goes just now
            if _is_lowered(record, before, _limits(client, id_)):
                _update(client, id_, _as_before(record, before))
            if not there[id_].runs:
                client.api.start(id_)
                started.append(id_)

    engine.each_of((id_ for id_ in record.before if id_ in there), put_back)
    return started


def _state(client: Any, record: LimitUndo) -> State:
    import docker.errors

    for each in engine.containers(client, record.project):
        before = record.before.get(each.id)
        if before is None:
            continue
        try:
            now = _limits(client, each.id)
        except docker.errors.NotFound:
            continue
        if _is_lowered(record, before, now):
            return State(gone=False, why=f"{each.name} has the limit that was asked for")
        if not each.runs:
            return State(gone=False, why=f"{each.name} does not run: {each.status}")
    return GONE


def _dose(client: Any, record: LimitUndo) -> Dose:
    """How it is with each of them; the first that tells of no limit is the answer."""
    seen: Dose = (False, None, "", Message("dose.no_container", name=record.name))
    for each in engine.containers(client, record.project):
        before = record.before.get(each.id)
        if before is None:
            continue
        if not _is_lowered(record, before, _limits(client, each.id)):
            return False, None, "", Message("dose.other_limit", name=each.name)
        if not each.runs:
            why = Message("dose.no_memory", name=each.name, status=each.status)
            seen = (True, 1.0, "share", why)
            continue
        seen = _used(client, record, each)
        if not seen[0]:
            return seen
    return seen


def _used(client: Any, record: LimitUndo, each: Container) -> Dose:
    """What a container has of its limit: the share of its memory, or of the time it waits."""
    if record.memory is not None:
        share = _stats(client, each.id)["memory_stats"].get("usage", 0) / record.memory
        why = Message("dose.memory", name=each.name, share=share, limit_mb=record.memory / 2**20)
        return True, round(share, 3), "share", why
    now = _since(record.throttling.get(each.id, Throttling()), _throttling(client, each.id))
    counts = {"throttled": now.throttled, "periods": now.periods}
    why = Message("dose.cpu", name=each.name, cpus=record.cpus, **counts)
    return (True if now.throttled else None), record.cpus, "CPUs", why


def _stats(client: Any, id_: str) -> Any:
    return client.api.stats(id_, stream=False, one_shot=True)


def _throttling(client: Any, id_: str) -> Throttling:
    """The kernel's count since the container was started; an engine without it shows none."""
    shown = _stats(client, id_)["cpu_stats"].get("throttling_data") or {}
    return Throttling(shown.get("periods", 0), shown.get("throttled_periods", 0))


def _since(before: Throttling, now: Throttling) -> Throttling:
    """What came after `before`; all of it where the count is smaller: it was started anew."""
    if now.periods < before.periods or now.throttled < before.throttled:
        return now
    return Throttling(now.periods - before.periods, now.throttled - before.throttled)
