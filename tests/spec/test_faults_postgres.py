"""PostgreSQL faults against a real PostgreSQL: there while they last, and gone when undone."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import asyncpg
import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.core.messages import Message
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers, postgres
from gameday.injection.drivers.store_sessions import StoreError
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import Change, LockTable, SlowWrites
from gameday.spec.faults.postgres import Connections, DropIndex, KillBackends, Lock, Slow
from gameday.spec.request import FromEnv
from gameday.spec.system import PostgresStore, Stores
from gameday.spec.undos import SqlUndo, Undo, from_json
from tests.support.stack_parts import is_ended
from tests.support.sut_stores import postgres_server, stop

drivers = Drivers()

RUN = "20261123T083000Z-postgres-lock-k3f9"
STORES = Stores(postgres=PostgresStore(dsn=FromEnv(env="A"), rows="SELECT 1, 2"))
NAMES = {
    Lock: "lock",
    Connections: "connections",
    KillBackends: "kill_backends",
    DropIndex: "drop_index",
    Slow: "slow",
}
TABLES = """
DROP SCHEMA IF EXISTS shop CASCADE;
CREATE SCHEMA shop;
CREATE TABLE shop.sold (id text PRIMARY KEY, coupon text, n bigint UNIQUE);
CREATE INDEX "sold_coupon" ON shop.sold (coupon) WHERE n > 0;
"""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    password = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder), password) as port:
            yield f"postgresql://gameday:{password}@127.0.0.1:{port}/postgres"


@asynccontextmanager
async def session(dsn: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    one = await asyncpg.connect(dsn, server_settings=settings, command_timeout=10)
    try:
        yield one
    finally:
        one.terminate()


@asynccontextmanager
async def tables(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    async with session(dsn) as one:
        await one.execute(TABLES)
        yield one


def site(dsn: str) -> InjectionContext:
    return InjectionContext(RUN, None, {}, Direct(STORES, {"A": dsn}))


async def begin(fault: Any, where: InjectionContext) -> tuple[Change, Undo]:
    """The fault, acted; how it is undone as another process reads it."""
    (change,) = fault.changes()
    undo = await drivers.prepare(change, where)
    await drivers.act(change, undo, where)
    return change, from_json(json.loads(json.dumps(undo.as_json())))


def fault(kind: Any, **keys: Any) -> Any:
    name = f"postgres.{NAMES[kind]}"
    return kind.model_validate({"fault": name, "at": "5s", "duration": "5s", **keys})


async def eventually(true: Callable[[], Awaitable[object]], within_s: float = 10.0) -> bool:
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(within_s * 1e9)
    while not await true():
        if clock.now_ns() > deadline_ns:
            return False
        await clock.sleep(0.05)
    return True


async def gone(undo: Undo, dsn: str) -> bool:
    """Undone twice, and read back: a server takes a moment to end a session."""
    for _ in range(2):
        await drivers.undo(undo, {"A": dsn})
    return await eventually(lambda: drivers.read_back(undo, {"A": dsn}))


async def elsewhere(undo: Undo, dsn: str) -> bytes:
    """The same in another process, which knows only the record."""
    script = f"""
import asyncio, json
from gameday.injection.drivers import Drivers
from gameday.spec.undos import Undo, from_json
undo = from_json(json.loads({json.dumps(undo.as_json())!r}))
asyncio.run(Drivers().undo(undo, {{"A": {dsn!r}}}))
print(asyncio.run(Drivers().read_back(undo, {{"A": {dsn!r}}})))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.strip()


async def is_locked(one: asyncpg.Connection) -> bool:
    try:
        async with one.transaction():
            await one.execute("SET LOCAL lock_timeout = '50ms'; SELECT count(*) FROM shop.sold")
    except asyncpg.LockNotAvailableError:
        return True
    return False


