"""The audit: what the stores hold in the end, read past the proxies.

The rows come from the store that is the authority where the system file gives one, else from
the system's own audit answer; where both are given they must be equal sets. The stores are
read PostgreSQL (or the answer again), Redis (one MULTI), PostgreSQL: equal row sets before and
after make a consistent cut; else again, three times, then unknown.

It takes apart as many rows as coupons were issued, and lets nobody else in while it does: whoever
has an event loop that must go on reads the audit beside it. The answer is read as it comes, 1 GB
and 20 M rows at most. Measured with ids of 36 bytes, a process grows by some 46 bytes a row while
it reads: 230 MB for 5 M rows.

What is too large, too slow or not what it should be is no evidence: the audit has a `problem`.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from decimal import Decimal

import asyncpg
import redis.asyncio

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.evidence.rows import MOST_ROWS, RowError, Rows, StoreView, user_number
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.request import Sender, secret, secrets_of
from gameday.plan.audit_answer import ask
from gameday.run.audit_file import AuditReading, mask
from gameday.spec.system import PostgresStore, RedisStore, System
from gameday.spec.template import fill_text

STATEMENT_TIMEOUT_MS = 10_000
STORE_S = 60.0  # all statements of one reading
TRIES = 3  # a system that still moves after its drain and two more readings does not come to rest
PIECE = 2_000  # rows
FIRST_PIECE = 50  # of rows that may be large
# What somebody's stores, their SQL, or the keys in the system file may answer with.
UNREADABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    redis.RedisError,
    GamedayError,
    ValueError,
    TypeError,
    LookupError,
)


async def read(
    system: System,
    sender: Sender,
    campaign: str,
    stock: int | None,
    clock: Clock,
    *,
    secrets: Collection[str] = (),
) -> AuditReading:
    """Ask the system, then look for ourselves. Never raises for what a system does: it is told.

    `secrets` are those that stand in no system file.
    """
    audit = AuditReading(campaign, stock, read_at_ns=clock.now_ns())
    problems = []
    try:
        audit.answer = await ask(system, sender)
        audit.stock = stock if stock is not None else audit.answer.stock
        audit.rows = audit.answer.rows
        audit.views = dict(audit.answer.views)
        audit.cut = "consistent"
    except (GamedayError, ValueError) as error:
        problems.append(f"audit answer: {error}")
    if system.stores.postgres is not None or system.stores.redis is not None:
        try:
            await _look(audit, system, campaign, sender)
        except UNREADABLE as error:
            problems.append(f"stores: {type(error).__name__}: {error}")
            audit.cut = "unknown"
    known = [*secrets_of(system, sender.environment), *secrets]
    mask(audit, known, system, "; ".join(problems))
    return audit


async def _look(audit: AuditReading, system: System, campaign: str, sender: Sender) -> None:
    """Read the stores directly until two readings of the rows around Redis' agree."""
    stores, environment = system.stores, sender.environment

    async def rows() -> Rows:
        if stores.postgres is None:
            return (await ask(system, sender)).rows
        return await _postgres_rows(stores.postgres, campaign, environment)

    audit.cut = "moving"
    for _ in range(TRIES):
        before = await rows()
        view = await _redis_view(stores.redis, campaign, environment)
        after = await rows()
        if before.same(after):
            audit.cut = "consistent"
            break
    else:
        return
    if stores.postgres is None:
        audit.rows = after
    else:
        _keep_rows(audit, system, after)
    if view is not None:
        told = audit.views.get("redis", {})
        audit.views["redis"] = asdict(replace(view, current=told.get("current")))


def _keep_rows(audit: AuditReading, system: System, rows: Rows) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = audit.answer.rows.same(rows)
    if system.authority in (None, "postgres"):
        audit.rows, audit.rows_from = rows, "postgres"


async def _postgres_rows(
    store: PostgresStore, campaign: str, environment: Mapping[str, str]
) -> Rows:
    if store.rows is None:
        raise UsageError("stores.postgres: no `rows`")
    dsn = secret(store.dsn, environment)
    try:
        connection = await connect(
            dsn,
            timeout=5,
            server_settings={"statement_timeout": str(STATEMENT_TIMEOUT_MS)},
        )
    except (ValueError, TypeError, asyncpg.InterfaceError) as error:
        raise _unusable("stores.postgres.dsn", error) from error
    try:
        async with asyncio.timeout(STORE_S):
            return await _few_at_a_time(connection, store.rows, campaign)
    finally:
        await connection.close(timeout=2)


async def _few_at_a_time(connection: asyncpg.Connection, query: str, campaign: str) -> Rows:
    """The rows of a query that only reads, a piece of the answer after the other."""
    found, count = Rows(), FIRST_PIECE
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(query, campaign)
        while rows := await cursor.fetch(count):
            found.add([_user(row[0]) for row in rows], [_id(row[1]) for row in rows])
            count = PIECE  # the first ones were small
    return found


async def _redis_view(
    store: RedisStore | None, campaign: str, environment: Mapping[str, str]
) -> StoreView | None:
    """Stock left and holders, from one MULTI."""
    if store is None:
        return None
    url = secret(store.url, environment)
    try:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=STATEMENT_TIMEOUT_MS / 1000)
    except (ValueError, TypeError) as error:
        raise _unusable("stores.redis.url", error) from error
    try:
        async with asyncio.timeout(STORE_S):
            return await _redis_told(store, campaign, client)
    finally:
        await client.aclose()


async def _redis_told(store: RedisStore, campaign: str, client: redis.asyncio.Redis) -> StoreView:
    if store.remaining is None or store.holders is None:
        raise UsageError("stores.redis: no `remaining` or no `holders`")
    values = {"coupon": campaign}
    key = fill_text(store.holders, values)
    count = await client.scard(key)
    if count > MOST_ROWS:
        raise RowError(f"{count} holders are more than {MOST_ROWS}")
    async with client.pipeline(transaction=True) as pipe:
        pipe.get(fill_text(store.remaining, values))
        pipe.smembers(key)
        remaining, holders = await pipe.execute()
    users = sorted(_member(member) for member in holders)
    return StoreView(None if remaining is None else _member(remaining), users)


def _unusable(key: str, error: Exception) -> UsageError:
    """The error of a library quotes pieces of the address, and a piece may be of the password."""
    what = type(error).__name__
    help = "percent-encode what is special in a password: / ? # @ : %"
    return UsageError(f"{key}: the value behind it is no address ({what})", help=help)


def _user(value: object) -> object:
    """A whole number of PostgreSQL as one of Python's; what is none is refused where rows are."""
    return (
        int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value
    )


def _id(value: object) -> object:
    """An id from PostgreSQL as text; it may be a UUID."""
    return value if value is None or isinstance(value, str | int) else str(value)


def _member(raw: bytes) -> int:
    return user_number(raw.decode("utf-8", "replace"))
