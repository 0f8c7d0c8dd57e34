"""Drivers, one a kind of change: each prepares (reads), acts, undoes, and looks.

A run, a healing and a reaper each make a `Drivers` of their own and act through it alone. Undoing
and looking need only the journaled record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from gameday.core.clock import SystemClock
from gameday.core.errors import GamedayError, StuckFaultError
from gameday.core.processes.deadlines import in_time
from gameday.injection import escalation, server_instance
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import (
    container,
    folder,
    limit,
    partition,
    project,
    proxy,
    scale,
    service,
    toxic,
    traffic,
)
from gameday.injection.drivers.driver import Dose, Driver, Environment
from gameday.injection.drivers.held import Held
from gameday.injection.process import process
from gameday.injection.removal_proof import THERE, State
from gameday.injection.toxiproxy_client import ToxiproxyError, ToxiproxyGoneError
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import Change, ProxyDown, ProxyFlap
from gameday.spec.undos import NetworkUndo, ProxyUndo, StrangeUndo, Undo

T = TypeVar("T")

# What speaks to a server bounds each of its questions; these bound all of them together.
PREPARE_S = 30.0  # it only looks
ACT_S = 90.0  # hundreds of sessions or 100,000 keys are made one after the other
READ_S = 20.0  # longer than the limits of its questions, which tell more


class Drivers:
    """The registry of one run, one healing or one reaper: a driver a kind of change and undo.

    One is made when it is first asked for: a store's loads much that a reaper seldom needs.
    """

    def __init__(self) -> None:
        self._made: dict[str, Driver] = {}
        # Removals that press the same Toxiproxy take turns.
        self.turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, kind: str) -> Driver:
        """The driver of a kind of change or undo."""
        if kind not in self._made:
            self._made[kind] = _REGISTRY[kind](self)
        return self._made[kind]

    async def prepare(self, change: Change, context: InjectionContext) -> Undo:
        """Read what is there, and return how the change will be taken back. Alters nothing."""
        in_container = change.kind == "service" and context.direct.project is not None
        work = self.of("container" if in_container else change.kind).prepare(change, context)
        return await _ended(work, PREPARE_S, "looking at", change.kind)

    async def act(self, change: Change, taken_back_by: Undo, context: InjectionContext) -> None:
        """Make the change, by the driver that has prepared it."""
        work = self.of(taken_back_by.kind).act(change, taken_back_by, context)
        await _ended(work, ACT_S, "making", change.kind)

    async def dose(self, record: Undo) -> Dose | None:
        """The change's own measurement of its effect; None where only `read_back` can tell."""
        return await _ended(self.of(record.kind).dose(record), READ_S, "measuring", record.kind)

    async def undo(
        self, record: Undo, environment: Environment = None, policy: UndoPolicy | None = None
    ) -> None:
        """Take one change back, in bounded time. Doing it twice is harmless.

        Raises NoRecordError for a record that is not one of gameday's.
        """
        driver = self._of_ours(record)
        work = driver.undo(record, environment, policy or UndoPolicy())
        await _ended(work, driver.undo_s, "taking back", record.kind)

    def undo_s(self, kind: str) -> float:
        """The seconds that taking back such a change may take."""
        return self.of(kind).undo_s

    async def read_back(self, record: Undo, environment: Environment = None) -> bool | None:
        """True if it is proven to be taken back; None when nothing can tell."""
        return (await self.look(record, environment)).gone

    async def look(self, record: Undo, environment: Environment = None) -> State:
        """State of the change when read back, and the reason if it is not gone."""
        work = self._of_ours(record).look(record, environment)
        return await _ended(work, READ_S, "reading back", record.kind)

    def _of_ours(self, record: Undo) -> Driver:
        if isinstance(record, StrangeUndo):
            raise record.error
        return self.of(record.kind)


async def _ended(work: Awaitable[T], within_s: float, doing: str, kind: str) -> T:
    """The result of `work`. Raises StuckFaultError when it has not ended in time."""
    try:
        return await in_time(work, within_s)
    except TimeoutError as error:
        raise StuckFaultError(
            f"{doing} a change of kind {kind}: no end in {within_s:g} s"
        ) from error


class _Fault(Driver):
    """A kind of change whose module needs no state."""

    def __init__(self, module: Any) -> None:
        self._module = module

    async def prepare(self, change: Any, context: InjectionContext) -> Undo:
        undo: Undo = await self._module.prepare(change, context)
        return undo

    async def act(self, change: Any, undo: Any, context: InjectionContext) -> None:
        await self._module.act(change, undo, context)

    async def look(self, record: Any, environment: Environment) -> State:
        del environment
        state: State = await self._module.look(record)
        return state


