"""Sessions of the drivers for stores: the address behind a reference, names, and what they share.

An `Undo` carries only the *reference* to an address (`{"env": "AUDIT_REDIS"}`): its password
never reaches a journal. Work that lasts as long as a fault ends with its process; each file says
how the store itself ends it when the process is frozen.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, TypeVar

from gameday.core.clock import Clock, SystemClock
from gameday.core.errors import ExitCode, GamedayError, UsageError, causes
from gameday.core.messages import Message
from gameday.injection import server_instance
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import project
from gameday.injection.drivers.driver import Dose, Driver, Environment
from gameday.injection.drivers.held import Held
from gameday.injection.drivers.request import secret
from gameday.injection.removal_proof import GONE, THERE, State, here, masked_name, was_masked
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.request import FromEnv, FromFile
from gameday.spec.undos import StoreServer, StoreUndo

U = TypeVar("U", bound=StoreUndo)

LONGEST_NAME = 63  # of a PostgreSQL identifier or application_name; longer ones are cut off
_SHOWN = 40  # names are cut at 63 bytes by PostgreSQL; 17 of them are the digest
SLACK_S = 2.0  # a server tells how long it runs in whole seconds


class StoreError(GamedayError):
    """A store refused what was asked of it, or does not answer."""

    exit_code = ExitCode.UNHEALTHY


class StoreGoneError(StoreError):
    """Nothing listens at the address: the store has ended, or is only cut off."""


def store_error(store: str, error: BaseException) -> StoreError:
    """The error of a client, told by ours: one that is only slow or full is still there."""
    gone = any(isinstance(one, ConnectionRefusedError) for one in causes(error))
    kind = StoreGoneError if gone else StoreError
    return kind(f"{store}: {type(error).__name__}: {error}")


def address(reference: Mapping[str, str], environment: Mapping[str, str] | None) -> str:
    """The address that a reference stands for. Raises UsageError when it cannot be found."""
    if "file" in reference:
        return secret(FromFile(file=reference["file"]), environment or {})
    return secret(FromEnv(env=reference["env"]), environment or {})


def short(name: str) -> str:
    """`name`, or one as unique that a store takes whole."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_SHOWN]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


async def thrown_away(record: StoreUndo) -> bool:
    """True if the store was a stack's own, and has gone with all its data."""
    if was_masked(record):
        return False
    if record.project is not None:
        return (await project.look(record.project)).gone is True
    if record.instance is not None and record.instance.seen_from != here():
        return False
    return record.part is not None and not record.part.exists()


def server(
    url: str, id_: str, began_s: float, now_s: float, *, database: str | None = None
) -> StoreServer:
    """Which server was changed; in another of its databases nothing of it would be seen."""
    where = url.partition("://")[2].rpartition("@")[2].partition("?")[0]  # without credentials
    began_s, now_s = round(began_s, 3), round(now_s, 3)
    return StoreServer(at=where, id=id_, began_s=began_s, now_s=now_s, database=database)


def unless_another(record: StoreUndo, now: StoreServer) -> State:
    """Gone, where the server that shows nothing of it is the one that was changed.

    That is the same one still, or one at the same address that was started since.
    """
    if was_masked(record):
        return masked_name()
    before = record.server
    if before is None:
        return GONE
    if before.database not in (None, now.database):
        why = f"the change was made in database {before.database!r}"
        return State(gone=None, why=f"{why}; the reference leads to {now.database!r}")
    # One that does not tell its name is known only by where it is.
    if before.id == now.id and (before.id or before.at == now.at):
        return GONE
    return _unless_elsewhere(before, now)


def _unless_elsewhere(before: StoreServer, now: StoreServer) -> State:
    """Gone, where the server that answers has been started since at the same address."""
    if before.at != now.at:
        why = f"the store that was changed was at {before.at}; the reference leads to {now.at}"
        return State(gone=None, why=why)
    if now.began_s < before.now_s - SLACK_S:
        why = f"another server answers at {now.at}: it runs since before the change was made"
        return State(gone=None, why=why)
    return State(gone=True, why="the store was restarted since")


async def lost(record: StoreUndo, *, on_disk: bool) -> str:
    """Proof in words that a change is gone with its store, "" where there is none."""
    if not on_disk:
        return await server_instance.ended(record)
    gone = await thrown_away(record)
    return "the store was the run's own, and is gone with its data" if gone else ""


