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
from dataclasses import asdict, dataclass, replace
from typing import Literal

import asyncpg
import redis.asyncio

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError
from gameday.core.secrets.redaction import Hidden, nothing
from gameday.evidence.audit_sources import AuditSource
from gameday.evidence.rows import RowError, Rows, StoreView, User, user_of, whole_number
from gameday.injection.drivers.request import Sender, secrets_of
from gameday.plan.audit_answer import AuditAnswer, ask, comes_in_parts
from gameday.plan.beside import read_beside
from gameday.plan.stores import StoreReadError, StoreRows
from gameday.plan.stores.redis import MOST_HOLDERS, HolderSet, holders_of, scan, session
from gameday.plan.stores.values import text_of
from gameday.run.audit_file import AuditReading, HideIds, by_row, mask
from gameday.run.hidden_ids import nothing_hidden
from gameday.spec.audit import AuditStore, StoreName
from gameday.spec.audit_sources import (
    SQL,
    SqlStore,
    audit_source,
    is_own_form,
    naming,
    queries,
    rows_store,
    stores_beside,
    views_beside,
)
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
    named = naming(system, campaign)
    audit.sources = {name: AuditSource(tuple(keys)) for name, keys in named.items()}
    problems, unanswered = [], ""
    try:
        await _answer(audit, system, stock, sender, ids)
    except (GamedayError, ValueError) as error:
        unanswered = f"audit answer: {error}"
    if stores_beside(system):
        try:
            await _look(audit, system, campaign, sender, ids)
        except UNREADABLE as error:
            kind = "" if isinstance(error, StoreReadError) else f"{type(error).__name__}: "
            problems.append(f"stores: {kind}{error}")
            audit.cut = "unknown"
    if unanswered and (problems or audit.rows_from == "audit"):
        problems.insert(0, unanswered)
    elif unanswered:  # the rows are known from the store: who says nothing is not compared with it
        audit.sources["audit"].problem = unanswered
    known = [*secrets_of(system, sender.environment), *secrets]
    for source in audit.sources.values():
        source.problem = hide(Hidden(known)(source.problem))
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
    if answer.stock is not None and not is_own_form(system):
        audit.sources[audit_source(system)].stock = answer.stock
    audit.rows, audit.views, audit.cut = answer.rows, dict(answer.views), cut
    if alone:  # the rows are not told twice
        audit.rows_from = system.audit.store if isinstance(system.audit, AuditStore) else "audit"
        return
    audit.answer = answer


