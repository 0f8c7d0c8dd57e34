"""The audit: what the stores hold, read straight from them and at one instant.

Rows are read, then Redis, then the rows again; equal row sets make a consistent cut. After three
unequal readings the last one is given, marked as not consistent.
"""

import asyncio
from typing import Any

import asyncpg
from redis.exceptions import RedisError

from system_under_test import fastpath, schema
from system_under_test.control import BROKEN, Campaign
from system_under_test.lane import Unavailable

TRIES = 3
LIMIT_S = 8.0


class Audit:
    """Reads campaigns over direct connections, opened for each audit."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        self._dsn, self._redis_url = dsn, redis_url

    async def read(self, code: str) -> dict[str, Any] | None:
        """The audit answer for a campaign, None where there is none; raises Unavailable."""
        try:
            async with asyncio.timeout(LIMIT_S):
                connection = await asyncpg.connect(self._dsn, timeout=3.0)
                try:
                    return await self._cut(connection, code)
                finally:
                    connection.terminate()
        except BROKEN as failure:
            message = f"postgres: {failure!r}"
            raise Unavailable(message) from failure

    async def _cut(self, connection: asyncpg.Connection, code: str) -> dict[str, Any] | None:
        state = await self._state(connection, code)
        if state is None:
            return None
        rows, consistent = await self._rows(connection, code), False
        view: dict[str, Any] = {}
        for _ in range(TRIES):
            view = await self._view(state)
            rows_after = await self._rows(connection, code)
            state_after = await self._state(connection, code) or state
            consistent = rows_after == rows and state_after.guard == state.guard
            rows, state = rows_after, state_after
            if consistent:
                break
        return _answer(state, rows, view, consistent=consistent)

    async def _state(self, connection: asyncpg.Connection, code: str) -> Campaign | None:
        row = await connection.fetchrow(f"{schema.STATE} WHERE code = $1", code)
        return None if row is None else Campaign(**row)

    async def _rows(self, connection: asyncpg.Connection, code: str) -> list[tuple[int, str]]:
        rows = await connection.fetch(
            "SELECT user_id, id FROM issuances WHERE coupon_code = $1 ORDER BY user_id, id", code
        )
        return [(row["user_id"], row["id"]) for row in rows]

    async def _view(self, campaign: Campaign) -> dict[str, Any]:
        """The view in Redis; `current` is null where Redis cannot be asked."""
        try:
            async with asyncio.timeout(3.0):
                redis = await fastpath.connect(self._redis_url)
                try:
                    found = await fastpath.look(redis, campaign.code, ("SMEMBERS", "HLEN"))
                finally:
                    await fastpath.close(redis)
        except (OSError, TimeoutError, RedisError) as failure:
            return {"remaining": None, "holders": [], "current": None, "error": repr(failure)}
        guard, left, holders, open_ = found
        members = holders if isinstance(holders, (list, set)) else []
        return {
            "remaining": int(left) if isinstance(left, bytes) else None,
            "holders": sorted(int(user) for user in members),
            "unconfirmed": open_,
            "current": campaign.strategy == "redis" and guard == campaign.guard.encode(),
        }


def _answer(
    campaign: Campaign, rows: list[tuple[int, str]], view: dict[str, Any], *, consistent: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "code": campaign.code,
        "stock": campaign.stock,
        "rows": [{"userId": user, "issueId": id_} for user, id_ in rows],
        "views": {"redis": view},
        "authority": "postgres",
        "consistent": consistent,
        "closed": campaign.closed,
        "strategy": campaign.strategy,
        "epoch": campaign.epoch,
    }
    if campaign.strategy == "postgres":
        # Only this strategy keeps the count in the row; under the other Redis does.
        answer["remaining"] = campaign.remaining
    return answer
