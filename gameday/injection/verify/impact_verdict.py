"""Witnesses S and T: whether the service and its callers felt the dose.

S is the service's own metric of the dependency, T the time or the failures of the traffic. What
counts is the level that held: the highest value that so many readings in a row reached. A hiccup
is no witness, and a metric over the last seconds must stay up for longer than those, for one
hiccup is in all of them. The level is compared with the one that held in the calm before, so that
what went up and down there already proves nothing, and must be higher by half the dose. What the
lag of the generator explains is taken off first.

A latency has two marks more, for T alone may have another cause in the very seconds of the fault.
A service that stands still (a long garbage collection, a full disk) lets all go at once in the
end; what a latency holds up is answered in turn. But a service that serves one request at a time
stands still for the latency itself. So a standstill counts where it began with the fault and
nothing but its removal ended it, if the probe has the dose at the proxy and not past it at the
same time: then the fault was there, and the standstill is its damage. And where S could have seen
the latency and did not, the traffic was slow for another reason. Either way T cannot tell. What
people were told is a mark of T as well (`outcome_mix`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.events import Observation
from gameday.injection.verify.injection_verdict import ComparedProbe
from gameday.injection.verify.levels import (
    HALF,
    Values,
    highest,
    lasting_level,
    over_a_period,
    runs,
)
from gameday.injection.verify.outcome_mix import mix_shift
from gameday.injection.verify.traffic_needed import held_for
from gameday.injection.verify.traffic_windows import Stretch
from gameday.spec.changes import Change

NOT_NOTHING_S = 0.02  # below 20 ms a busy machine alone moves a p95
PROMPT = 2  # stretches in which a reaction must have begun that is to be the fault's own
# Of the time over which requests were sent, the part over which they must have been answered.
# A burst after a standstill takes next to none of it, a constant latency all.
IN_TURN = 0.5
# S contradicts T where it moved by less than this part of the dose: more than that, and its
# histogram may only be too coarse to show the rest.
UNMOVED = 0.1


@dataclass(frozen=True, slots=True)
class Felt:
    """One stretch of time, calm or in the fault: the metric's readings, and the traffic."""

    dependency_s: Values
    traffic: Sequence[Stretch]


def shifts(
    change: Change,
    before: Felt,
    during: Felt,
    *,
    dependency: bool,
    window_s: float = 0.0,
    stock: int | None = None,
    p: Observation | None = None,
) -> list[Observation]:
    """Observations of S (where the system file names its metric, over `window_s`) and T.

    `stock` is how many can be issued in all: "sold out" before that is no honest sell-out. `p` is
    what the probe saw.
    """
    dose_s = change.latency_s
    traffic = _traffic_shift(dose_s, before.traffic, during.traffic)
    if _has_the_dose(p) and traffic.ok is None and _stood_still_with(before, during, dose_s):
        held = _shift("T", dose_s, *_levels(before, during), traffic.n)
        reason = Message("verify.stood_still_with_it", seen=held.reason)
        traffic = replace(held, why=reason.text(), message=reason)
    mix = mix_shift(change, before.traffic, during.traffic, stock)
    seen = [traffic]
    if dependency:
        metric = during.dependency_s
        held_for = max(2, min(math.ceil(window_s) + 1, len(metric) - 1))
        hit = lasting_level(metric, held_for)
        own = _shift("S", dose_s, before.dependency_s, hit, _known(metric))
        in_sight = window_s * NS < _lasted_ns(during.traffic)
        seen = [own, _contradicted(traffic, own) if in_sight else traffic]
        mix = _contradicted(mix, own) if in_sight and mix is not None else mix
    if dose_s is None:
        seen.append(_failures(change, before.traffic, during.traffic))
    return seen if mix is None else [*seen, mix]


def prompt(change: Change, before: Felt, during: Felt, stock: int | None) -> list[Observation]:
    """Observations of T alone, of a reaction that began with the fault.

    Where nothing but a read-back says that the fault is in, the traffic has to tell by itself: what
    began later, however much it was, may have another cause.
    """
    seen = during.traffic[: held_for(len(during.traffic)) + PROMPT]
    dose_s = change.latency_s
    whole_ns = _lasted_ns(during.traffic)
    told = [_traffic_shift(dose_s, before.traffic, seen, whole_ns)]
    if dose_s is None:
        told.append(_failures(change, before.traffic, seen))
    mix = mix_shift(change, before.traffic, seen, stock)
    return told if mix is None else [*told, mix]


def _lasted_ns(traffic: Sequence[Stretch]) -> int:
    return traffic[-1].end_ns - traffic[0].begin_ns if traffic else 0


def _known(values: Values) -> int:
    return sum(value is not None for value in values)


def _took_s(stretch: Stretch) -> float | None:
    """Its time, less what the generator's lag explains."""
    return None if stretch.took_s is None else max(0.0, stretch.took_s - stretch.lag_s)


