"""The audit: what the stores hold in the end, read past the proxies.

The rows come from the store that is the authority where the system file gives one, else from
the system's own audit; where both are given they must be equal sets. The stores are read PostgreSQL
or MySQL (or the answer again), Redis, PostgreSQL: equal row sets before and after make a consistent
cut; else again, three times, then unknown. Redis is read in pieces, for a set may be larger than
memory, and its numbers must be the same before and after. An audit that is a store alone, or that
comes in pages, is read until two readings agree, too.

It takes apart as many rows as coupons were issued, and lets nobody else in while it does: whoever
has an event loop that must go on reads the audit beside it. The answer is read as it comes, 1 GB
and 20 M rows at most. Measured with ids of 36 bytes, a process grows by some 46 bytes a row while
it reads: 230 MB for 5 M rows.

What is too large, too slow or not what it should be is no evidence: the audit has a `problem`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Literal

import asyncpg
import redis.asyncio

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.secrets.redaction import nothing
from gameday.evidence.rows import RowError, Rows, StoreView, User, user_of, whole_number
from gameday.injection.drivers.request import Sender, secrets_of
from gameday.plan.audit_answer import ask, comes_in_parts, read_store
from gameday.plan.stores import StoreReadError
from gameday.plan.stores.redis import MOST_HOLDERS, HolderSet, holders_of, scan, session
from gameday.plan.stores.values import text_of
from gameday.run.audit_file import AuditReading, HideIds, by_row, mask
from gameday.run.hidden_ids import nothing_hidden
from gameday.spec.audit import AuditStore
from gameday.spec.system import RedisStore, System
from gameday.spec.template import fill_text
from gameday.spec.users_hidden import Hide
from gameday.traffic.listed_ids import ListedIds
from gameday.traffic.user_ids import NUMBERS, UserIds

TRIES = 3  # a system that still moves after its drain and two more readings does not come to rest
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
    ids: UserIds | ListedIds = NUMBERS,
    secrets: Collection[str] = (),
    hide: Hide = nothing,
    hide_ids: HideIds = nothing_hidden,
    look: Callable[[Rows], object] = len,
) -> AuditReading:
    """Ask the system, then look for ourselves. Never raises for what a system does: it is told.

    `ids` tell which spellings are one user; `secrets` are those that stand in no system file, and
    `hide` takes out of a text what a file of users holds, `hide_ids` out of ids of issues.
    `look` sees the rows as they were told.
    """
    audit = AuditReading(campaign, stock, read_at_ns=clock.now_ns())
    problems = []
    try:
        await _answer(audit, system, stock, sender, ids)
    except (GamedayError, ValueError) as error:
        problems.append(f"audit answer: {error}")
    if _looked_into(system):
        try:
            await _look(audit, system, campaign, sender, ids)
        except UNREADABLE as error:
            kind = "" if isinstance(error, StoreReadError) else f"{type(error).__name__}: "
            problems.append(f"stores: {kind}{error}")
            audit.cut = "unknown"
    known = [*secrets_of(system, sender.environment), *secrets]
    look(audit.rows)
    kept = by_row(audit, ids) if isinstance(ids, ListedIds) else ids
    told = "; ".join(problems)
    mask(audit, known, system, told, kept, hide_cells=hide, hide_ids=hide_ids)
    return audit


async def _answer(
    audit: AuditReading,
    system: System,
    stock: int | None,
    sender: Sender,
    ids: UserIds | ListedIds,
) -> None:
    """What the audit itself tells; one that is read in parts is read until two readings agree."""
    answer = await ask(system, sender)
    cut: Literal["consistent", "moving"] = "consistent"
    if comes_in_parts(system):
        cut = "moving"
        for _ in range(TRIES):
            before, answer = answer, await ask(system, sender)
            if before.rows.same(answer.rows, ids.read) and before.beside == answer.beside:
                cut = "consistent"
                break
    alone = isinstance(system.audit, AuditStore)
    if cut == "moving" and not alone:  # pages that moved may tell of one issue twice
        raise RowError("its pages still changed from one reading to the next")
    audit.stock = stock if stock is not None else answer.stock
    audit.rows, audit.views, audit.cut = answer.rows, dict(answer.views), cut
    if alone:  # the rows are not told twice
        audit.rows_from = system.audit.store if isinstance(system.audit, AuditStore) else "audit"
        return
    audit.answer = answer


def _looked_into(system: System) -> bool:
    """True if stores are read beside the audit."""
    return _rows_store(system) is not None or _view_store(system) is not None


def _rows_store(system: System) -> Literal["postgres", "mysql"] | None:
    """The store whose rows are compared with the answer; None where the audit is a store."""
    if isinstance(system.audit, AuditStore):
        return None
    if system.stores.postgres is not None:
        return "postgres"
    return None if system.stores.mysql is None else "mysql"


def _view_store(system: System) -> RedisStore | None:
    """The Redis that is compared with the rows; None where there is none, or it is the audit."""
    store = system.stores.redis
    if isinstance(system.audit, AuditStore):
        if system.audit.store == "redis" or store is None:
            return None
        return None if store.remaining is None and store.holders is None else store
    return store


async def _look(
    audit: AuditReading, system: System, campaign: str, sender: Sender, ids: UserIds | ListedIds
) -> None:
    """Read the stores directly until two readings of the rows around Redis' agree."""
    name = _rows_store(system)

    async def rows() -> Rows:
        if name is None:
            return (await ask(system, sender)).rows
        return (await read_store(system, name, sender)).rows

    audit.cut = "moving"
    for _ in range(TRIES):
        before = await rows()
        view, still = await _redis_view(_view_store(system), campaign, sender.environment)
        after = await rows()
        if still and before.same(after):
            audit.cut = "consistent"
            break
    else:
        return
    if name is None:
        audit.rows = after
    else:
        _keep_rows(audit, system, name, after, ids)
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


