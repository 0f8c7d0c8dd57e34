"""Rows of a PostgreSQL: one read-only transaction that sees one state, a piece after the other."""

import asyncio
from collections.abc import Mapping
from typing import Final

import asyncpg

from gameday.core.errors import UsageError
from gameday.evidence.rows import LONGEST_ID, RowError, Rows
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.request import secret
from gameday.plan.stores import (
    FIRST_PIECE,
    PIECE,
    STATEMENT_TIMEOUT_MS,
    STORE_S,
    TWO_COLUMNS,
    StoreReadError,
    StoreRows,
)
from gameday.plan.stores.values import count_value, id_value, only_value, user_value
from gameday.spec.system import PostgresStore

# Columns of other types may hold a megabyte in each row, which no id is, and no number of a user.
SHORT_TYPES: Final = frozenset({"int2", "int4", "int8", "uuid"})
NUMERIC: Final = frozenset({"numeric", "float4", "float8", "bool"})  # a user is read by its type
_WHOLE: Final = frozenset({"int2", "int4", "int8"})
_CONNECT_S: Final = 5.0
WRONG: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


async def read_postgres(
    store: PostgresStore, campaign: str, environment: Mapping[str, str], *, counts: bool = False
) -> StoreRows:
    """The rows of the store; with `counts` also its stock and what is left, or these alone.

    Raises UsageError, RowError, StoreReadError, OSError or TimeoutError.
    """
    if store.rows is None and not counts:
        raise UsageError("stores.postgres: no `rows`")
    try:
        return await _read(store, store.rows, campaign, environment, counts=counts)
    except WRONG as error:
        raise StoreReadError(f"stores.postgres: {type(error).__name__}: {error}") from error


async def _read(
    store: PostgresStore,
    query: str | None,
    campaign: str,
    environment: Mapping[str, str],
    *,
    counts: bool,
) -> StoreRows:
    dsn = secret(store.dsn, environment)
    try:
        connection = await connect(
            dsn,
            timeout=_CONNECT_S,
            server_settings={"statement_timeout": str(STATEMENT_TIMEOUT_MS)},
        )
    except (ValueError, TypeError, asyncpg.InterfaceError) as error:
        raise unusable("stores.postgres.dsn", error) from error
    found = StoreRows()
    try:
        async with asyncio.timeout(STORE_S):
            await _must_be_primary(connection)
            if query is not None:
                query = await _of_two_columns(connection, query)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                if query is not None:
                    found.rows = await _few_at_a_time(connection, query, campaign)
                if counts and store.stock is not None:
                    found.stock = await _count(connection, "stock", store.stock, campaign)
                if counts and store.remaining is not None:
                    found.remaining = await _count(
                        connection, "remaining", store.remaining, campaign
                    )
    finally:
        await connection.close(timeout=2)
    return found


async def _of_two_columns(connection: asyncpg.Connection, query: str) -> str:
    if (columns := len((await connection.prepare(query)).get_attributes())) < 2:
        raise RowError(f"`rows` yields {columns} column: {TWO_COLUMNS}")
    return await with_short_texts(connection, query)


async def _few_at_a_time(connection: asyncpg.Connection, query: str, campaign: str) -> Rows:
    """The rows of a query that only reads, a piece of the answer after the other."""
    found, count = Rows(), FIRST_PIECE
    statement = await connection.prepare(query)
    cursor = await statement.cursor(*_arguments(statement, campaign))
    while rows := await cursor.fetch(count):
        found.add([user_value(row[0]) for row in rows], [id_value(row[1]) for row in rows])
        count = PIECE  # the first ones were small
    return found


def _arguments(statement: "asyncpg.prepared_stmt.PreparedStatement", campaign: str) -> list[object]:
    """The campaign as the query takes it: a number where its column is one; nothing without $1."""
    types = [each.name for each in statement.get_parameters()]
    if types[:1] and types[0] in _WHOLE:
        if not campaign.removeprefix("-").isdecimal():
            raise RowError(f"$1 is a number in this query, and the campaign is {campaign!r}")
        return [int(campaign)]
    return [campaign] if types else []


async def _count(connection: asyncpg.Connection, key: str, query: str, campaign: str) -> int:
    statement = await connection.prepare(query)
    cursor = await statement.cursor(*_arguments(statement, campaign))
    return count_value(key, only_value(key, await cursor.fetch(2)))


async def _must_be_primary(connection: asyncpg.Connection) -> None:
    """Raise StoreReadError for a standby: what it does not have yet would be missing."""
    try:
        recovers = await connection.fetchval("SELECT pg_catalog.pg_is_in_recovery()")
    except asyncpg.PostgresError:  # what only talks as PostgreSQL does may not know it
        return
    if recovers:
        raise StoreReadError("stores.postgres is a standby, which may lag behind: name its primary")


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


def unusable(key: str, error: Exception) -> UsageError:
    """The error of a library quotes pieces of the address, and a piece may be of the password."""
    what = type(error).__name__
    help = "percent-encode what is special in a password: / ? # @ : %"
    return UsageError(f"{key}: the value behind it is no address ({what})", help=help)