def _traffic_shift(
    dose_s: float | None,
    before: Sequence[Stretch],
    during: Sequence[Stretch],
    whole_ns: int | None = None,
) -> Observation:
    """Witness T by its times; `whole_ns` is the length of the fault that `during` begins."""
    calm, hit = _levels(Felt([], before), Felt([], during))
    times = [_took_s(s) for s in during]
    count = held_for(len(times))
    seen = _shift("T", dose_s, calm, hit, _known(times))
    # What a longer dose than this holds up is let go by its removal, so all at once as well.
    rest_ns = _lasted_ns(during[count:])
    if whole_ns is not None:
        rest_ns = whole_ns - _lasted_ns(during[:count])
    if not seen.ok or dose_s is None or dose_s * NS > rest_ns:
        return seen
    in_turn = [run for run in runs(len(times), count) if _was_answered_in_turn(during[run])]
    if _shift("T", dose_s, calm, highest(times, in_turn), seen.n).ok:
        return seen
    return _doubted(seen, Message("verify.stood_still", seen=seen.reason))


def _levels(before: Felt, during: Felt) -> tuple[Values, float | None]:
    """The times of the calm, and the level that held in the fault."""
    times = [_took_s(s) for s in during.traffic]
    return [_took_s(s) for s in before.traffic], lasting_level(times, held_for(len(times)))


def _has_the_dose(p: Observation | None) -> bool:
    """True if the probe measured it at the proxy, while the direct way had none of it."""
    return isinstance(p, ComparedProbe) and p.ok is True and p.shown


def _stood_still_with(before: Felt, during: Felt, dose_s: float | None) -> bool:
    """True if the traffic stood still from the beginning of the fault until its removal.

    The slow ones of most stretches were over after its last stretch: a pause that has another cause
    ends when that ends.
    """
    if dose_s is None or not during.traffic:
        return False
    count = held_for(len(during.traffic))
    first = Felt([], during.traffic[: count + PROMPT])
    calm = [_took_s(s) for s in before.traffic]
    hit = lasting_level([_took_s(s) for s in first.traffic], count)
    if not _shift("T", dose_s, calm, hit, 0).ok:
        return False
    over_ns = [s.over_ns for s in during.traffic if s.over_ns is not None]
    until = sum(each >= during.traffic[-1].end_ns for each in over_ns)
    return until > len(during.traffic) / 2


def _was_answered_in_turn(run: Sequence[Stretch]) -> bool:
    """True if requests that were sent one after the other were over one after the other."""
    over_ns = [s.over_ns for s in run if s.over_ns is not None]
    if not over_ns:
        return False
    return max(over_ns) - min(over_ns) >= IN_TURN * (run[-1].begin_ns - run[0].begin_ns)


def _contradicted(traffic: Observation, own: Observation) -> Observation:
    """T, unless S of the same latency says that there was none."""
    if not traffic.ok or own.ok is not False or own.asked is None or own.measured is None:
        return traffic
    if own.measured >= UNMOVED * own.asked:
        return traffic
    doubt = Message("verify.another_reason", seen=traffic.reason, other=own.reason)
    return _doubted(traffic, doubt)


def _doubted(seen: Observation, message: Message) -> Observation:
    """An observation that cannot tell after all."""
    return replace(seen, ok=None, why=message.text(), message=message)


def _shift(
    witness: Literal["S", "T"],
    dose_s: float | None,
    before: Values,
    hit: float | None,
    n: int,
) -> Observation:
    """The observation of a level that held in the fault, against the one of the calm."""
    calm = lasting_level(before)
    what = "metric" if witness == "S" else "traffic"
    if calm is None or hit is None:
        when = "before" if calm is None else "during"
        return Observation(
            witness, None, dose_s, None, "s", n, message=Message(f"verify.{what}.no_data_{when}")
        )
    moved = hit - calm
    needed = HALF * dose_s if dose_s is not None else max(calm, NOT_NOTHING_S)
    ok = moved >= max(needed, _spread(before))
    why = Message(f"verify.{what}.moved", before_ms=calm * 1000, during_ms=hit * 1000)
    return Observation(witness, ok, dose_s, round(moved, 4), "s", n, message=why)


def _spread(values: Values) -> float:
    """The largest change of the calm itself from one reading to the next that holds."""
    calm, known = lasting_level(values), [value for value in values if value is not None]
    return calm - min(known) if calm is not None else 0.0


def _failures(change: Change, before: Sequence[Stretch], during: Sequence[Stretch]) -> Observation:
    """The share of failed requests that held, against the calm before."""
    calm = lasting_level([s.failed for s in before])
    failed, count = over_a_period(change, [s.failed for s in during], during)
    hit = lasting_level(failed, count)
    n, asked = sum(s.n for s in during), round(change.share_of_time, 3)
    if calm is None or hit is None:
        when = "before" if calm is None else "during"
        few = Message(f"verify.failures.too_few_{when}")
        return Observation("T", None, asked, None, "share", n, message=few)
    moved = hit - calm
    why = Message("verify.failures.moved", before=calm, during=hit)
    return Observation("T", moved >= HALF * asked, asked, round(moved, 3), "share", n, message=why)
