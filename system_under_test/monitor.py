"""The background measurements: pings, whatever the strategy, and the comparison of the stores.

Pings go through the same (proxied) addresses as the requests, on connections of their own, two
to a dependency, so that a slow one is still measured five times a second. The comparison goes
straight to the stores. It never accuses an honest service: rows are counted before and after
Redis is read, and reservations not yet confirmed may be on either side.
"""

import asyncio
import logging
import time

import asyncpg
from redis.exceptions import RedisError

from system_under_test import fastpath, ledger
from system_under_test.control import BROKEN, Campaign, Control
from system_under_test.fastpath import Connection
from system_under_test.metrics import Books, Live, Metrics

PING_EVERY_S = 0.2
PING_TIMEOUT_S = 1.0
COMPARE_EVERY_S = 1.0
COMPARED = 8

log = logging.getLogger(__name__)


class RedisPing:
    """Pings Redis on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    async def connect(self) -> Connection:
        """The connection, opened where there is none."""
        if self._connection is None:
            self._connection = await fastpath.connect(self._url, PING_TIMEOUT_S)
        return self._connection

    async def __call__(self) -> None:
        await fastpath.call(await self.connect(), "PING")

    async def hang_up(self) -> None:
        """Drop the connection; the next ping opens another."""
        if self._connection is not None:
            await fastpath.close(self._connection)
            self._connection = None


class PostgresPing:
    """Asks PostgreSQL for one row on a connection of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def connect(self) -> asyncpg.Connection:
        """The connection, opened where there is none."""
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=PING_TIMEOUT_S)
        return self._connection

    async def __call__(self) -> None:
        await (await self.connect()).fetchval("SELECT 1")

    async def hang_up(self) -> None:
        """Drop the connection; the next ping opens another."""
        if self._connection is not None:
            await ledger.close(self._connection)
            self._connection = None


async def ping(dependency: str, metrics: Metrics, target: RedisPing | PostgresPing) -> None:
    """Ping for ever, noting each; connecting is not counted, unless it fails."""
    observe = metrics.dependency(dependency)
    while True:
        began = time.perf_counter()
        try:
            await target.connect()  # it has limits of its own
            began = time.perf_counter()
            async with asyncio.timeout(PING_TIMEOUT_S):
                await target()
        except (RedisError, *BROKEN):
            observe(time.perf_counter() - began, False)  # noqa: FBT003 - it did not work
            await target.hang_up()
        else:
            observe(time.perf_counter() - began, True)  # noqa: FBT003 - it worked
        await asyncio.sleep(max(0.0, PING_EVERY_S - (time.perf_counter() - began)))


class Comparison:
    """Reads both stores once a second and keeps `Live.books` up to date."""

    def __init__(self, pool: asyncpg.Pool, redis_url: str, control: Control, live: Live) -> None:
        self._pool, self._redis_url = pool, redis_url
        self._control, self._live = control, live
        self._redis: Connection | None = None

    async def run(self) -> None:
        """Compare for ever; what cannot be read is left out of the books."""
        while True:
            books = Books()
            for campaign in self._control.open[-COMPARED:]:
                await self._compare(campaign, books)
            self._live.books = books
            await asyncio.sleep(COMPARE_EVERY_S)

    async def _compare(self, campaign: Campaign, books: Books) -> None:
        code = campaign.code
        try:
            view = await self._view(campaign) if campaign.strategy == "redis" else None
            after = books.rows[code] = await self._rows(code)
        except (RedisError, *BROKEN) as failure:
            log.debug("campaign %s not compared: %r", code, failure)
            await self._hang_up()
            return
        now = self._control.campaigns.get(code)
        if view is None or now is None or now.guard != campaign.guard:
            return
        # Rows only grow, so the last count is a lower bound of what there was when Redis was read.
        before = self._live.books.rows.get(code, 0)
        left, holders, unconfirmed = view
        books.redis_remaining[code] = left
        books.drift[code] = max(before - holders, holders - unconfirmed - after, 0)

    async def _rows(self, code: str) -> int:
        async with asyncio.timeout(2.0), self._pool.acquire(timeout=2.0) as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM issuances WHERE coupon_code = $1", code
            )
        return int(count)

    async def _view(self, campaign: Campaign) -> tuple[int, int, int] | None:
        """Coupons left, holders and open reservations; None when the view is not current."""
        if self._redis is None:
            self._redis = await fastpath.connect(self._redis_url, fastpath.CALL_TIMEOUT_S)
        async with asyncio.timeout(fastpath.CALL_TIMEOUT_S):
            found = await fastpath.look(self._redis, campaign.code, ("SCARD", "HLEN"))
        match found:
            case [bytes(guard), bytes(left), int(holders), int(unconfirmed)]:
                current = guard == campaign.guard.encode()
                return (int(left), holders, unconfirmed) if current else None
            case _:
                return None

    async def _hang_up(self) -> None:
        if self._redis is not None:
            await fastpath.close(self._redis)
            self._redis = None
