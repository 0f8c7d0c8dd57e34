"""Things done to a PostgreSQL itself, past its proxy: locks, connections, an index, slow writes.

`lock`, `connections` and `kill` are held by sessions that bear the run's own name and end with
them. Each such session is a lease in the server itself: the server ends one that is not heard of
for `LEASE_S`, so that nothing stays when its owner is frozen, killed or cut off. To undo them from
another process, the sessions of that name are ended.

`slow` adds a trigger that sleeps until a moment written in it, and not after. `index` drops an
index, which its own definition, journaled before, makes again; nothing else can.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import asyncpg

from gameday.core.clock import NS
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import postgres_index
from gameday.injection.drivers.driver import Dose, Environment
from gameday.injection.drivers.held import wanted
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.store_sessions import (
    StoreDriver,
    StoreError,
    address,
    extended,
    no_store,
    server,
    store_error,
)
from gameday.spec.changes import (
    EndSessions,
    IndexDropped,
    LockTable,
    SlowWrites,
    SqlChange,
    TakeConnections,
)
from gameday.spec.undos import IndexUndo, SqlUndo, StoreServer

CONNECT_S = 3.0  # a server without free connections refuses at once; a dead address never answers
ANSWER_S = 5.0  # of one statement; each is on a catalogue or a single row
LOCK_WAIT_S = 3.0  # DDL that waits longer would hold up everybody behind it
LEASE_S = 5.0  # as the run's own lease (`run.reaper.lease`), which cannot be imported here
RENEW_S = 1.0  # five chances before the lease is over
BEGIN_S = 15.0
"""How long it may take to have all that is to be held; then leases are as short as said."""
AT_A_TIME = 8  # a server forks for each; 8 at once do not stall the others
MOST_SESSIONS = 2_000
# Others come back while theirs are being taken, and get a part of them: each round leaves less.
ROUNDS = 20
OVERDUE_S = 10
"""How long after its time a slow trigger that nobody has removed still sleeps."""
HELD_BY_SESSIONS = ("lock", "connections", "kill")
_BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class SqlDriver(StoreDriver):
    """Changes of a PostgreSQL."""

    undo_s = 600.0  # an index of a large table is made again
    store = "postgres"

    def record(self, change: SqlChange, context: InjectionContext) -> SqlUndo:
        """The undo as far as it is known before PostgreSQL is asked. Raises UsageError."""
        store = context.direct.stores.postgres
        if store is None:
            raise no_store("PostgreSQL itself", "postgres", "dsn")
        make = partial(SqlUndo, dsn=store.dsn.model_dump(mode="json"))
        return self.begun(make, change.do, context)

    async def read(self, change: SqlChange, undo: SqlUndo, environment: Environment) -> SqlUndo:
        """The undo with what only PostgreSQL knows."""
        async with _session(undo, environment) as session:
            undo = replace(undo, server=await _server(session, undo, environment))
            if isinstance(change, LockTable | SlowWrites):
                await _table(session, change.table)
            if isinstance(change, IndexDropped):
                name, definition = await postgres_index.look_at(session, change.index)
                more = {"definition": definition, "concurrently": change.concurrently}
                return extended(IndexUndo, undo, index=name, **more)
        return undo

    async def act(self, change: SqlChange, undo: SqlUndo, context: InjectionContext) -> None:
        """Do it; what sessions hold is held by a task of its own until `undo`."""
        environment = context.direct.environment
        if isinstance(change, LockTable | TakeConnections | EndSessions):
            holding = _Holding(change, undo, environment, self)
            await holding.begin()
            await self.held.start(undo.name, holding.go_on())
            return
        async with _session(undo, environment) as session:
            if isinstance(change, SlowWrites):
                await _slow(session, change, undo.name)
            elif isinstance(undo, IndexUndo):
                name = postgres_index.quoted(undo.index)
                await session.execute(f"DROP INDEX {postgres_index.how(undo)} {name}")

    async def restore(self, record: SqlUndo, environment: Environment) -> None:
        """Take it back: only sessions, triggers and indexes that the record names."""
        async with _session(record, environment) as session:
            if isinstance(record, IndexUndo):
                await postgres_index.make_again(session, record)
            elif record.do == "slow":
                await _no_longer_slow(session, record.name)
            else:
                await session.execute(_END_SESSIONS, record.name)

    def on_disk(self, record: SqlUndo) -> bool:
        """True for a trigger and an index: what is on its disk comes back with it."""
        return record.do not in HELD_BY_SESSIONS

    def is_held(self, record: SqlUndo) -> bool:
        """True for sessions: asking may need the very connection that is not to be had."""
        return record.do in HELD_BY_SESSIONS

    async def seen(self, record: SqlUndo, environment: Environment) -> tuple[bool, StoreServer]:
        async with _session(record, environment) as session:
            return await _is_there(session, record), await _server(session, record, environment)

    async def dose(self, record: SqlUndo) -> Dose | None:
        """The number of connections that were taken or ended; None where reading back tells it."""
        if record.do not in ("connections", "kill"):
            return None
        what = "taken" if record.do == "connections" else "ended"
        return self.counted(record, "connections", what)


async def _is_there(session: asyncpg.Connection, record: SqlUndo) -> bool:
    if isinstance(record, IndexUndo):
        return not await postgres_index.is_there(session, record.index)
    asked = _IS_SLOW if record.do == "slow" else _HAS_SESSIONS
    return bool(await session.fetchval(asked, record.name))


async def _server(
    session: asyncpg.Connection, record: SqlUndo, environment: Environment
) -> StoreServer:
    """Which server answers: no two were started in the same microsecond."""
    began_s = float(await session.fetchval(_SINCE))
    now_s = float(await session.fetchval(_NOW))
    url, database = address(record.dsn, environment), str(await session.fetchval(_DATABASE))
    return server(url, repr(began_s), began_s, now_s, database=database)


_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
_SINCE = "SELECT extract(epoch FROM pg_postmaster_start_time())"
_NOW = "SELECT extract(epoch FROM clock_timestamp())"
_DATABASE = "SELECT current_database()"
_HAS_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
_IS_SLOW = """
SELECT (SELECT count(*) FROM pg_trigger WHERE tgname = $1)
     + (SELECT count(*) FROM pg_proc WHERE proname = $1)
