"""Functions of a window of samples: rates, and what a series did over time.

The extrapolation of `rate`, `increase` and `delta` is that of Prometheus' `extrapolatedRate`:
up to the edge of the window where a sample lies within 1.1 average intervals of it, else by
half an interval, and for counters never past the instant at which they would have been zero.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from operator import gt
from typing import NamedTuple

from gameday.core.clock import NS
from gameday.telemetry.promql.arithmetic import mean, quantile, regression, total, variance


class Window(NamedTuple):  # many are made a second: a frozen dataclass takes four times as long
    """The samples of one series between two instants; never empty.

    `never_falls` says that no value is known to be less than the one before it.
    """

    times: list[int]
    values: list[float]
    start_ns: int
    end_ns: int
    zero_first: bool = False
    never_falls: bool = False


def _rate(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    grown = _counted(window)
    per_s = _factor(window, grown) / ((window.end_ns - window.start_ns) / NS)
    return grown * per_s


def _increase(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    grown = _counted(window)
    return grown * _factor(window, grown)


def _delta(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    return (window.values[-1] - window.values[0]) * _factor(window, 0.0)


def _counted(window: Window) -> float:
    """The growth of a counter, with what it had before each time it fell."""
    values = window.values
    grown = values[-1] - values[0]
    if not window.never_falls and sorted(values) != values:  # the quickest way to look
        for before, now in pairwise(values):
            if now < before:
                grown += before
    return grown


def _factor(window: Window, grown: float) -> float:
    """The part of the window that its samples stand for, those between them being 1.

    Every step is rounded as Prometheus rounds it. A counter that has grown is never extrapolated
    to before it was zero; Prometheus 2 looks at that first.
    """
    times, values, start_ns, end_ns, zero_first, _ = window
    sampled, average, to_start, to_end = _extent(times[0], times[-1], len(times), start_ns, end_ns)
    to_zero = math.inf
    if grown > 0 and values[0] >= 0:
        to_zero = sampled * (values[0] / grown)
    if zero_first and to_zero < to_start:
        to_start, to_zero = to_zero, math.inf
    if to_start >= average * 1.1:
        to_start = average / 2
    return (sampled + min(to_start, to_zero) + to_end) / sampled


@lru_cache(maxsize=64)
def _extent(
    first_ns: int, last_ns: int, count: int, start_ns: int, end_ns: int
) -> tuple[float, float, float, float]:
    """Seconds: between all samples, between two on average, before the first, after the last.

    The last is what is extrapolated there. Series of one scrape have all of it in common.
    """
    sampled = (last_ns - first_ns) / NS
    average = sampled / (count - 1)
    to_end = (end_ns - last_ns) / NS
    if to_end >= average * 1.1:
        to_end = average / 2
    return sampled, average, (first_ns - start_ns) / NS, to_end


def _irate(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    before, last = window.values[-2:]
    grown = last if last < before else last - before
    return grown / ((window.times[-1] - window.times[-2]) / NS)


def _idelta(window: Window) -> float | None:
    return window.values[-1] - window.values[-2] if len(window.times) > 1 else None


def _min(window: Window) -> float:
    return min((v for v in window.values if not math.isnan(v)), default=math.nan)


def _max(window: Window) -> float:
    return max((v for v in window.values if not math.isnan(v)), default=math.nan)


def _changes(window: Window) -> float:
    pairs = pairwise(window.values)
    return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))


def _resets(window: Window) -> float:
    return float(sum(map(gt, window.values, window.values[1:])))


def _deriv(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    return _line(window, window.times[0])[0]


def _line(window: Window, zero_ns: int) -> tuple[float, float]:
    """The slope per second, and the value at `zero_ns`, of the line through all samples."""
    points = zip(window.times, window.values, strict=True)
    return regression([((t_ns - zero_ns) / NS, value) for t_ns, value in points])


FUNCTIONS: dict[str, Callable[[Window], float | None]] = {
    "rate": _rate,
    "increase": _increase,
    "delta": _delta,
    "irate": _irate,
    "idelta": _idelta,
    "avg_over_time": lambda window: mean(window.values),
    "min_over_time": _min,
    "max_over_time": _max,
    "sum_over_time": lambda window: total(window.values),
    "count_over_time": lambda window: float(len(window.values)),
    "last_over_time": lambda window: window.values[-1],
    "present_over_time": lambda _: 1.0,
    "stddev_over_time": lambda window: math.sqrt(variance(window.values)),
    "stdvar_over_time": lambda window: variance(window.values),
    "changes": _changes,
    "resets": _resets,
    "deriv": _deriv,
}


def quantile_over_time(q: float, window: Window) -> float:
    """The φ-quantile of the values."""
    return quantile(q, window.values)


def predict_linear(window: Window, now_ns: int, ahead_s: float) -> float | None:
    """The value that the line through all samples has some seconds after `now_ns`."""
    if len(window.times) < 2:
        return None
    slope, at_now = _line(window, now_ns)
    return slope * ahead_s + at_now


NAMES = (*FUNCTIONS, "quantile_over_time", "predict_linear", "absent_over_time")
KEEPS_NAME = frozenset({"last_over_time"})
