"""The sweeper: settles reservations that nobody finished, and never frees a recorded coupon.

Four things can leave a reservation open in Redis. The insert was recorded: it is confirmed, a
little later and in bulk. The answer of Redis was lost, or the ledger could not be asked: no
insert was ever sent, so after a look at the rows under the campaign's row lock the reservation
is released for good. The answer of the ledger was lost: the insert may still be on its way, so
nothing is freed; Redis is rebuilt under a new epoch, which fences the insert. A replica died:
its reservations stay open for longer than any request may live; recorded ones are confirmed, the
others end with a rebuild.
"""

import asyncio
import logging
from collections.abc import Sequence

import asyncpg
from redis.exceptions import RedisError

from system_under_test import fastpath
from system_under_test.control import ADMIN_S, BROKEN, Campaign, Control
from system_under_test.fastpath import Connection
from system_under_test.lane import Unavailable

EVERY_S = 0.25
ABANDONED_S = 10  # twice as long as a request can wait for the ledger and its answer
LOOK_FOR_ABANDONED_EVERY = 8
CHUNK = 500

log = logging.getLogger(__name__)
Key = tuple[str, str]


class Sweeper:
    """Reservations still to be settled, by campaign code and guard."""

    def __init__(self, pool: asyncpg.Pool, redis_url: str, control: Control) -> None:
        self._pool, self._redis_url, self._control = pool, redis_url, control
        self._confirm: dict[str, list[str]] = {}
        self._release: dict[Key, list[str]] = {}
        self._doubt: set[Key] = set()
        self._redis: Connection | None = None

    @property
    def unsettled(self) -> int:
        """Reservations, and campaigns in doubt, that still wait to be settled."""
        return sum(len(ids) for ids in list(self._release.values())) + len(self._doubt)

    def recorded(self, campaign: Campaign, id_: str) -> None:
        """The reservation became a row."""
        self._confirm.setdefault(campaign.code, []).append(id_)

    def unanswered(self, campaign: Campaign, id_: str) -> None:
        """Redis may have reserved; the ledger was never asked."""
        self._release.setdefault((campaign.code, campaign.guard), []).append(id_)

    def unrecorded(self, campaign: Campaign, id_: str) -> None:
        """Redis has reserved; the ledger certainly did nothing."""
        self._release.setdefault((campaign.code, campaign.guard), []).append(id_)

    def in_doubt(self, campaign: Campaign) -> None:
        """The ledger may record, or the view has proved wrong: only a new epoch settles it."""
        self._doubt.add((campaign.code, campaign.guard))

    async def sweep(self) -> None:
        """Settle for ever; what cannot be settled now is tried again."""
        turn = 0
        while True:
            await asyncio.sleep(EVERY_S)
            turn += 1
            try:
                async with asyncio.timeout(2 * ADMIN_S):
                    await self._settle(look=turn % LOOK_FOR_ABANDONED_EVERY == 0)
            except (RedisError, Unavailable, *BROKEN) as failure:
                log.warning("not settled yet: %r", failure)
                await self._hang_up()

    async def _settle(self, *, look: bool) -> None:
        for code, guard in list(self._doubt):
            await self._control.rebuild(code, seen=guard)
            self._doubt.discard((code, guard))
        self._forget_what_no_view_holds()
        if not self._confirm and not self._release and not look:
            return
        if self._redis is None:
            self._redis = await fastpath.connect(self._redis_url)
        await self._settle_confirmed(self._redis)
        for (code, guard), ids in list(self._release.items()):
            batch = ids[:CHUNK]
            await self._free(self._redis, (code, guard), batch)
            del ids[: len(batch)]  # more may have come in meanwhile, at the end
            if not ids:
                del self._release[code, guard]
        if look:
            # Without Redis nothing is reserved: what stays there is dropped when it is rebuilt.
            for campaign in (one for one in self._control.open if one.strategy == "redis"):
                await self._look_for_abandoned(self._redis, campaign)

    def _forget_what_no_view_holds(self) -> None:
        """Drop reservations of views that are over: Redis is rebuilt before it is used again."""
        for code, guard in list(self._release):
            now = self._control.campaigns.get(code)
            if now is not None and now.guard != guard:
                del self._release[code, guard]

    async def _settle_confirmed(self, redis: Connection) -> None:
        for code, ids in list(self._confirm.items()):
            del self._confirm[code]
            for i in range(0, len(ids), CHUNK):
                async with asyncio.timeout(fastpath.CALL_TIMEOUT_S):
                    await fastpath.confirm(redis, code, ids[i : i + CHUNK])

    async def _free(self, redis: Connection, key: Key, ids: Sequence[str]) -> None:
        code, guard = key
        recorded = await self._recorded_among(code, ids)
        lost = [id_ for id_ in ids if id_ not in recorded]
        async with asyncio.timeout(fastpath.CALL_TIMEOUT_S):
            if recorded:
                await fastpath.confirm(redis, code, sorted(recorded))
            if lost:
                freed = await fastpath.release(redis, code, guard, lost)
                log.info("campaign %s: %s of %d reservations released", code, freed, len(lost))

    async def _recorded_among(self, code: str, ids: Sequence[str]) -> set[str]:
        """The ids that are rows, read while nobody can be writing rows of this campaign."""
        async with self._pool.acquire(timeout=ADMIN_S) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM campaign WHERE code = $1 FOR UPDATE", code)
            rows = await connection.fetch("SELECT id FROM issuances WHERE id = ANY ($1)", ids)
        return {row["id"] for row in rows}

    async def _look_for_abandoned(self, redis: Connection, campaign: Campaign) -> None:
        now, kept = await fastpath.reservations(redis, campaign.code)
        old = {id_: value for id_, value, since in kept if now - since > ABANDONED_S}
        if not old:
            return
        recorded = await self._recorded_among(campaign.code, list(old))
        stones = {id_ for id_, value in old.items() if value == "x"}
        finished = sorted(recorded | stones)
        if finished:
            await fastpath.confirm(redis, campaign.code, finished)
        if len(finished) < len(old):
            log.warning("campaign %s: %d abandoned", campaign.code, len(old) - len(finished))
            self.in_doubt(campaign)

    async def _hang_up(self) -> None:
        if self._redis is not None:
            await fastpath.close(self._redis)
            self._redis = None
