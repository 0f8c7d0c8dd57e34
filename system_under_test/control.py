"""Control state: which strategy, epoch and pause each campaign is under, and how they change.

The state lives in PostgreSQL only, so that replicas agree. Each replica keeps a copy not older
than `REFRESH_S`; the copy is a hint, never a permission: every durable write is fenced by the
epoch. Changes lock the campaign row first. A change towards Redis rebuilds Redis from the rows
while the row is locked, under a guard that is never used twice, and fails without any change
when Redis does not answer; a change towards PostgreSQL never waits for Redis.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from redis.exceptions import RedisError

from system_under_test import fastpath, schema
from system_under_test.fastpath import Connection
from system_under_test.lane import Unavailable

Strategy = Literal["redis", "postgres"]
REFRESH_S = 0.2
ADMIN_S = 3.0
BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # such as a protocol cut off in the middle of a message
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One row of `campaign`, as last read; `paused_s` is how long it had been paused then."""

    code: str
    stock: int
    remaining: int
    epoch: int
    view: str
    strategy: Strategy
    paused: bool
    closed: bool
    paused_s: float | None

    @property
    def guard(self) -> str:
        """The value that Redis must hold to be this campaign's current view."""
        return f"{self.epoch}:{self.view}"


class Control:
    """The replica's copy of the control state, and the only way to change it."""

    def __init__(self, pool: asyncpg.Pool, redis_url: str, *, fenced_switch: bool = True) -> None:
        self._pool, self._redis_url = pool, redis_url
        self._fenced_switch = fenced_switch
        self._locks: dict[str, asyncio.Lock] = {}
        self._lookups = asyncio.Semaphore(4)
        self.campaigns: dict[str, Campaign] = {}
        self.limit_users = False
        self.on_limit: Callable[[bool], None] = lambda enabled: None

    @property
    def open(self) -> list[Campaign]:
        """The campaigns that are not closed."""
        return [campaign for campaign in list(self.campaigns.values()) if not campaign.closed]

    @asynccontextmanager
    async def _ask(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection for a bounded time; whatever goes wrong with it is Unavailable."""
        try:
            async with (
                asyncio.timeout(ADMIN_S),
                self._pool.acquire(timeout=ADMIN_S) as connection,
            ):
                yield connection
        except BROKEN as failure:
            message = f"postgres: {failure!r}"
            raise Unavailable(message) from failure

    async def poll(self) -> None:
        """Refresh the copy for ever; while PostgreSQL is away, keep the last one."""
        while True:
            try:
                await self.refresh_open()
            except Unavailable as failure:
                log.warning("control state not refreshed: %s", failure)
            await asyncio.sleep(REFRESH_S * 0.75)

    async def refresh_open(self) -> None:
        """Read all open campaigns and the switches; campaigns gone from there are closed."""
        async with self._ask() as connection:
            rows = await connection.fetch(f"{schema.STATE} WHERE NOT closed")
            limit_users = await connection.fetchval("SELECT limit_users FROM service")
        fresh = {row["code"]: Campaign(**row) for row in rows}
        stale = [c.code for c in self.open if c.code not in fresh]
        for campaign in fresh.values():
            self._learn(campaign)
        for code in stale:
            await self.lookup(code)
        self._set_limit(enabled=bool(limit_users))

    def _learn(self, campaign: Campaign) -> None:
        """Keep the newer of two readings: epochs only grow, and a closed campaign stays closed."""
        known = self.campaigns.get(campaign.code)
        if known and (known.epoch > campaign.epoch or (known.closed and not campaign.closed)):
            return
        self.campaigns[campaign.code] = campaign
        if len(self.campaigns) > 1000:
            oldest = next((c for c, kept in self.campaigns.items() if kept.closed), None)
            self.campaigns.pop(oldest or campaign.code)

    def _set_limit(self, *, enabled: bool) -> None:
        self.limit_users = enabled
        self.on_limit(enabled)

    async def find(self, code: str) -> Campaign | None:
        """The campaign as last known, or read now if it is not known here."""
        return self.campaigns.get(code) or await self.lookup(code)

    async def lookup(self, code: str) -> Campaign | None:
        """Read one campaign; raises Unavailable when PostgreSQL does not answer."""
        async with self._lookups, self._ask() as connection:
            row = await connection.fetchrow(f"{schema.STATE} WHERE code = $1", code)
        if row is not None:
            self._learn(Campaign(**row))
        return self.campaigns.get(code)

    async def moved_on(self, seen: Campaign) -> Campaign:
        """The state after `seen` was fenced; read once however many requests ask."""
        async with self._lock(seen.code):
            now = self.campaigns[seen.code]
            if now.guard == seen.guard and not now.paused and not now.closed:
                await self.lookup(seen.code)
        return self.campaigns[seen.code]

    async def create(self, code: str, stock: int) -> bool:
        """Open a campaign; False if the code is taken. Redis is filled now or at first use."""
        async with self._ask() as connection:
            done = await connection.execute(
                "INSERT INTO campaign (code, stock, remaining) VALUES ($1, $2, $2)"
                " ON CONFLICT DO NOTHING",
                code,
                stock,
            )
        campaign = await self.lookup(code)
        if done != "INSERT 0 1" or campaign is None:
            return False
        try:
            await self.rebuild(code, seen=campaign.guard)
        except Unavailable as failure:
            log.warning("campaign %s: Redis will be filled later: %s", code, failure)
        return True

    async def close(self, code: str) -> Campaign | None:
        """Close the campaign: once this returns, every later durable write is fenced."""
        await self._change(code, "closed = true")
        return await self.lookup(code)

    async def pause(self, code: str) -> None:
        """Stop issuing; the new epoch fences whatever is under way."""
        await self._change(
            code, "paused = true, paused_at = now(), epoch = epoch + 1", "NOT paused AND NOT closed"
        )
        await self.lookup(code)

    async def resume(self, code: str) -> None:
        """Issue again; Redis is rebuilt by the first request, since its epoch is old."""
        await self._change(code, "paused = false, paused_at = NULL", "paused AND NOT closed")
        await self.lookup(code)

    async def set_limit_users(self, *, enabled: bool) -> None:
        """Switch the limit per user on or off, on every replica."""
        async with self._ask() as connection:
            await connection.execute("UPDATE service SET limit_users = $1", enabled)
        self._set_limit(enabled=enabled)

    async def use(self, code: str, strategy: Strategy) -> None:
        """Decide by `strategy` from now on."""
        if strategy == "redis":
            await self.rebuild(code)
        else:
            await self._use_postgres(code)
            await self.lookup(code)

    async def _use_postgres(self, code: str) -> None:
        statement = "SELECT use_postgres($1)"
        if not self._fenced_switch:
            log.error("UNFENCED switch of %s: the planted defect is on", code)
            statement = schema.USE_POSTGRES_UNFENCED
        async with self._ask() as connection:
            await connection.execute(statement, code)

    async def _change(self, code: str, assignment: str, condition: str = "true") -> None:
        async with self._ask() as connection:
            await connection.execute(
                f"UPDATE campaign SET {assignment} WHERE code = $1 AND {condition}", code
            )

    async def rebuild(self, code: str, seen: str | None = None) -> None:
        """Build Redis from the rows and use it, under the row lock, one epoch on.

        With `seen` (a guard found useless) only while that is still the campaign's guard and
        Redis still its strategy: of many callers one rebuilds. Raises Unavailable, with nothing
        changed, when a store does not answer.
        """
        async with self._lock(code):
            known = self.campaigns.get(code)
            if seen is not None and known is not None and known.guard != seen:
                return
            try:
                async with asyncio.timeout(ADMIN_S):
                    connection = await fastpath.connect(self._redis_url)
                    try:
                        await self._rebuild_with(connection, code, seen)
                    finally:
                        await fastpath.close(connection)
            except (RedisError, *BROKEN) as failure:
                message = f"redis not rebuilt: {failure!r}"
                raise Unavailable(message) from failure
            await self.lookup(code)

    async def _rebuild_with(self, redis: Connection, code: str, seen: str | None) -> None:
        async with self._pool.acquire(timeout=ADMIN_S) as connection, connection.transaction():
            row = await connection.fetchrow(f"{schema.STATE} WHERE code = $1 FOR UPDATE", code)
            if row is None:
                return
            campaign = Campaign(**row)
            if seen is not None and (campaign.guard != seen or campaign.strategy != "redis"):
                return
            rows = await connection.fetch(
                "SELECT user_id FROM issuances WHERE coupon_code = $1", code
            )
            left = max(campaign.stock - len(rows), 0)
            if not self._fenced_switch and campaign.strategy == "postgres":
                left = campaign.remaining  # planted: trusts the counter that the switch got wrong
            epoch, view = campaign.epoch + 1, secrets.token_hex(4)
            holders = [row["user_id"] for row in rows]
            await fastpath.rebuild(redis, code, f"{epoch}:{view}", left, holders)
            await connection.execute(
                "UPDATE campaign SET strategy = 'redis', epoch = $2, view = $3, remaining = $4"
                " WHERE code = $1",
                code,
                epoch,
                view,
                left,
            )
        log.info("campaign %s: Redis rebuilt with %d holders, epoch %d", code, len(rows), epoch)

    def _lock(self, code: str) -> asyncio.Lock:
        return self._locks.setdefault(code, asyncio.Lock())