def _keep_rows(
    audit: AuditReading,
    system: System,
    name: Literal["postgres", "mysql"],
    rows: Rows,
    ids: UserIds | ListedIds,
) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = audit.answer.rows.same(rows, ids.read)
    if system.authority in (None, name):
        audit.rows, audit.rows_from = rows, name


async def _redis_view(
    store: RedisStore | None, campaign: str, environment: Mapping[str, str]
) -> tuple[StoreView | None, bool]:
    """Stock left and holders, and whether they stood still meanwhile."""
    if store is None:
        return None, True
    async with session(store, environment) as client:
        return await _redis_told(store, campaign, client)


async def _redis_told(
    store: RedisStore, campaign: str, client: redis.asyncio.Redis
) -> tuple[StoreView, bool]:
    if store.remaining is None and store.holders is None:
        raise UsageError("stores.redis: no `remaining` and no `holders`")
    values = {"coupon": campaign}
    left = None if store.remaining is None else fill_text(store.remaining, values)
    where = store.where
    if where is not None and where.set is None:
        return await _redis_scanned(store, left, campaign, client)
    key = None if where is None else fill_text(where.key, values)

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


async def _redis_scanned(
    store: RedisStore, left: str | None, campaign: str, client: redis.asyncio.Redis
) -> tuple[StoreView, bool]:
    """The same of holders in another form: they stood still if two scans tell the same."""

    async def once() -> tuple[bytes | str | None, list[User]]:
        remaining = None if left is None else await client.get(left)
        rows, held = Rows(), HolderSet()
        if store.where is not None:
            async for piece in scan(client, store.where, campaign):
                held.add(piece)
        held.put_into(rows)
        return remaining, [user_of(user) for user, _ in rows]

    before = await once()
    remaining, users = after = await once()
    number = None if remaining is None else _number(remaining)
    return StoreView(number, list(dict.fromkeys(users))), before == after


def _number(raw: bytes | str) -> int:
    return whole_number(text_of(raw))
