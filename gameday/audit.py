"""The audit: what the stores hold in the end, read past the proxies.

The rows come from the store that is the authority where the system file gives one, else from
the system's own audit answer; where both are given they must be equal sets. The stores are
read PostgreSQL (or the answer again), Redis (one MULTI), PostgreSQL: equal row sets before and
after make a consistent cut; else again, three times, then unknown.

It takes apart as many rows as coupons were issued, and lets nobody else in while it does: whoever
has an event loop that must go on reads the audit beside it.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import asyncpg
import redis.asyncio

from gameday.clock import Clock
from gameday.effects.request import Sender, secret, secrets_of
from gameday.errors import GamedayError, UsageError
from gameday.hiding import Hidden, hidden_in
from gameday.system import PostgresStore, RedisStore, System
from gameday.workload.template import fill_text

Rows = list[tuple[int, str]]
STATEMENT_TIMEOUT_MS = 10_000
TRIES = 3
PIECE = 2_000  # rows
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


@dataclass(slots=True)
class Audit:
    """What was read; the fields of audit.json."""

    campaign: str
    stock: int | None
    rows: Rows = field(default_factory=list)
    rows_from: Literal["postgres", "audit"] = "audit"
    cut: Literal["consistent", "moving", "unknown"] = "unknown"
    answer: Mapping[str, Any] | None = None
    answer_rows_equal: bool | None = None
    views: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    read_at_ns: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"schema": 1, **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    def write(self, path: Path) -> None:
        """As JSON, a row a line. Raises OSError."""
        with path.open("w") as file:
            file.writelines(_in_pieces(self.as_json()))
            file.write("\n")


async def read(
    system: System, sender: Sender, campaign: str, stock: int | None, clock: Clock
) -> Audit:
    """Ask the system, then look for ourselves. Never raises for what a system does: it is told."""
    audit = Audit(campaign, stock, read_at_ns=clock.now_ns())
    problems = []
    try:
        audit.answer = _answer((await sender.send(system.audit)).json())
        audit.stock = stock if stock is not None else audit.answer["stock"]
        audit.rows = _rows_of(audit.answer)
        audit.views = _views(audit.answer)
        audit.cut = "consistent"
    except (GamedayError, ValueError) as error:
        problems.append(f"audit answer: {error}")
    if system.stores.postgres is not None or system.stores.redis is not None:
        try:
            await _look(audit, system, campaign, sender)
        except UNREADABLE as error:
            problems.append(f"stores: {type(error).__name__}: {error}")
            audit.cut = "unknown"
    hide = Hidden(secrets_of(system, sender.environment))
    audit.problem = hide("; ".join(problems))
    audit.answer = None if audit.answer is None else _without_secrets(audit.answer, hide)
    audit.views = hidden_in(audit.views, hide)
    return audit


def _in_pieces(value: Any) -> Iterator[str]:
    """JSON, a small piece at a time: one long call would keep every other thread waiting."""
    if isinstance(value, dict) and value:
        for n, (key, each) in enumerate(value.items()):
            yield f"{',' if n else '{'}\n{json.dumps(key)}: "
            yield from _in_pieces(each)
        yield "}"
    elif isinstance(value, list) and value:
        for n, each in enumerate(value):
            yield (",\n" if n else "[\n") + json.dumps(each)
        yield "]"
    else:
        yield json.dumps(value)


def _without_secrets(answer: Mapping[str, Any], hide: Hidden) -> dict[str, Any]:
    """The answer as it is kept: of its rows only what counts, and that as it was told."""
    try:
        _rows_of(answer)
    except ValueError:
        hidden: dict[str, Any] = hidden_in(answer, hide)
        return hidden
    rows = [{key: row[key] for key in ("userId", "issueId")} for row in answer["rows"]]
    return {**hidden_in({**answer, "rows": []}, hide), "rows": rows}


async def _look(audit: Audit, system: System, campaign: str, sender: Sender) -> None:
    """Read the stores directly until two readings of the rows around Redis' agree."""
    stores, environment = system.stores, sender.environment

    async def rows() -> Rows:
        if stores.postgres is None:
            return _rows_of(_answer((await sender.send(system.audit)).json()))
        return await _postgres_rows(stores.postgres, campaign, environment)

    audit.cut = "moving"
    for _ in range(TRIES):
        before = await rows()
        view = await _redis_view(stores.redis, campaign, environment)
        after = await rows()
        if _same(before, after):
            audit.cut = "consistent"
            break
    else:
        return
    if stores.postgres is None:
        audit.rows = after
    else:
        _keep_rows(audit, system, after)
    if view is not None:
        current = (audit.views.get("redis") or {}).get("current")
        audit.views["redis"] = {**view, "current": current}


