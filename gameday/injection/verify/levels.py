"""Levels that held: the highest value that so many readings in a row reached.

A hiccup is no witness, so one reading is never enough. Of a fault that comes and goes the mean over
a period counts, which must hold until it has come again.
"""

import math
from collections.abc import Sequence

from gameday.core.clock import NS
from gameday.injection.verify.traffic_needed import CALM_COUNT, held_for
from gameday.injection.verify.traffic_windows import Stretch
from gameday.spec.changes import Change

Values = Sequence[float | None]
# Of a dose: less may be the machine's own, and the whole is not felt by requests that meet it late,
# nor shown by a histogram whose bounds are far apart.
HALF = 0.5


def lasting_level(values: Values, count: int = CALM_COUNT) -> float | None:
    """The highest level that `count` readings in a row reached; None where so many have no data."""
    return highest(values, runs(len(values), count))


def highest(values: Values, among: Sequence[slice]) -> float | None:
    """The highest level that held throughout one of these runs; None where none has all data."""
    known = [[value for value in values[run] if value is not None] for run in among]
    whole = [each for each, run in zip(known, among, strict=True) if len(each) == len(values[run])]
    return max(map(min, whole), default=None)


def runs(length: int, count: int) -> list[slice]:
    """Every `count` in a row."""
    return [slice(begin, begin + count) for begin in range(length - count + 1)]


def over_a_period(change: Change, values: Values, during: Sequence[Stretch]) -> tuple[Values, int]:
    """The values, and how many in a row must hold; of a fault that comes and goes their means.

    One hiccup as long as it is in every window for a period and its own length.
    """
    if change.period_s is None or not during:
        return values, held_for(len(during))
    period = max(2, round(change.period_s * NS / (during[0].end_ns - during[0].begin_ns)))
    means = [_mean(values[run]) for run in runs(len(values), period)]
    return means, period + math.ceil(change.share_of_time * period)


def _mean(values: Values) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