class _Network(_Fault):
    """A change on a Toxiproxy, whose removal is pressed where it gets stuck."""

    def __init__(self, module: ModuleType, drivers: Drivers) -> None:
        super().__init__(module)
        self._turns = drivers.turns

    async def undo(self, record: NetworkUndo, environment: Environment, policy: UndoPolicy) -> None:
        del environment
        await escalation.take_out(self._module, record, policy, self._turns)

    async def look(self, record: NetworkUndo, environment: Environment) -> State:
        """A Toxiproxy that refuses connections is gone only if it is known to have ended."""
        try:
            return await super().look(record, environment)
        except ToxiproxyError as error:
            if ended := await server_instance.ended(record):
                return State(gone=True, why=ended)
            if not isinstance(error, ToxiproxyGoneError):
                raise
            why = f"{error.message}: it is away, and not known to have ended"
            return State(gone=None, why=why)


class _Proxy(_Network):
    """A proxy that is down, or that this process takes down and up in turns."""

    def __init__(self, drivers: Drivers) -> None:
        super().__init__(proxy, drivers)
        self._held = Held()

    async def act(self, change: ProxyDown, undo: ProxyUndo, context: InjectionContext) -> None:
        await super().act(change, undo, context)
        if isinstance(change, ProxyFlap):
            work = proxy.flap(change, undo, context.seed, SystemClock())
            await self._held.start(_whose(undo), work)

    async def undo(self, record: NetworkUndo, environment: Environment, policy: UndoPolicy) -> None:
        await self._held.stop(_whose(record))
        await super().undo(record, environment, policy)

    async def look(self, record: NetworkUndo, environment: Environment) -> State:
        """One that goes on is there, whether the proxy is off or on just now."""
        if self._held.goes_on(_whose(record)):
            return State(gone=False, why=THERE)
        return await super().look(record, environment)


def _whose(record: NetworkUndo) -> str:
    return f"{record.url} {record.proxy}"


class _Traffic(_Fault):
    async def undo(self, record: Any, environment: Environment, policy: UndoPolicy) -> None:
        """Nothing: the worker that carried it has ended with its controller."""


class _Undone(_Fault):
    """A kind that is taken back by its record alone."""

    async def undo(self, record: Any, environment: Environment, policy: UndoPolicy) -> None:
        del environment, policy
        await self._module.undo(record)


class _Measured(_Undone):
    """The same, with a measurement of its own of what it does."""

    undo_s = 150.0  # what is started again may take as long as it says, and its health too

    async def dose(self, record: Any) -> Dose | None:
        seen: Dose | None = await self._module.dose(record)
        return seen


class _Scale(_Undone):
    undo_s = 150.0  # the compose program, and the health of those that are new


class _Project(_Undone):
    undo_s = 120.0  # a busy engine takes its time


class _Request(Driver):
    undo_s = 3600.0  # has the timeout of the system file

    async def undo(self, record: Any, environment: Environment, policy: UndoPolicy) -> None:
        from gameday.injection import replicas  # here: it loads much

        del policy
        try:
            await replicas.undo(record, environment)
        except GamedayError:
            if not await server_instance.gone_with(record.project):
                raise

    async def look(self, record: Any, environment: Environment) -> State:
        del environment
        if gone := await server_instance.gone_with(record.project):
            return State(gone=True, why=gone)
        return State(gone=None, why="only a probe of the playbook can tell")


def _redis(_: Drivers) -> Driver:
    from gameday.injection.drivers.redis import RedisDriver

    return RedisDriver()


def _command(_: Drivers) -> Driver:
    from gameday.injection.drivers.command import CommandDriver

    return CommandDriver()


def _sql(_: Drivers) -> Driver:
    from gameday.injection.drivers.postgres import SqlDriver

    return SqlDriver()


_REGISTRY: Mapping[str, Callable[[Drivers], Driver]] = {
    "toxic": lambda drivers: _Network(toxic, drivers),
    "proxy": _Proxy,
    "traffic": lambda _: _Traffic(traffic),
    "service": lambda _: _Measured(service),
    "container": lambda _: _Measured(container),
    "limit": lambda _: _Measured(limit),
    "partition": lambda _: _Measured(partition),
    "project": lambda _: _Project(project),
    "scale": lambda _: _Scale(scale),
    "redis": _redis,
    "sql": _sql,
    "command": _command,
    "process": lambda _: _Undone(process),
    "folder": lambda _: _Undone(folder),
    "request": lambda _: _Request(),
}