def _keep_rows(audit: Audit, system: System, rows: Rows) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = _same(_rows_of(audit.answer), rows)
    if system.authority in (None, "postgres"):
        audit.rows, audit.rows_from = rows, "postgres"


def _same(some: Rows, others: Rows) -> bool:
    """Whether they are the same rows, in whatever order; nearly always it is the same one too."""
    return some == others or sorted(some) == sorted(others)


async def _postgres_rows(
    store: PostgresStore, campaign: str, environment: Mapping[str, str]
) -> Rows:
    dsn = secret(store.dsn, environment)
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=5,
            server_settings={"statement_timeout": str(STATEMENT_TIMEOUT_MS)},
        )
    except (ValueError, TypeError, asyncpg.InterfaceError) as error:
        raise _unusable("stores.postgres.dsn", error) from error
    try:
        async with asyncio.timeout(STATEMENT_TIMEOUT_MS / 1000):
            return await _few_at_a_time(connection, store.rows, campaign)
    finally:
        await connection.close(timeout=2)


async def _few_at_a_time(connection: asyncpg.Connection, query: str, campaign: str) -> Rows:
    """The rows of a query that only reads, a piece of the answer after the other."""
    found: Rows = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(query, campaign)
        while rows := await cursor.fetch(PIECE):
            found += [(int(row[0]), _id(row[1])) for row in rows]
    return found


async def _redis_view(
    store: RedisStore | None, campaign: str, environment: Mapping[str, str]
) -> dict[str, Any] | None:
    """Stock left and holders, from one MULTI."""
    if store is None:
        return None
    url = secret(store.url, environment)
    try:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=10)
    except (ValueError, TypeError) as error:
        raise _unusable("stores.redis.url", error) from error
    try:
        async with client.pipeline(transaction=True) as pipe:
            pipe.get(fill_text(store.remaining, {"coupon": campaign}))
            pipe.smembers(fill_text(store.holders, {"coupon": campaign}))
            remaining, holders = await pipe.execute()
    finally:
        await client.aclose()
    users = sorted(int(member) for member in holders)
    return {"remaining": None if remaining is None else int(remaining), "holders": users}


def _unusable(key: str, error: Exception) -> UsageError:
    """The error of a library quotes pieces of the address, and a piece may be of the password."""
    what = type(error).__name__
    help = "percent-encode what is special in a password: / ? # @ : %"
    return UsageError(f"{key}: the value behind it is no address ({what})", help=help)


def _answer(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or "rows" not in answer or "stock" not in answer:
        raise ValueError("it lacks `stock` or `rows`")
    return answer


def _rows_of(answer: Mapping[str, Any]) -> Rows:
    try:
        return [(int(row["userId"]), _id(row["issueId"])) for row in answer["rows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("its `rows` are not a list of {userId, issueId}") from error


def _views(answer: Mapping[str, Any]) -> dict[str, Any]:
    views = answer.get("views")
    if views is None:
        return {}
    if not isinstance(views, dict) or not all(isinstance(view, dict) for view in views.values()):
        raise ValueError("its `views` are not mappings by the name of a store")
    return dict(views)


def _id(issue_id: object) -> str:
    return "" if issue_id is None else str(issue_id)