async def _look(
    audit: AuditReading, system: System, campaign: str, sender: Sender, ids: UserIds | ListedIds
) -> None:
    """Read the stores directly until two readings of the rows around the others' agree."""
    name, others = rows_store(system), views_beside(system)
    told = {each: audit.views.get(each, {}).get("current") for each in (*SQL, "redis")}
    audit.cut = "moving"
    for _ in range(TRIES):
        before = await _books(system, name, sender)
        views = [await _view(system, each, campaign, sender) for each in others]
        after = await _books(system, name, sender)
        still = all(view.still for view in views) and before.counts == after.counts
        if still and before.rows.same(after.rows):
            audit.cut = "consistent"
            break
    else:
        return
    if name is None:
        audit.rows = after.rows
        audit.views.update(after.answer.views if after.answer is not None else {})
    else:
        _keep_rows(audit, system, name, after.rows, ids)
        _keep_view(audit, system, after.view(name), told=told[name])
    for view in views:
        _keep_view(audit, system, view, told=told[view.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """A store as it was looked into: its view, its stock, why a count is none; and if it moved."""

    name: StoreName
    view: StoreView | None
    stock: int | None = None
    problem: str = ""
    still: bool = True


@dataclass(frozen=True, slots=True)
class _Books:
    """The rows that everything is compared with, and the counts that stand beside them."""

    rows: Rows
    counts: object  # stock and what is left; of an answer whatever stands beside its rows
    answer: AuditAnswer | None = None
    store: StoreRows | None = None
    problem: str = ""

    def view(self, name: SqlStore) -> _Looked:
        """The counts of the store itself; its rows are compared otherwise."""
        assert self.store is not None, "asked of a store"
        stock, remaining = self.store.stock, self.store.remaining
        view = None if remaining is None else StoreView(remaining, None)
        return _Looked(name=name, view=view, stock=stock, problem=self.problem)


async def _books(system: System, name: SqlStore | None, sender: Sender) -> _Books:
    """One reading of the store whose rows count, or of the audit that is a store."""
    if name is None:
        answer = await ask(system, sender)
        return _Books(answer.rows, answer.beside, answer=answer)
    found, problem = await read_beside(system, name, sender)
    counts = found.stock, found.remaining
    return _Books(found.rows, counts, store=found, problem=problem)


async def _view(system: System, name: StoreName, campaign: str, sender: Sender) -> _Looked:
    """One reading of a store whose rows do not count."""
    if name == "redis":
        return await _redis_looked(system.stores.redis, campaign, sender.environment)
    found, problem = await read_beside(system, name, sender)
    asked = queries(system, name)
    holders: list[User] | None = None
    if asked["rows"] is not None:
        if len(found.rows) > MOST_HOLDERS:
            raise RowError(f"{len(found.rows)} holders are more than {MOST_HOLDERS}")
        holders = list(dict.fromkeys(user for user, _ in found.rows))
    is_view = holders is not None or found.remaining is not None
    view = StoreView(found.remaining, holders) if is_view else None
    return _Looked(name=name, view=view, stock=found.stock, problem=problem)


def _keep_view(audit: AuditReading, system: System, looked: _Looked, *, told: bool | None) -> None:
    """Keep the view of a store; `told` is what the system said of whether it is current."""
    if looked.view is not None:
        view = replace(looked.view, current=told)
        if not system.actions:
            view = _current(view, is_table=looked.name in SQL)
        audit.views[looked.name] = asdict(view)
    if looked.stock is not None:
        audit.sources[looked.name].stock = looked.stock
    if looked.problem:
        audit.sources[looked.name].problem = looked.problem


def _current(view: StoreView, *, is_table: bool) -> StoreView:
    """A view that nobody told of, and that no action could have switched off: it is current.

    As far as it is there: a key that is not may have expired, or have another name.
    """
    if view.current is not None:
        return view
    holders = view.holders if is_table else view.holders or None
    is_there = holders is not None or view.remaining is not None
    return replace(view, holders=holders, current=True if is_there else None)


def _keep_rows(
    audit: AuditReading,
    system: System,
    name: SqlStore,
    rows: Rows,
    ids: UserIds | ListedIds,
) -> None:
    """The authority's rows count; the answer must tell the same ones."""
    if audit.answer is not None:
        audit.answer_rows_equal = audit.answer.rows.same(rows, ids.read)
    if system.authority in (None, name):
        audit.rows, audit.rows_from = rows, name


async def _redis_looked(
    store: RedisStore | None, campaign: str, environment: Mapping[str, str]
) -> _Looked:
    """Stock left and holders, and whether they stood still meanwhile; and the stock.

    Holders that cannot be read, as of keys that expire, are the problem of this view alone.
    """
    assert store is not None, "looked into though the file names none"
    async with session(store, environment) as client:
        view, still, stock, problem = None, True, None, ""
        try:
            if store.remaining is not None or store.holders is not None:
                view, still = await _redis_told(store, campaign, client)
        except RowError as error:
            problem = str(error)
            if store.holders is not None and store.remaining is not None:
                alone = store.model_copy(update={"holders": None})
                view, still = await _redis_told(alone, campaign, client)
        if store.stock is not None:
            raw = await client.get(fill_text(store.stock, {"coupon": campaign}))
            stock = None if raw is None else _number(raw)
    return _Looked(name="redis", view=view, still=still, stock=stock, problem=problem)


async def _redis_told(
    store: RedisStore, campaign: str, client: redis.asyncio.Redis
) -> tuple[StoreView, bool]:
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
