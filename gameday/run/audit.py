"""The audit: what the stores hold in the end, read past the proxies.

The rows come from the store that is the authority where the system file gives one, else from
the system's own audit answer; where both are given they must be equal sets. The stores are
read PostgreSQL (or the answer again), Redis, PostgreSQL: equal row sets before and after make a
consistent cut; else again, three times, then unknown. Redis is read in pieces, for a set may be
larger than memory, and its numbers must be the same before and after.

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
import numpy as np
import redis.asyncio

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.evidence.rows import (
    LONGEST_ID,
    Column,
    RowError,
    Rows,
    StoreView,
    User,
    column_of,
    user_of,
    users_of,
    whole_number,
)
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.request import Sender, secret, secrets_of
from gameday.plan.audit_answer import ask
from gameday.run.audit_file import AuditReading, mask
from gameday.spec.system import PostgresStore, RedisStore, System
from gameday.spec.template import fill_text
from gameday.traffic.user_ids import NUMBERS, UserIds

STATEMENT_TIMEOUT_MS = 10_000
STORE_S = 60.0  # all statements of one reading
TRIES = 3  # a system that still moves after its drain and two more readings does not come to rest
PIECE = 2_000  # rows, or holders in Redis
MOST_HOLDERS = 8_000_000  # as many as an answer has room for beside its rows; 320 MB as numbers
FIRST_PIECE = 50  # of rows that may be large
# Columns of other types may hold a megabyte in each row, which no id is, and no number of a user.
SHORT_TYPES = frozenset({"int2", "int4", "int8", "uuid"})
NUMERIC = frozenset({"numeric", "float4", "float8", "bool"})  # a user is read by its type
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
    ids: UserIds = NUMBERS,
    secrets: Collection[str] = (),
) -> AuditReading:
    """Ask the system, then look for ourselves. Never raises for what a system does: it is told.

    `ids` tell which spellings are one user; `secrets` are those that stand in no system file.
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
            await _look(audit, system, campaign, sender, ids)
        except UNREADABLE as error:
            problems.append(f"stores: {type(error).__name__}: {error}")
            audit.cut = "unknown"
    known = [*secrets_of(system, sender.environment), *secrets]
    mask(audit, known, system, "; ".join(problems), ids)
    return audit


async def _look(
    audit: AuditReading, system: System, campaign: str, sender: Sender, ids: UserIds
) -> None:
    """Read the stores directly until two readings of the rows around Redis' agree."""
    stores, environment = system.stores, sender.environment

    async def rows() -> Rows:
        if stores.postgres is None:
            return (await ask(system, sender)).rows
        return await _postgres_rows(stores.postgres, campaign, environment)

    audit.cut = "moving"
    for _ in range(TRIES):
        before = await rows()
        view, still = await _redis_view(stores.redis, campaign, environment)
        after = await rows()
        if still and before.same(after):
            audit.cut = "consistent"
            break
    else:
        return
    if stores.postgres is None:
        audit.rows = after
    else:
        _keep_rows(audit, system, after, ids)
    if view is not None:
        view = replace(view, current=audit.views.get("redis", {}).get("current"))
        audit.views["redis"] = asdict(view if system.actions else _current(view))


def _current(view: StoreView) -> StoreView:
    """A view that nobody told of, and that no action could have switched off: it is current.

    As far as it is there: a key that is not may have expired, or have another name.
    """
    if view.current is not None:
        return view
    holders = view.holders or None
    is_there = holders is not None or view.remaining is not None
    return replace(view, holders=holders, current=True if is_there else None)


def _keep_rows(audit: AuditReading, system: System, rows: Rows, ids: UserIds) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = audit.answer.rows.same(rows, ids.read)
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
    query = await with_short_texts(connection, query)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(query, campaign)
        while rows := await cursor.fetch(count):
            found.add([_user(row[0]) for row in rows], [_id(row[1]) for row in rows])
            count = PIECE  # the first ones were small
    return found


async def with_short_texts(connection: asyncpg.Connection, query: str) -> str:
    """The query with its texts cut by the server to just more than an id may have.

    What cannot be part of another query, as one that writes, stays as it is.
    """
    types = [each.type.name for each in (await connection.prepare(query)).get_attributes()[:2]]
    short = [types[0] in SHORT_TYPES | NUMERIC, types[1] in SHORT_TYPES] if types[1:] else [True]
    if all(short):
        return query
    told = [
        name if is_short else f"left({name}::text, {LONGEST_ID + 1})"
        for name, is_short in zip(("a", "b"), short, strict=True)
    ]
    cut = f"SELECT {', '.join(told)} FROM ({query.strip().rstrip(';')}\n) AS r (a, b)"
    try:
        await connection.prepare(cut)
    except asyncpg.PostgresError:
        return query
    return cut


async def _redis_view(
    store: RedisStore | None, campaign: str, environment: Mapping[str, str]
) -> tuple[StoreView | None, bool]:
    """Stock left and holders, and whether they stood still meanwhile."""
    if store is None:
        return None, True
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


async def _redis_told(
    store: RedisStore, campaign: str, client: redis.asyncio.Redis
) -> tuple[StoreView, bool]:
    if store.remaining is None and store.holders is None:
        raise UsageError("stores.redis: no `remaining` and no `holders`")
    values = {"coupon": campaign}
    left = None if store.remaining is None else fill_text(store.remaining, values)
    key = None if store.holders is None else fill_text(store.holders, values)

    async def numbers() -> tuple[bytes | None, int]:
        async with client.pipeline(transaction=True) as pipe:
            pipe.get(left if left is not None else "")
            pipe.scard(key if key is not None else "")
            remaining, count = await pipe.execute()
        return (None if left is None else remaining), count

    before = remaining, count = await numbers()
    if key is None:
        return StoreView(None if remaining is None else _number(remaining), None), True
    if count > MOST_HOLDERS:
        raise RowError(f"{count} holders are more than {MOST_HOLDERS}")
    users = await holders_of(client, key)
    still = before == await numbers() and len(users) == count
    return StoreView(None if remaining is None else _number(remaining), users), still


async def holders_of(client: redis.asyncio.Redis, key: str) -> list[User]:
    """The members of the set in order, each once: a scan may tell of one again."""
    pieces: list[Column] = []
    told, cursor = 0, -1
    while cursor:
        cursor, members = await client.sscan(key, max(cursor, 0), count=PIECE)
        told += len(members)
        if told > 2 * MOST_HOLDERS:
            raise RowError(f"more than {MOST_HOLDERS} holders")
        pieces.append(column_of(users_of(map(_text, members))))
    if not told:
        return []
    if any(piece.dtype.kind == "S" for piece in pieces if len(piece)):
        pieces = [piece.astype(np.bytes_) for piece in pieces if len(piece)]
    users = np.unique(np.concatenate(pieces)).tolist()
    return users if isinstance(users[0], int) else [user_of(user.decode()) for user in users]


def _unusable(key: str, error: Exception) -> UsageError:
    """The error of a library quotes pieces of the address, and a piece may be of the password."""
    what = type(error).__name__
    help = "percent-encode what is special in a password: / ? # @ : %"
    return UsageError(f"{key}: the value behind it is no address ({what})", help=help)


def _user(value: object) -> object:
    """A user from PostgreSQL: a whole number as one of Python's, a UUID or the like as its text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def _id(value: object) -> object:
    """An id from PostgreSQL as text; it may be a UUID."""
    return value if value is None or isinstance(value, str | int) else str(value)


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")


def _number(raw: bytes | str) -> int:
    return whole_number(_text(raw))
