"""Witnesses S and T: whether the service and its callers felt the dose.

S is the service's own metric of the dependency, T the time or the failures of the traffic. What
counts is the level that held: the highest value that so many readings in a row reached. A hiccup
is no witness, and a metric over the last seconds must stay up for longer than those, for one
hiccup is in all of them. The level is compared with the one that held in the calm before, so that
what went up and down there already proves nothing, and must be higher by half the dose. What the
lag of the generator explains is taken off first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gameday.injection.verify.observation import Sighting
from gameday.injection.verify.traffic_windows import Stretch
from gameday.spec.changes import Change, ToxicChange

Values = Sequence[float | None]
NOT_NOTHING_S = 0.02
LONG_ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Felt:
    """One stretch of time, calm or in the fault: the metric's readings, and the traffic."""

    dependency_s: Values
    traffic: Sequence[Stretch]


def shifts(
    change: Change, before: Felt, during: Felt, *, dependency: bool, window_s: float = 0.0
) -> list[Sighting]:
    """Observations of S (where the system file names its metric, over `window_s`) and T."""
    dose_s = dose_as_latency_s(change)
    seen = []
    if dependency:
        metric = during.dependency_s
        held_for = max(2, min(math.ceil(window_s) + 1, len(metric) - 1))
        seen.append(_shift("S", dose_s, before.dependency_s, metric, held_for))
    times = _times(during.traffic)
    seen.append(_shift("T", dose_s, _times(before.traffic), times, _held_for(len(times))))
    if dose_s is None:
        seen.append(_failures(before.traffic, during.traffic))
    return seen


def dose_as_latency_s(change: Change) -> float | None:
    """The dose in seconds, or None where the fault is not a latency."""
    if isinstance(change, ToxicChange) and change.type == "latency":
        return change.attributes["latency"] / 1000
    return None


def _times(traffic: Sequence[Stretch]) -> list[float | None]:
    return [None if s.took_s is None else max(0.0, s.took_s - s.lag_s) for s in traffic]


def lasting_level(values: Values, count: int = 2) -> float | None:
    """The highest level that `count` readings in a row reached; None where so many have no data."""
    runs = [values[begin : begin + count] for begin in range(len(values) - count + 1)]
    whole = [[value for value in run if value is not None] for run in runs]
    return max((min(run) for run in whole if len(run) == count), default=None)


def _held_for(stretches: int) -> int:
    """The number of stretches in a row that count: six tenths of a short fault, or five."""
    return max(2, min(LONG_ENOUGH, int(0.6 * stretches)))


def _shift(
    witness: Literal["S", "T"], dose_s: float | None, before: Values, during: Values, count: int
) -> Sighting:
    what = "its own dependency metric" if witness == "S" else "the traffic's p95"
    n = sum(value is not None for value in during)
    calm, hit = lasting_level(before), lasting_level(during, count)
    if calm is None or hit is None:
        when = "before" if calm is None else "during"
        why = f"{what} has no data {when} the fault"
        return Sighting(witness, None, dose_s, None, "s", n, why)
    moved = hit - calm
    needed = 0.5 * dose_s if dose_s is not None else max(calm, NOT_NOTHING_S)
    ok = moved >= max(needed, _spread(before))
    why = f"{what} moved from {calm * 1000:.0f} to {hit * 1000:.0f} ms"
    return Sighting(witness, ok, dose_s, round(moved, 4), "s", n, why)


def _spread(values: Values) -> float:
    """The largest change of the calm itself from one reading to the next that holds."""
    calm, known = lasting_level(values), [value for value in values if value is not None]
    return calm - min(known) if calm is not None else 0.0


def _failures(before: Sequence[Stretch], during: Sequence[Stretch]) -> Sighting:
    """The share of failed requests that held, against the calm before."""
    calm = lasting_level([s.failed for s in before])
    hit = lasting_level([s.failed for s in during], _held_for(len(during)))
    n = sum(s.n for s in during)
    if calm is None or hit is None:
        when = "before" if calm is None else "during"
        why = f"too few requests {when} the fault to count failures in"
        return Sighting("T", None, 1.0, None, "share", n, why)
    moved = hit - calm
    why = f"the failed share of the traffic moved from {calm:.0%} to {hit:.0%}"
    return Sighting("T", moved >= 0.5, 1.0, round(moved, 3), "share", n, why)
