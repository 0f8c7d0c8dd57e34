"""Arithmetic on numbers as IEEE 754 has it, where Python would raise instead.

Dividing by zero gives an infinity or NaN, and an overflow gives an infinity.
"""

import math
import operator
from collections.abc import Callable, Sequence

_CANCELLED = 1e6  # a sum a million times smaller than its terms has lost 6 of 16 digits


def divide(a: float, b: float) -> float:
    """The quotient; 0/0 is NaN."""
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def modulo(a: float, b: float) -> float:
    """The remainder with the sign of the dividend, as C's fmod."""
    return math.nan if b == 0 or math.isinf(a) else math.fmod(a, b)


def power(a: float, b: float) -> float:
    """A raised to b; NaN for a root of a negative number."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.copysign(math.inf, a) if _is_odd(b) else math.inf
    except ValueError:
        if a != 0:
            return math.nan
        return math.copysign(math.inf, a) if _is_odd(b) else math.inf


def _is_odd(b: float) -> bool:
    return abs(math.fmod(b, 2)) == 1


def total(values: Sequence[float]) -> float:
    """The sum, with Prometheus' compensation where that can be seen."""
    exact = _exact(values)
    return _compensated(values) if exact is None else exact


def mean(values: Sequence[float]) -> float:
    """The average; where the sum overflows it is made from step to step, as Prometheus does."""
    exact = _exact(values)
    if exact is not None and math.isfinite(exact):
        return exact / len(values)
    return _stepwise_mean(values)


def _exact(values: Sequence[float]) -> float | None:
    """The sum rounded once; None where large values cancel, so that the way of adding counts."""
    try:
        exact = math.fsum(values)
        if not math.isfinite(exact) or min(values, default=0.0) >= 0:
            return exact
        return exact if abs(exact) * _CANCELLED >= math.fsum(map(abs, values)) else None
    except (OverflowError, ValueError):
        return None


def _add(value: float, so_far: float, lost: float) -> tuple[float, float]:
    """Neumaier's step: the new sum, and what rounding has lost of it."""
    after = so_far + value
    if math.isinf(after):
        return after, 0.0
    if abs(so_far) >= abs(value):
        return after, lost + ((so_far - after) + value)
    return after, lost + ((value - after) + so_far)


def _compensated(values: Sequence[float]) -> float:
    so_far = lost = 0.0
    for value in values:
        so_far, lost = _add(value, so_far, lost)
    return so_far + lost


def _stepwise_mean(values: Sequence[float]) -> float:
    so_far, lost, average, is_stepwise = values[0], 0.0, 0.0, False
    for count, value in enumerate(values[1:], 2):
        if not is_stepwise:
            after, then_lost = _add(value, so_far, lost)
            if not math.isinf(after):
                so_far, lost = after, then_lost
                continue
            is_stepwise = True
            average, lost = so_far / (count - 1), lost / (count - 1)
        share = (count - 1) / count
        average, lost = _add(value / count, share * average, share * lost)
    return average + lost if is_stepwise else so_far / len(values) + lost / len(values)


def variance(values: Sequence[float]) -> float:
    """The population's variance by Welford's method: exactly 0 where all values are equal."""
    average = lost = squares = squares_lost = 0.0
    for count, value in enumerate(values, 1):
        delta = value - (average + lost)
        average, lost = _add(delta / count, average, lost)
        squares, squares_lost = _add(delta * (value - (average + lost)), squares, squares_lost)
    return (squares + squares_lost) / len(values)


def regression(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and value at 0 of the line of least squares through points (x, y)."""
    first = points[0][1]
    if all(y == first for _, y in points):
        return (math.nan, math.nan) if math.isinf(first) else (0.0, first)
    n = len(points)
    sum_x, sum_y = _compensated([x for x, _ in points]), _compensated([y for _, y in points])
    sum_xy = _compensated([x * y for x, y in points])
    sum_xx = _compensated([x * x for x, _ in points])
    slope = divide(sum_xy - sum_x * sum_y / n, sum_xx - sum_x * sum_x / n)
    return slope, sum_y / n - slope * sum_x / n


def quantile(q: float, values: Sequence[float]) -> float:
    """The φ-quantile by linear interpolation; NaN values count as the smallest."""
    if not values or math.isnan(q):
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q)
    ordered = sorted(values, key=_nan_first)
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight


def _nan_first(value: float) -> tuple[bool, float]:
    return (not math.isnan(value), 0.0 if math.isnan(value) else value)


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": modulo,
    "^": power,
    "atan2": math.atan2,
}
COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