async def away(record: StoreUndo, error: GamedayError, *, on_disk: bool) -> State:
    """The state when nothing listens, or its address is not known any more.

    Raises `error` for data that may come back with its disk, and for an address that is missing.
    """
    if why := await lost(record, on_disk=on_disk):
        return State(gone=True, why=why)
    if on_disk or not isinstance(error, StoreGoneError):
        raise error
    return State(gone=None, why=f"{error.message}: it is away, and not known to have ended")


def extended(class_: type[U], undo: StoreUndo, **more: Any) -> U:
    """The same undo with what a special one needs besides."""
    known = {field.name: getattr(undo, field.name) for field in fields(undo)}
    return class_(**known, **more)


def no_store(what: str, name: str, key: str) -> UsageError:
    """The error where the system file does not name the store."""
    return UsageError(
        f"this experiment breaks {what}, but the system names none",
        help=f"add `{name}:` with its `{key}` under `stores` of the system file",
    )


class StoreDriver(Driver):
    """Changes of one store. A record says what only this process works at; that is in `held`."""

    store: ClassVar[str]

    def __init__(self, clock: Clock | None = None) -> None:
        self.held = Held()
        self.clock = clock or SystemClock()

    def begun(self, make: Callable[..., U], do: str, context: InjectionContext) -> U:
        """The record of a change of a store, by `make` of its class and address."""
        part, name = context.direct.parts.get(self.store), short(context.next_name())
        return make(
            do=do,
            name=name,
            part=part,
            instance=server_instance.of(part),
            project=context.direct.has_stores,
        )

    def counted(self, record: StoreUndo, unit: str, what: str) -> Dose:
        """The measurement of a change that is over at once: how many of something it hit."""
        count = self.held.done(record.name)
        return count > 0, float(count), unit, Message(f"dose.{unit}_{what}", count=count)

    def record(self, change: Any, context: InjectionContext) -> StoreUndo:
        """The undo as far as it is known before the store is asked."""
        raise NotImplementedError

    async def read(self, change: Any, undo: Any, environment: Environment) -> StoreUndo:
        """The undo with what only the store knows."""
        raise NotImplementedError

    async def restore(self, record: Any, environment: Environment) -> None:
        """Take back what the store itself keeps."""
        raise NotImplementedError

    def on_disk(self, record: Any) -> bool:
        """True if it comes back with the disk of a store that is away."""
        raise NotImplementedError

    def is_held(self, record: Any) -> bool:
        """True if it is there for as long as this process works at it."""
        raise NotImplementedError

    async def seen(self, record: Any, environment: Environment) -> tuple[bool, StoreServer]:
        """Whether the store shows it, and which server answers."""
        raise NotImplementedError

    async def prepare(self, change: Any, context: InjectionContext) -> StoreUndo:
        """Read what the undo will need, and that it can be done. Raises StoreError."""
        undo, environment = self.record(change, context), context.direct.environment
        self.held.know(undo.name, environment)
        return await self.read(change, undo, environment)

    async def undo(self, record: Any, environment: Environment, policy: UndoPolicy) -> None:
        """End the work at it, and take back what the store keeps. Raises StoreError."""
        del policy
        await self.held.stop(record.name)
        try:
            await self.restore(record, self.held.secrets(record.name, environment))
        except (StoreGoneError, UsageError) as error:  # the latter where its address is not known
            on_disk = self.on_disk(record)
            if isinstance(error, StoreGoneError) and not on_disk:
                return  # `look` asks whether it has ended
            if not await lost(record, on_disk=on_disk):
                raise

    async def look(self, record: Any, environment: Environment) -> State:
        """State of the change; a dropped index is gone when it is there again."""
        if self.is_held(record) and self.held.goes_on(record.name):
            return State(gone=False, why=THERE)
        try:
            there, now = await self.seen(record, self.held.secrets(record.name, environment))
        except (StoreGoneError, UsageError) as error:
            return await away(record, error, on_disk=self.on_disk(record))
        if there:
            return State(gone=False, why=THERE)
        state = unless_another(record, now)
        why = "" if state.gone else await lost(record, on_disk=self.on_disk(record))
        return State(gone=True, why=why) if why else state
