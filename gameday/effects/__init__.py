"""What changes the world, one file a kind of change: prepare (read), act, undo, read back.

The controller acts through these and nothing else; the controller, the reaper and `gameday
heal` undo through `undo` alone, which needs only the journaled record.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from gameday.changes import Change, Undo
from gameday.core.deadlines import in_time
from gameday.effects import escalation, folder, process, proxy, records, service, toxic, traffic
from gameday.effects.manner import Manner
from gameday.effects.site import Site
from gameday.errors import StuckFaultError

T = TypeVar("T")

# Whether it was there (None: cannot tell), how much of it, in which unit, and why.
Dose = tuple[bool | None, float | None, str, str]


class Effect(Protocol):
    """What each file of a kind of fault's change offers."""

    async def prepare(self, change: Change, site: Site) -> Undo: ...

    async def act(self, change: Change, undo: Undo, site: Site) -> None: ...

    async def undo(self, record: Undo) -> None: ...

    async def read_back(self, record: Undo) -> bool: ...


# What speaks to a server bounds each of its questions; these bound all of them together.
PREPARE_S = 30.0
ACT_S = 90.0
READ_S = 20.0
UNDO_DEFAULT_S = 60.0
UNDO_S: Mapping[str, float] = {
    "sql": 600.0,  # an index of a large table is made again
    "service": 150.0,  # what is started again may take as long as it says
    "request": 3600.0,  # has the timeout of the system file
}


async def _ended(work: Awaitable[T], within_s: float, doing: str, kind: str) -> T:
    """What `work` returns. Raises StuckFaultError when it has not ended in time."""
    try:
        return await in_time(work, within_s)
    except TimeoutError as error:
        raise StuckFaultError(
            f"{doing} a change of kind {kind}: no end in {within_s:g} s"
        ) from error


_FAULTS: Mapping[str, Effect] = {
    "toxic": toxic,
    "proxy": proxy,
    "traffic": traffic,
    "service": service,
}


def _of(kind: str) -> Effect:
    """The file of a kind of fault's change; the stores' load much that a reaper seldom needs."""
    if kind == "redis":
        from gameday.effects import redis

        return redis
    if kind == "sql":
        from gameday.effects import sql

        return sql
    return _FAULTS[kind]


async def prepare(change: Change, site: Site) -> Undo:
    """Read what is there, and return how the change will be taken back. Alters nothing."""
    return await _ended(
        _of(change.kind).prepare(change, site), PREPARE_S, "looking at", change.kind
    )


async def act(change: Change, taken_back_by: Undo, site: Site) -> None:
    """Make the change."""
    await _ended(_of(change.kind).act(change, taken_back_by, site), ACT_S, "making", change.kind)


async def dose(record: Undo) -> Dose | None:
    """What the kind of change says of its own dose; None where `read_back` alone tells it.

    For a change that is over at once (a restart, evicted keys): `async def dose(data)` in the file
    of its kind, which returns a `Dose`, or None as well.
    """
    told: Callable[[Mapping[str, Any]], Awaitable[Dose | None]] | None = getattr(
        _of(record.kind), "dose", None
    )
    if told is None:
        return None
    return await _ended(told(record.data), READ_S, "measuring", record.kind)


async def undo(
    record: Undo, environment: Mapping[str, str] | None = None, manner: Manner | None = None
) -> None:
    """Take one change back, in bounded time. Doing it twice is harmless.

    Raises NoRecordError for a record that is not one of gameday's.
    """
    records.must_be_ours(record)
    within_s = UNDO_S.get(record.kind, UNDO_DEFAULT_S)
    await _ended(_undo(record, environment, manner), within_s, "taking back", record.kind)


async def _undo(record: Undo, environment: Mapping[str, str] | None, manner: Manner | None) -> None:
    match record.kind:
        case "toxic" | "proxy":
            await escalation.take_out(record, manner or Manner())
        case "process":
            await process.undo(record.data)
        case "folder":
            await folder.undo(record.data)
        case "request":
            from gameday.effects import request  # here: it loads much that the reaper seldom needs

            await request.undo(record, environment)
        case "redis":
            from gameday.effects import redis

            await redis.undo(record, environment)
        case "sql":
            from gameday.effects import sql

            await sql.undo(record, environment)
        case _:
            await _FAULTS[record.kind].undo(record)


async def read_back(record: Undo, environment: Mapping[str, str] | None = None) -> bool | None:
    """Whether it reads back as taken back; None when nothing can tell. Raises as `undo` does."""
    records.must_be_ours(record)
    return await _ended(_read_back(record, environment), READ_S, "reading back", record.kind)


async def _read_back(record: Undo, environment: Mapping[str, str] | None) -> bool | None:
    match record.kind:
        case "process":
            return await process.read_back(record.data)
        case "folder":
            return await folder.read_back(record.data)
        case "request":
            return None  # nobody but a probe of the playbook can tell
        case "redis":
            from gameday.effects import redis

            return await redis.read_back(record, environment)
        case "sql":
            from gameday.effects import sql

            return await sql.read_back(record, environment)
        case _:
            return await _FAULTS[record.kind].read_back(record)
