"""One request from end to end: who may have a coupon, and when it is safe to say so.

Under `redis` the script reserves and the ledger records; under `postgres` the ledger decides
alone. A request is told it has a coupon only when the row is durable. Where the campaign moved
on to another epoch under way, the request was fenced: it had no effect, and is decided again
under the new state. What cannot be known is said to be unknown and left to the sweeper.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import asyncpg

from system_under_test import fastpath
from system_under_test.control import Campaign, Control
from system_under_test.fastpath import Connection
from system_under_test.lane import Lane, Lost, Unavailable
from system_under_test.ledger import Entry, Kind
from system_under_test.metrics import Metrics
from system_under_test.sweeper import Sweeper

Outcome = Literal[
    "issued", "duplicate", "sold_out", "not_found", "closed", "paused", "unavailable", "unknown"
]
ReserveLane = Lane[Connection, tuple[str, str], tuple[str, int], int | None]
LedgerLane = Lane[asyncpg.Connection, tuple[Kind, str, int], tuple[str, int], Entry]
TRIES = 2
TRY_AGAIN_WITHIN_S = 4.0


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer to the user: the outcome, the issue's id, the coupons left, and the reason."""

    outcome: Outcome
    issue_id: str = ""
    remaining: int | None = None
    reason: str = ""


NOT_FOUND, CLOSED, PAUSED = Decision("not_found"), Decision("closed"), Decision("paused")


async def reserve(
    connection: Connection, key: tuple[str, str], asked: Sequence[tuple[str, int]]
) -> Sequence[int | None]:
    """Reserve for (code, guard): coupons left, a negative code, or None: another guard."""
    code, guard = key
    answers = await fastpath.reserve(connection, code, guard, asked)
    return [None] * len(asked) if answers is None else answers


class Issuing:
    """Decides requests with two lanes, the control state, and a sweeper behind it."""

    def __init__(
        self,
        lanes: tuple[ReserveLane, LedgerLane],
        control: Control,
        sweeper: Sweeper,
        metrics: Metrics,
    ) -> None:
        self._redis, self._ledger = lanes
        self._control, self._sweeper, self._metrics = control, sweeper, metrics
        self._prefix, self._numbers = secrets.token_hex(5), count(1)

    async def issue(self, code: str, user: int) -> Decision:
        """Decide one request; fenced ones again, at most `TRIES` times in all."""
        give_up = time.monotonic() + TRY_AGAIN_WITHIN_S
        try:
            campaign = await self._control.find(code)
        except Unavailable:
            return Decision("unavailable", reason="POSTGRES_UNAVAILABLE")
        if campaign is None:
            return NOT_FOUND
        for _ in range(TRIES):
            decision = await self._decide(campaign, user)
            if decision is not None:
                return decision
            self._metrics.fenced.inc()
            if time.monotonic() > give_up:
                break
            try:
                campaign = await self._control.moved_on(campaign)
            except Unavailable:
                break
        return Decision("unavailable", reason="FENCED")

    async def _decide(self, campaign: Campaign, user: int) -> Decision | None:
        """Decide under the campaign's state as given; None when that state is out of date."""
        if campaign.closed:
            return CLOSED
        if campaign.paused:
            return PAUSED
        if campaign.strategy == "redis":
            return await self._by_redis(campaign, user)
        return await self._by_ledger(campaign, user)

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def _by_ledger(self, campaign: Campaign, user: int) -> Decision | None:
        id_ = self._new_id()
        try:
            entry = await self._ledger.submit(
                ("direct", campaign.code, campaign.epoch), (id_, user)
            )
        except Unavailable:
            return Decision("unavailable", reason="POSTGRES_UNAVAILABLE")
        except Lost:
            return Decision("unknown", reason="POSTGRES_ANSWER_LOST")
        return _decision_of(entry, id_, entry.remaining)

    async def _by_redis(self, campaign: Campaign, user: int) -> Decision | None:
        if not self._ledger.live:
            # What cannot be recorded would only keep a coupon from somebody else.
            return Decision("unavailable", reason="POSTGRES_UNAVAILABLE")
        id_ = self._new_id()
        try:
            left = await self._redis.submit((campaign.code, campaign.guard), (id_, user))
        except Unavailable:
            return Decision("unavailable", reason="REDIS_UNAVAILABLE")
        except Lost:
            self._sweeper.unanswered(campaign, id_)
            return Decision("unknown", reason="REDIS_ANSWER_LOST")
        if left is None:
            return await self._without_view(campaign)
        if left < 0:
            return self._refusal(campaign, left)
        return await self._record(campaign, id_, user, left)

    async def _without_view(self, campaign: Campaign) -> Decision | None:
        """Redis has no view of this campaign, or another's: build it, then decide again."""
        try:
            await self._control.rebuild(campaign.code, seen=campaign.guard)
        except Unavailable:
            return Decision("unavailable", reason="REDIS_UNAVAILABLE")
        return None

    def _refusal(self, campaign: Campaign, answer: int) -> Decision | None:
        now = self._control.campaigns.get(campaign.code)
        if now is None or now.guard != campaign.guard or now.strategy != campaign.strategy:
            return None  # the view that refused is no longer the campaign's
        if answer == fastpath.SOLD_OUT:
            return Decision("sold_out", remaining=0)
        if answer == fastpath.DUPLICATE:
            return Decision("duplicate")
        return Decision("unknown", reason="RESERVATION_RELEASED")

    async def _record(self, campaign: Campaign, id_: str, user: int, left: int) -> Decision | None:
        try:
            entry = await self._ledger.submit(
                ("record", campaign.code, campaign.epoch), (id_, user)
            )
        except Unavailable:
            self._sweeper.unrecorded(campaign, id_)
            return Decision("unavailable", reason="POSTGRES_UNAVAILABLE")
        except Lost:
            self._sweeper.in_doubt(campaign)
            return Decision("unknown", reason="POSTGRES_ANSWER_LOST")
        if entry.verdict == "issued":
            self._sweeper.recorded(campaign, id_)
        elif entry.verdict == "fenced":
            # Nothing to free under a new epoch; but a close fences without one.
            self._sweeper.unrecorded(campaign, id_)
        elif entry.verdict == "duplicate":
            # The rows know a holder that the view does not: the view is wrong.
            self._sweeper.in_doubt(campaign)
        return _decision_of(entry, id_, left)


def _decision_of(entry: Entry, id_: str, remaining: int | None) -> Decision | None:
    if entry.verdict == "fenced":
        return None
    if entry.verdict == "issued":
        return Decision("issued", id_, remaining)
    return Decision(entry.verdict, remaining=entry.remaining)