"""
_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
  AND pid <> pg_backend_pid() AND NOT starts_with(application_name, 'gameday-')
  AND ($1::text IS NULL OR application_name = $1)
"""


class _Holding:
    """One fault that sessions of this process hold."""

    def __init__(
        self,
        change: LockTable | TakeConnections | EndSessions,
        undo: SqlUndo,
        environment: Mapping[str, str],
        driver: SqlDriver,
    ) -> None:
        self._change = change
        self._undo = undo
        self._environment = environment
        self._held = driver.held
        self._clock = driver.clock
        self._sessions: list[asyncpg.Connection] = []

    async def begin(self) -> None:
        """Have what is to be held, or nothing. Raises StoreError."""
        try:
            self._sessions.append(await self._open())
            first = self._sessions[0]
            if isinstance(self._change, LockTable):
                table = postgres_index.quoted(self._change.table)
                await first.execute(f"BEGIN; LOCK TABLE {table}")
            else:
                await self._work(first, self._change)
            await self._renew()
        except BaseException as error:
            self._drop()
            if isinstance(error, _BROKEN):
                raise store_error("postgres", error) from error
            raise

    async def go_on(self) -> None:
        """Renew each session's lease, and the fault, until cancelled or the server ends it."""
        change = self._change
        every_s = change.every_ms / 1000 if isinstance(change, EndSessions) else 0.0
        next_ns = self._clock.now_ns() + int(every_s * NS)
        try:
            while wanted():
                await self._clock.sleep(min(every_s or RENEW_S, RENEW_S))
                await self._renew()
                if isinstance(change, LockTable):
                    continue
                due = every_s and self._clock.now_ns() >= next_ns
                if due or isinstance(change, TakeConnections):
                    await self._work(self._sessions[0], change)
                    next_ns = self._clock.now_ns() + int(every_s * NS)
        except _BROKEN:
            return  # it reads back as gone, and the witnesses will say so
        finally:
            self._drop()

    async def _renew(self) -> None:
        """Be heard of; the lease is short from here on."""
        for session in self._sessions:
            await session.execute(f"SET idle_session_timeout = {_ms(LEASE_S)}")

    async def _work(
        self, session: asyncpg.Connection, change: TakeConnections | EndSessions
    ) -> None:
        """End others' sessions, or take every connection there is, theirs last where asked."""
        if isinstance(change, EndSessions):
            ended = await session.fetch(_OTHERS, change.application)
            self._held.count(self._undo.name, len(ended))
            return
        await self._take_all()
        rounds = ROUNDS if change.end_others else 0
        while rounds and await session.fetch(_OTHERS, change.application):
            await self._take_all()
            rounds -= 1

    async def _take_all(self) -> None:
        """Some at a time: each takes the server and this process a while to get to know."""
        before = len(self._sessions)
        taking = (self._take() for _ in range(AT_A_TIME))
        said = await asyncio.gather(*taking, return_exceptions=True)
        self._held.count(self._undo.name, len(self._sessions) - before)
        for problem in said:
            if problem is not None:
                raise problem

    async def _take(self) -> None:
        """Open sessions until there is no room for another."""
        while True:
            if len(self._sessions) >= MOST_SESSIONS:
                raise StoreError(f"postgres: {MOST_SESSIONS} connections, and there is still room")
            try:
                self._sessions.append(await self._open())
            except asyncpg.TooManyConnectionsError:
                return

    async def _open(self) -> asyncpg.Connection:
        """A session that the server ends when it is not heard of: soon, once it was renewed.

        Whoever is cancelled meanwhile does not break the handshake off: it goes on to its end
        (`CONNECT_S`), and a session that comes of it is closed.
        """
        handshake = asyncio.ensure_future(
            connect(
                address(self._undo.dsn, self._environment),
                timeout=CONNECT_S,
                command_timeout=ANSWER_S,
                server_settings={
                    "application_name": self._undo.name,
                    "idle_session_timeout": _ms(BEGIN_S),
                    "idle_in_transaction_session_timeout": _ms(LEASE_S),
                    "lock_timeout": _ms(LOCK_WAIT_S),
                },
            )
        )
        try:
            return await asyncio.shield(handshake)
        except asyncio.CancelledError:
            handshake.add_done_callback(_close_late)
            raise

    def _drop(self) -> None:
        """Without waiting: the server ends a session whose connection is closed."""
        for session in self._sessions:
            session.terminate()
        self._sessions.clear()


