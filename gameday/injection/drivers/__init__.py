"""Drivers, one a kind of change: each prepares (reads), acts, undoes, and looks.

The controller acts through these and nothing else; the controller, the reaper and `gameday
heal` undo through `undo` alone, which needs only the journaled record.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from gameday.core.errors import StuckFaultError
from gameday.core.processes.deadlines import in_time
from gameday.injection import escalation, server_instance
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import folder, proxy, service, toxic, traffic
from gameday.injection.process import process
from gameday.injection.proof import State
from gameday.injection.toxiproxy_client import ToxiproxyGoneError
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import Change
from gameday.spec.undos import (
    FolderUndo,
    NetworkUndo,
    ProcessUndo,
    ProxyUndo,
    RequestUndo,
    ServiceUndo,
    StoreUndo,
    StrangeUndo,
    ToxicUndo,
    Undo,
)

T = TypeVar("T")

# Whether it was there (None: cannot tell), how much of it, in which unit, and why.
Dose = tuple[bool | None, float | None, str, str]


class Effect(Protocol):
    """Functions that the module of each kind of change must have."""

    async def prepare(self, change: Any, context: InjectionContext) -> Undo: ...

    async def act(self, change: Any, undo: Any, context: InjectionContext) -> None: ...

    async def look(self, record: Any) -> State: ...


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
    """The result of `work`. Raises StuckFaultError when it has not ended in time."""
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


class Store(Effect, Protocol):
    """Functions of a store's module: `environment` holds the secrets that its address needs."""

    async def undo(self, record: Any, environment: Mapping[str, str] | None) -> None: ...

    async def look(self, record: Any, environment: Mapping[str, str] | None = None) -> State: ...


def _of(kind: str) -> Effect:
    """The file of a kind of fault's change."""
    return _store(kind) if kind in ("redis", "sql") else _FAULTS[kind]


def _store(kind: str) -> Store:
    """The file of a store, which loads much that a reaper seldom needs."""
    if kind == "redis":
        from gameday.injection.drivers import redis

        return redis
    from gameday.injection.drivers import postgres

    return postgres


async def prepare(change: Change, context: InjectionContext) -> Undo:
    """Read what is there, and return how the change will be taken back. Alters nothing."""
    return await _ended(
        _of(change.kind).prepare(change, context), PREPARE_S, "looking at", change.kind
    )


async def act(change: Change, taken_back_by: Undo, context: InjectionContext) -> None:
    """Make the change."""
    await _ended(_of(change.kind).act(change, taken_back_by, context), ACT_S, "making", change.kind)


async def dose(record: Undo) -> Dose | None:
    """The change's own measurement of its effect; None where only `read_back` can tell.

    For a change that is over at once (a restart, evicted keys): `async def dose(record)` in the
    file of its kind, which returns a `Dose`, or None as well.
    """
    told: Callable[[Undo], Awaitable[Dose | None]] | None = getattr(_of(record.kind), "dose", None)
    if told is None:
        return None
    return await _ended(told(record), READ_S, "measuring", record.kind)


async def undo(
    record: Undo, environment: Mapping[str, str] | None = None, policy: UndoPolicy | None = None
) -> None:
    """Take one change back, in bounded time. Doing it twice is harmless.

    Raises NoRecordError for a record that is not one of gameday's.
    """
    _must_be_ours(record)
    within_s = UNDO_S.get(record.kind, UNDO_DEFAULT_S)
    await _ended(_undo(record, environment, policy), within_s, "taking back", record.kind)


async def _undo(
    record: Undo, environment: Mapping[str, str] | None, policy: UndoPolicy | None
) -> None:
    match record:
        case ToxicUndo():
            await escalation.take_out(toxic, record, policy or UndoPolicy())
        case ProxyUndo():
            await escalation.take_out(proxy, record, policy or UndoPolicy())
        case ProcessUndo():
            await process.undo(record)
        case FolderUndo():
            await folder.undo(record)
        case RequestUndo():
            from gameday.injection.drivers import (
                request,  # here: it loads much that the reaper seldom needs
            )

            await request.undo(record, environment)
        case StoreUndo():
            await _store(record.kind).undo(record, environment)
        case ServiceUndo():
            await service.undo(record)
        case _:  # of extra traffic: the worker that carried it has ended with its controller
            pass


def _must_be_ours(record: Undo) -> None:
    if isinstance(record, StrangeUndo):
        raise record.error


async def read_back(record: Undo, environment: Mapping[str, str] | None = None) -> bool | None:
    """True if it is proven to be taken back; None when nothing can tell. Raises GamedayError."""
    return (await look(record, environment)).gone


async def look(record: Undo, environment: Mapping[str, str] | None = None) -> State:
    """State of the change when read back, and the reason if it is not gone. Raises GamedayError."""
    _must_be_ours(record)
    return await _ended(_look(record, environment), READ_S, "reading back", record.kind)


async def _look(record: Undo, environment: Mapping[str, str] | None) -> State:
    match record:
        case ProcessUndo():
            return await process.look(record)
        case FolderUndo():
            return await folder.look(record)
        case RequestUndo():
            return State(gone=None, why="only a probe of the playbook can tell")
        case StoreUndo():
            return await _store(record.kind).look(record, environment)
        case NetworkUndo():
            return await _on_proxy(record)
        case _:
            return await _FAULTS[record.kind].look(record)


async def _on_proxy(record: NetworkUndo) -> State:
    """State on its Toxiproxy; one that refuses connections is gone only if it is known to be."""
    try:
        return await _FAULTS[record.kind].look(record)
    except ToxiproxyGoneError as error:
        ended = server_instance.ended(record)
        why = ended or f"{error.message}: it is away, and not known to have ended"
        return State(gone=True if ended else None, why=why)
