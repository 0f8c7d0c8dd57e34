"""Witness T by what people were told: a changed mix of outcomes, with every answer quick and well.

A Redis that has lost its keys may answer all later people "sold out" at once: nothing is slow and
nothing fails, and the fault is felt by everybody. But a mix changes by itself, too. Coupons sell
out, users who hold one ask again, a campaign opens. So only a change that no honest course of
things makes is counted: "sold out" where there is certainly stock left, coupons again after they
were all gone, and the switch from issuing at once to accepting for later, or back. It must hold, as
a latency must; and what may be an honest sell-out is said to be one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gameday.core.messages import Message
from gameday.evidence.events import Observation
from gameday.injection.verify.levels import HALF, lasting_level, over_a_period
from gameday.injection.verify.traffic_needed import held_for
from gameday.injection.verify.traffic_windows import Stretch, Told
from gameday.spec.changes import Change

Seen = Sequence[Stretch]
MOST: Final = 0.5  # of the calm: most people were told that


@dataclass(frozen=True, slots=True)
class _Move:
    """A change of the mix: the outcome whose share rises, and what was told before it."""

    name: str
    share: Callable[[Told], float]
    usual: Callable[[Told], float]
    needs_stock: bool = False


_MOVES: Final = (
    _Move("sold_out", lambda t: t.sold_out, lambda t: 1.0, needs_stock=True),
    _Move("issued_again", lambda t: t.issued + t.accepted, lambda t: t.sold_out),
    _Move("accepted", lambda t: t.accepted, lambda t: t.issued),
    _Move("at_once", lambda t: t.issued, lambda t: t.accepted),
)


def mix_shift(change: Change, before: Seen, during: Seen, stock: int | None) -> Observation | None:
    """The observation of a mix that changed; None where it did not.

    `stock` is how many can be issued in all, None where that is not known.
    """
    doubted = None
    for move in _MOVES:
        seen = _of(move, change, before, during, stock)
        if seen is not None and seen.ok:
            return seen
        doubted = doubted or seen
    return doubted


def _of(
    move: _Move, change: Change, before: Seen, during: Seen, stock: int | None
) -> Observation | None:
    """The observation of one move; its `ok` is None where the sell-out may be an honest one."""
    usual = lasting_level([_share(move.usual, each) for each in before])
    calm = lasting_level([_share(move.share, each) for each in before])
    if usual is None or calm is None or usual < MOST:
        return None
    shares = [_share(move.share, each) for each in during]
    needed = HALF * change.share_of_time
    hit = _lasting(change, shares, during)
    if hit is None or hit - calm < needed:
        return None
    if move.needs_stock:
        sure = [
            s if _is_left(each, stock) else None for s, each in zip(shares, during, strict=True)
        ]
        certain = _lasting(change, sure, during)
        if certain is None or certain - calm < needed:
            doubt = Message("verify.mix.may_be_sold_out")
            return replace(_seen(change, during, hit - calm, doubt), ok=None)
        hit = certain
    why = Message(f"verify.mix.{move.name}", before=calm, during=hit)
    return _seen(change, during, hit - calm, why)


def _seen(change: Change, during: Seen, moved: float, why: Message) -> Observation:
    asked, n = round(change.share_of_time, 3), sum(each.n for each in during)
    return Observation(
        "T", ok=True, asked=asked, measured=round(moved, 3), unit="share", n=n, message=why
    )


def _share(of: Callable[[Told], float], stretch: Stretch) -> float | None:
    return None if stretch.told is None else of(stretch.told)


def _is_left(stretch: Stretch, stock: int | None) -> bool:
    """True if some of the stock is left at its end, whatever became of the unanswered."""
    return stock is not None and stretch.taken < stock


def _lasting(change: Change, shares: Sequence[float | None], during: Seen) -> float | None:
    shares, count = over_a_period(change, shares, during)
    return lasting_level(shares, count or held_for(len(during)))