def _close_late(handshake: "asyncio.Future[asyncpg.Connection]") -> None:
    """Close the session that nobody waits for any more."""
    if not handshake.cancelled() and handshake.exception() is None:
        handshake.result().terminate()


@asynccontextmanager
async def _session(record: SqlUndo, environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    """A session of its own for a moment. Raises StoreError, StoreGoneError when nobody listens."""
    limits = {
        "application_name": "gameday-at-work",
        "lock_timeout": _ms(LOCK_WAIT_S),
        "statement_timeout": _ms(ANSWER_S),
    }
    session = None
    try:
        session = await connect(
            address(record.dsn, environment), timeout=CONNECT_S, server_settings=limits
        )
        yield session
    except _BROKEN as error:
        raise store_error("postgres", error) from error
    finally:
        if session is not None:
            session.terminate()


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


async def _table(session: asyncpg.Connection, name: str) -> None:
    """Raises StoreError when there is no such table."""
    if await session.fetchval("SELECT to_regclass($1)::text", postgres_index.quoted(name)) is None:
        raise StoreError(f"postgres: there is no table {name!r}")


async def _slow(session: asyncpg.Connection, change: SlowWrites, own_name: str) -> None:
    """A trigger that sleeps before each statement that writes to the table."""
    name, table = postgres_index.quoted(own_name), postgres_index.quoted(change.table)
    last = await session.fetchval(
        "SELECT (clock_timestamp() + make_interval(secs => $1))::text",
        change.lasts_ms / 1000 + OVERDUE_S,
    )
    sleep = f"PERFORM pg_sleep({change.delay_ms / 1000:.3f});"
    body = (
        f"BEGIN IF clock_timestamp() < '{last}'::timestamptz THEN {sleep} END IF; RETURN NULL; END"
    )
    async with session.transaction():
        await session.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
        )
        await session.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


async def _no_longer_slow(session: asyncpg.Connection, own_name: str) -> None:
    """First make it sleep no more, which needs no lock on the table; then remove it."""
    if not await session.fetchval(_IS_SLOW, own_name):
        return
    name = postgres_index.quoted(own_name)
    await session.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN NULL; END$$"
    )
    await session.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")  # and its trigger
