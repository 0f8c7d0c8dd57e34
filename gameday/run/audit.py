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
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, Literal

import asyncpg
import redis.asyncio

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.secrets.redaction import Hidden, distinct, hidden_in
from gameday.evidence.rows import MOST_ROWS, RowError, Rows, checked_view, user_number
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.request import Sender, secret, secrets_of
from gameday.plan.audit_answer import ask
from gameday.spec.system import PostgresStore, RedisStore, System
from gameday.spec.template import fill_text

STATEMENT_TIMEOUT_MS = 10_000
STORE_S = 60.0  # all statements of one reading
TRIES = 3  # CONTRACTS: a cut that moves is read three times, then it is unknown
PIECE = 2_000  # rows
FIRST_PIECE = 50  # of rows that may be large
KEYS = ("code", "stock", "views")  # what the format of an audit answer names
VIEW_KEYS = ("remaining", "holders", "current")
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
class AuditReading:
    """Content of the stores in the end; the fields of audit.json."""

    campaign: str
    stock: int | None
    rows: Rows = field(default_factory=Rows)
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
) -> AuditReading:
    """Ask the system, then look for ourselves. Never raises for what a system does: it is told."""
    audit = AuditReading(campaign, stock, read_at_ns=clock.now_ns())
    problems = []
    try:
        audit.answer = await ask(system, sender)
        audit.stock = stock if stock is not None else audit.answer["stock"]
        audit.rows = audit.answer["rows"]
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
    mask(audit, secrets_of(system, sender.environment), system, "; ".join(problems))
    return audit


def mask(audit: AuditReading, secrets: Sequence[str], system: System, problem: str) -> None:
    """Take secrets out of what was said; what judging reads back stays as it was said.

    That is rows, numbers, the keys of the format, and stores by the names that the system has.
    """
    hide, hide_name = Hidden(secrets), Hidden(secrets, _names(system))
    audit.problem = hide(problem)
    audit.views = _masked_views(audit.views, hide, hide_name)
    if audit.answer is not None:
        audit.answer = _masked_answer(audit.answer, hide, hide_name)


def _names(system: System) -> str:
    return " ".join(["postgres redis", *system.proxies, *system.dependencies])


def _in_pieces(value: Any, depth: int = 0) -> Iterator[str]:
    """JSON, a small piece at a time: one long call would keep every other thread waiting.

    The rows of the audit are pairs, those of the answer are objects, as the system has them.
    """
    if isinstance(value, dict) and value:
        for n, (key, each) in enumerate(value.items()):
            yield f"{',' if n else '{'}\n{json.dumps(key)}: "
            yield from _in_pieces(each, depth + 1)
        yield "}"
    elif isinstance(value, Rows):
        yield "["
        yield from _rows_in_pieces(value, as_pairs=depth == 1)
        yield "]"
    elif isinstance(value, list) and value:
        for n, each in enumerate(value):
            yield (",\n" if n else "[\n") + json.dumps(each)
        yield "]"
    else:
        yield json.dumps(value)


def _rows_in_pieces(rows: Rows, *, as_pairs: bool) -> Iterator[str]:
    for n, (user, id_) in enumerate(rows):
        start, text = ",\n" if n else "\n", encode_basestring_ascii(id_)
        if as_pairs:
            yield f"{start}[{user}, {text}]"
        else:
            yield f'{start}{{"userId": {user}, "issueId": {text}}}'


def _masked_answer(answer: Mapping[str, Any], hide: Hidden, hide_name: Hidden) -> dict[str, Any]:
    """The answer as it is kept: of its rows only what counts, and that as it was said."""
    named = {"rows": answer["rows"]}
    named |= {key: hidden_in(answer[key], hide) for key in ("code", "stock") if key in answer}
    if "views" in answer:
        views = answer["views"]
        well = isinstance(views, dict) and all(isinstance(each, dict) for each in views.values())
        named["views"] = _masked_views(views, hide, hide_name) if well else hidden_in(views, hide)
    # The rows come first: there, and only there, a reader of audit.json takes them line by line.
    others = {key: value for key, value in answer.items() if key not in (*KEYS, "rows")}
    return {**named, **hidden_in(others, hide)}


def _masked_views(views: Mapping[str, Any], hide: Hidden, hide_name: Hidden) -> dict[str, Any]:
    names = distinct(map(hide_name, views))
    return {
        name: _masked_view(view, hide) for name, view in zip(names, views.values(), strict=True)
    }


def _masked_view(view: Mapping[str, Any], hide: Hidden) -> dict[str, Any]:
    """The view with its secrets masked; numbers stay, because they are compared with the rows."""
    numbers = {key: view[key] for key in VIEW_KEYS if key in view and _is_numbers(view[key])}
    others = {key: value for key, value in view.items() if key not in numbers}
    return {**hidden_in(others, hide), **numbers}


def _is_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numbers, value))
    return value is None or isinstance(value, int | float) or str(value).strip("-").isdecimal()


async def _look(audit: AuditReading, system: System, campaign: str, sender: Sender) -> None:
    """Read the stores directly until two readings of the rows around Redis' agree."""
    stores, environment = system.stores, sender.environment

    async def rows() -> Rows:
        if stores.postgres is None:
            answered: Rows = (await ask(system, sender))["rows"]
            return answered
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
        current = (audit.views.get("redis") or {}).get("current")
        audit.views["redis"] = {**view, "current": current}


def _keep_rows(audit: AuditReading, system: System, rows: Rows) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = audit.answer["rows"].same(rows)
    if system.authority in (None, "postgres"):
        audit.rows, audit.rows_from = rows, "postgres"


async def _postgres_rows(
    store: PostgresStore, campaign: str, environment: Mapping[str, str]
) -> Rows:
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
) -> dict[str, Any] | None:
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


async def _redis_told(
    store: RedisStore, campaign: str, client: redis.asyncio.Redis
) -> dict[str, Any]:
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
    return {"remaining": None if remaining is None else _member(remaining), "holders": users}


def _unusable(key: str, error: Exception) -> UsageError:
    """The error of a library quotes pieces of the address, and a piece may be of the password."""
    what = type(error).__name__
    help = "percent-encode what is special in a password: / ? # @ : %"
    return UsageError(f"{key}: the value behind it is no address ({what})", help=help)


def _views(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Views of other stores in the answer. Raises RowError for one of another form."""
    views = answer.get("views")
    if views is None:
        return {}
    if not isinstance(views, dict) or not all(isinstance(view, dict) for view in views.values()):
        raise RowError("its `views` are not mappings by the name of a store")
    return {name: {**view, **checked_view(name, view)} for name, view in views.items()}


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