async def test_a_locked_table_is_nobody_elses_until_it_is_undone(dsn: str) -> None:
    async with tables(dsn) as one:
        _, undo = await begin(fault(Lock, table="shop.sold"), site(dsn))
        assert await is_locked(one)
        assert await drivers.read_back(undo, {"A": dsn}) is False
        assert await gone(undo, dsn)
        assert not await is_locked(one)


async def test_another_process_takes_the_lock_away(dsn: str) -> None:
    async with tables(dsn) as one:
        _, undo = await begin(fault(Lock, table="shop.sold"), site(dsn))
        assert await elsewhere(undo, dsn) in (b"True", b"False")
        assert await eventually(lambda: not_locked(one))
        assert await gone(undo, dsn)


async def not_locked(one: asyncpg.Connection) -> bool:
    return not await is_locked(one)


async def test_the_server_ends_a_lock_whose_holder_is_not_heard_of(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that stands still is a process that does."""

    class Stopped:
        def now_ns(self) -> int:
            return 0

        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(postgres, "LEASE_S", 0.5)
    async with tables(dsn) as one:
        where = site(dsn)
        (change,) = fault(Lock, table="shop.sold").changes()
        driver = postgres.SqlDriver(Stopped())
        undo = await driver.prepare(change, where)
        assert isinstance(change, LockTable)
        assert isinstance(undo, SqlUndo)
        await driver.act(change, undo, where)
        assert await is_locked(one)
        assert await eventually(lambda: not_locked(one), 5.0)
        await driver.undo(undo, None, UndoPolicy())


async def test_a_lock_that_is_not_to_be_had_leaves_nothing_behind(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_WAIT_S", 0.2)
    async with tables(dsn) as one, session(dsn) as other:
        await other.execute("BEGIN; LOCK TABLE shop.sold")
        with pytest.raises(StoreError, match="LockNotAvailable"):
            await begin(fault(Lock, table="shop.sold"), site(dsn))
        await other.execute("ROLLBACK")
        assert not await is_locked(one)


async def test_no_connection_is_left_until_it_is_undone(dsn: str) -> None:
    async with session(dsn, application_name="shop") as one:
        room = int(await one.fetchval("SHOW max_connections"))
        _, undo = await begin(fault(Connections, end_others=True), site(dsn))
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(dsn)
        told = await drivers.dose(undo)
        assert told is not None
        ok, measured, unit, _ = told
        assert (ok, unit) == (True, "connections")
        assert measured is not None
        assert room - 10 <= measured <= room + 10
        assert await drivers.read_back(undo, {"A": dsn}) is False
        assert await is_ended(one)
        with pytest.raises(asyncpg.InterfaceError):
            await one.fetchval("SELECT 1")
        assert await eventually(lambda: undone(undo, dsn))
    async with session(dsn) as one:
        assert await one.fetchval("SELECT 1") == 1
    assert await drivers.read_back(undo, {"A": dsn}) is True


async def test_those_who_connect_again_at_once_get_no_connection_back(
    dsn: str, tmp_path: Path
) -> None:
    counts = tmp_path / "open"
    with counts.open("wb") as out, reconnecting_shop(dsn, out):
        assert await eventually(lambda: open_sessions(counts, 20), 20.0)
        _, undo = await begin(fault(Connections, end_others=True), site(dsn))
        assert await eventually(lambda: open_sessions(counts, 0))
        assert await drivers.read_back(undo, {"A": dsn}) is False
    assert await eventually(lambda: undone(undo, dsn))


@contextlib.contextmanager
def reconnecting_shop(dsn: str, out: IO[bytes]) -> Iterator[None]:
    """20 clients that connect again as soon as their session was ended; `out` has how many do."""
    command = [sys.executable, "-m", "tests.support.reconnecting_shop"]
    environment = {**os.environ, "SHOP_DSN": dsn}
    process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        stop(process)


async def open_sessions(counts: Path, expected: int) -> bool:
    return counts.read_text().split()[-1:] == [str(expected)]


async def undone(undo: Undo, dsn: str) -> bool:
    """As the controller does it: again, while there is still no room to ask."""
    try:
        await drivers.undo(undo, {"A": dsn})
        return bool(await drivers.read_back(undo, {"A": dsn}))
    except StoreError:
        return False


async def test_the_sessions_of_one_application_are_ended(dsn: str) -> None:
    async with (
        session(dsn, application_name="shop") as shop,
        session(dsn, application_name="report") as report,
    ):
        killing = fault(KillBackends, application="shop")
        _, undo = await begin(killing, site(dsn))
        told = await drivers.dose(undo)
        assert told == (True, 1.0, "connections", Message("dose.connections_ended", count=1))
        assert await report.fetchval("SELECT 1") == 1
        assert await is_ended(shop)
        with pytest.raises(asyncpg.InterfaceError):
            await shop.fetchval("SELECT 1")
        assert await gone(undo, dsn)


async def test_sessions_are_ended_again_and_again_until_it_is_undone(dsn: str) -> None:
    _, undo = await begin(fault(KillBackends, application="shop", every="100ms"), site(dsn))

    async def dies() -> bool:
        async with session(dsn, application_name="shop") as one:
            try:
                await one.execute("SELECT pg_sleep(3)")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                return True
            return False

    assert await dies()
    assert await dies()
    assert await gone(undo, dsn)
    async with session(dsn, application_name="shop") as one:
        assert await one.fetchval("SELECT 1 FROM pg_sleep(0.3)") == 1


async def definition(one: asyncpg.Connection) -> str | None:
    found = await one.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'sold_coupon'")
    return None if found is None else str(found)


@pytest.mark.parametrize("concurrently", [False, True])
async def test_a_dropped_index_is_made_again_as_it_was(dsn: str, *, concurrently: bool) -> None:
    async with tables(dsn) as one:
        before = await definition(one)
        assert before is not None
        dropping = fault(DropIndex, index="shop.sold_coupon", concurrently=concurrently)
        _, undo = await begin(dropping, site(dsn))
        assert await definition(one) is None
        assert await drivers.read_back(undo, {"A": dsn}) is False
        assert await gone(undo, dsn)
        assert await definition(one) == before


async def test_another_process_makes_the_index_again(dsn: str) -> None:
    async with tables(dsn) as one:
        before = await definition(one)
        _, undo = await begin(fault(DropIndex, index="shop.sold_coupon"), site(dsn))
        assert await elsewhere(undo, dsn) == b"True"
        assert await definition(one) == before


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ("shop.sold_pkey", "keeps a constraint: the primary key"),
        ("shop.sold_n_key", "keeps a constraint: sold_n_key"),
        ("shop.nothing", "there is no index 'shop.nothing'"),
    ],
)
async def test_an_index_that_must_stay_is_refused(dsn: str, index: str, why: str) -> None:
    async with tables(dsn):
        with pytest.raises(StoreError, match=why):
            await begin(fault(DropIndex, index=index), site(dsn))


async def test_a_journal_that_somebody_wrote_into_runs_no_sql_of_theirs(dsn: str) -> None:
    async with tables(dsn) as one:
        _, undo = await begin(fault(DropIndex, index="shop.sold_coupon"), site(dsn))
        for evil in (
            "DROP TABLE shop.sold",
            "CREATE INDEX sold_coupon ON shop.sold (coupon); DROP TABLE shop.sold",
        ):
            forged = from_json({**undo.as_json(), "definition": evil})
            with pytest.raises(StoreError, match="not the definition"):
                await drivers.undo(forged, {"A": dsn})
        assert await one.fetchval("SELECT count(*) FROM shop.sold") == 0
        await drivers.undo(undo, {"A": dsn})


async def writes_ms(one: asyncpg.Connection) -> float:
    clock = SystemClock()
    began = clock.now_ns()
    await one.execute("UPDATE shop.sold SET n = 1 WHERE id = 'a'")
    return (clock.now_ns() - began) / 1e6


async def test_writes_are_slow_until_it_is_undone(dsn: str) -> None:
    async with tables(dsn) as one:
        _, undo = await begin(fault(Slow, table="shop.sold", delay="200ms"), site(dsn))
        assert await writes_ms(one) > 200
        assert await drivers.read_back(undo, {"A": dsn}) is False
        assert await gone(undo, dsn)
        assert await writes_ms(one) < 200
        left = "SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'gameday')"
        assert await one.fetchval(left) == 0


async def test_a_slow_trigger_that_nobody_removes_ends_by_itself(dsn: str) -> None:
    async with tables(dsn) as one:
        where = site(dsn)
        (change,) = fault(Slow, table="shop.sold", delay="500ms").changes()
        past = SlowWrites("shop.sold", delay_ms=500, lasts_ms=-1000 * postgres.OVERDUE_S)
        undo = await drivers.prepare(change, where)
        await drivers.act(past, undo, where)
        assert await writes_ms(one) < 500
        await drivers.undo(undo)


async def test_what_is_on_a_disk_is_not_gone_with_its_server(dsn: str) -> None:
    nobody = {"A": "postgresql://gameday:pw@127.0.0.1:1/postgres"}
    async with tables(dsn):
        _, lock = await begin(fault(Lock, table="shop.sold"), site(dsn))
        await drivers.undo(lock, {"A": dsn})
        await drivers.undo(lock, nobody)
        gone, why = await drivers.look(lock, nobody)
        assert gone is None  # it is away: whether it has ended nobody knows from here
        assert "not known to have ended" in why
        assert await drivers.read_back(lock, {"A": dsn}) is True
        _, index = await begin(fault(DropIndex, index="shop.sold_coupon"), site(dsn))
        with pytest.raises(StoreError, match="postgres: "):
            await drivers.undo(index, nobody)
        with pytest.raises(StoreError, match="postgres: "):
            await drivers.read_back(index, nobody)
        await drivers.undo(index)


async def test_a_table_that_is_not_there_and_a_store_that_is_not_named_are_told(dsn: str) -> None:
    with pytest.raises(StoreError, match="no table 'shop.nothing'"):
        await begin(fault(Lock, table="shop.nothing"), site(dsn))
    with pytest.raises(UsageError, match="names none"):
        await begin(fault(Lock, table="shop.sold"), InjectionContext(RUN, None, {}))


async def test_no_password_is_in_the_undo(dsn: str) -> None:
    async with tables(dsn):
        _, undo = await begin(fault(DropIndex, index="shop.sold_coupon"), site(dsn))
        assert undo.as_json()["dsn"] == {"env": "A"}
        assert dsn.split(":")[2].split("@")[0] not in json.dumps(undo.as_json())
        await drivers.undo(undo)


async def test_a_long_name_of_a_run_is_still_its_own(dsn: str) -> None:
    async with tables(dsn):
        where = InjectionContext(
            f"20261123T083000Z-{'x' * 64}-k3f9", None, {}, Direct(STORES, {"A": dsn})
        )
        _, undo = await begin(fault(Slow, table="shop.sold", delay="1ms"), where)
        assert len(undo.as_json()["name"]) <= 63
        assert await drivers.read_back(undo, {"A": dsn}) is False
        assert await gone(undo, dsn)


@pytest.mark.parametrize(
    ("kind", "keys", "what"),
    [
        (Lock, {"table": "a; DROP TABLE b"}, "table"),
        (Lock, {"table": 'a"b'}, "table"),
        (DropIndex, {"index": "a.b.c"}, "index"),
        (Slow, {"table": "a", "delay": 0}, "delay"),
        (Slow, {"table": "a", "delay": "1h"}, "delay"),
        (KillBackends, {"every": "1ms"}, "every"),
    ],
)
def test_what_is_no_name_or_out_of_bounds_is_refused(
    kind: Any, keys: dict[str, Any], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        fault(kind, **keys)
