"""k6's durations and rates, as gameday writes them, and the other way.

k6 takes durations as Go writes them (`1m30s`, `1.5h`, also `2d`) or as milliseconds, and a rate as
a whole number per `timeUnit`.
"""

import re
from datetime import timedelta
from fractions import Fraction
from math import isfinite, isnan, lcm
from typing import Any, Final

from gameday.core.units import FASTEST_PER_S, Rate, format_duration
from gameday.traffic.schedule.arrival_rate import exactly_per_s

_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_US, _S = 1_000, 10**9
_MS: Final = 1_000_000
_SUBSECONDS: Final = {"ns": 1, "us": _US, "µs": _US, "μs": _US, "ms": _MS}
_NS: Final = _SUBSECONDS | {"s": _S, "m": 60 * _S, "h": 3600 * _S, "d": 86400 * _S}
_LONGEST_NS: Final = 10 * 365 * 86400 * _S  # ten years: rather a wrong unit than meant
_LONGEST_TEXT: Final = 100  # as in `core.units`
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}
_DIGITS: Final = 9  # as many as a rate may have


def duration_of(value: Any) -> timedelta:
    """The duration that k6 reads from a value: a number is ms. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value):
        return _length(value * _MS, value)
    text = value.strip() if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""
    if re.fullmatch(r"\d+(?:\.\d*)?", text):
        return _length(float(text) * _MS, value)
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise ValueError(f"{value!r:.100} is not a duration")
    return _length(sum(Fraction(number) * _NS[unit] for number, unit in _PART.findall(text)), value)


def _length(ns: float | Fraction, given: Any) -> timedelta:
    """So many nanoseconds. Raises ValueError for more than any duration may be."""
    if not -_LONGEST_NS <= ns <= _LONGEST_NS:
        raise ValueError(f"{given!r:.100} is too long a duration")
    return timedelta(microseconds=round(ns / 1000))


def duration_text(value: Any) -> str:
    """A k6 duration as gameday writes it. Raises ValueError."""
    return format_duration(duration_of(value))


def rate_text(count: Any, unit: timedelta) -> tuple[str, bool]:
    """`count` per `unit` as gameday writes it, and whether that is exact. Raises ValueError."""
    if isinstance(count, bool) or not isinstance(count, int | float) or not isfinite(count):
        raise ValueError(f"{count!r} is not a rate")
    if count < 0:
        raise ValueError(f"{count!r} is a negative rate")
    if count > FASTEST_PER_S:
        raise ValueError(f"{count:g} is more than any rate may be ({FASTEST_PER_S}/s)")
    if unit <= timedelta(0):
        raise ValueError("a timeUnit must be longer than 0s")
    if unit == timedelta(milliseconds=1):
        return f"{_decimal(Fraction(str(count)))}/ms", True
    wanted = Fraction(str(count)) / Fraction(unit // timedelta(microseconds=1), 1_000_000)
    given = [name for name, size_s in _UNITS_S.items() if unit == timedelta(seconds=size_s)]
    for name in (*given, *_UNITS_S):
        scaled = wanted * _UNITS_S[name]
        if Fraction(_decimal(scaled)) == scaled:
            return f"{_decimal(scaled)}/{name}", True
    return f"{_decimal(wanted * 3600)}/h", False


def _decimal(value: Fraction) -> str:
    text = f"{float(value):.{_DIGITS}f}"
    return text.rstrip("0").rstrip(".")


def whole_rates(rates: list[Rate]) -> tuple[list[int], str]:
    """The rates as whole numbers in the shortest of k6's time units that all of them share."""
    for name, size_s in (("1s", 1), ("1m", 60), ("1h", 3600)):
        scaled = [exactly_per_s(rate) * size_s for rate in rates]
        if all(value.denominator == 1 for value in scaled):
            return [int(value) for value in scaled], name
    exact = [exactly_per_s(rate) for rate in rates]
    unit_s = lcm(*(value.denominator for value in exact))
    return [int(value * unit_s) for value in exact], f"{unit_s}s"
