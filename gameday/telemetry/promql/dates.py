"""Parts of a date: `hour`, `month` and their like, of seconds since 1970 in UTC.

Prometheus takes any number: one that no 64-bit integer holds becomes the smallest of them, and
the calendar of today goes on in both directions for billions of years. Python's dates end with
the year 9999, so the days are reckoned here; every 400 years they are the same again.
"""

import math
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta

_DAY = 86_400
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
_WITHIN = date(2000, 1, 1)  # the cycle in which dates are looked up begins here
_EPOCH_DAYS = (_WITHIN - date(1970, 1, 1)).days
# Go counts seconds from the year -292277022399 in 64 bits without a sign: beyond, it wraps around.
_FIRST_S, _WRAP = -9_223_371_966_579_724_800, 1 << 64


def _seconds(value: float) -> int:
    """Whole seconds, wrapped as Go's calendar does."""
    whole = int(value) if math.isfinite(value) else -(1 << 63)
    if not -(1 << 63) <= whole < 1 << 63:
        whole = -(1 << 63)
    return (whole - _FIRST_S) % _WRAP + _FIRST_S


def _date(value: float) -> tuple[date, int]:
    """The date in the cycle from 2000 to 2399, and how many years to add to it."""
    cycles, day = divmod(_seconds(value) // _DAY - _EPOCH_DAYS, _CYCLE_DAYS)
    return _WITHIN + timedelta(days=day), cycles * _CYCLE_YEARS


def _days_in_month(value: float) -> float:
    found, _ = _date(value)
    return float(monthrange(found.year, found.month)[1])


def _year(value: float) -> float:
    found, more = _date(value)
    return float(found.year + more)


PARTS: dict[str, Callable[[float], float]] = {
    "minute": lambda value: float(_seconds(value) // 60 % 60),
    "hour": lambda value: float(_seconds(value) // 3600 % 24),
    "day_of_week": lambda value: float(_date(value)[0].isoweekday() % 7),
    "day_of_month": lambda value: float(_date(value)[0].day),
    "day_of_year": lambda value: float(_date(value)[0].timetuple().tm_yday),
    "days_in_month": _days_in_month,
    "month": lambda value: float(_date(value)[0].month),
    "year": _year,
}
