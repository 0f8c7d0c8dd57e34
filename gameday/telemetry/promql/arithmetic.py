"""Arithmetic on numbers as IEEE 754 has it, where Python would raise instead.

Dividing by zero gives an infinity or NaN, and an overflow gives an infinity.
"""

import math
import operator
from collections.abc import Callable, Sequence


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
    """The sum, rounded once; infinities and overflows as plain addition has them."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return sum(values)


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
}
COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
