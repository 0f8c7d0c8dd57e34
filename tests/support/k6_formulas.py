"""The documented formulas of k6's executors once more, by another road than the code under test.

The road is exact: fractions for what is due, and decimals of 40 digits for the root. Scenarios are
in gameday's words. A constant rate starts number k at k periods, cut to nanoseconds; a ramping one
starts number n where the integral of its rate reaches n; virtual users follow the line in whole
steps.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from math import ceil, floor
from typing import Any

NS = 10**9
UNITS = {"s": 1, "m": 60}


@cache
def exact_rate(text: str) -> Fraction:
    number, _, unit = text.partition("/")
    return Fraction(number) / UNITS[unit]


@cache
def exact_ms(text: str) -> Fraction:
    return Fraction(text.removesuffix("ms")) / 1000


def k6_count(spec: dict[str, Any]) -> int:
    """How many starts k6's formulas make due, those at the very end included for ramps."""
    if "rate" in spec:
        return ceil(exact_ms(spec["duration"]) * NS / floor(NS / exact_rate(spec["rate"])))
    return floor(lines(spec)[-1][1])


def lines(spec: dict[str, Any]) -> list[tuple[Fraction, Fraction]]:
    """Where each stage ends: seconds since the scenario began, and the integral of the rate."""
    ends, at, area, rate = [(Fraction(0), Fraction(0))], Fraction(0), Fraction(0), Fraction(0)
    rate = exact_rate(spec["startRate"])
    for stage in spec["stages"]:
        length, target = exact_ms(stage["duration"]), exact_rate(stage["target"])
        at, area, rate = at + length, area + length * (rate + target) / 2, target
        ends.append((at, area))
    return ends


def k6_due_s(spec: dict[str, Any], ends: list[tuple[Fraction, Fraction]], k: int) -> Decimal:
    """The due time of start k, in seconds since the scenario began."""
    if "rate" in spec:
        return Decimal(k * floor(NS / exact_rate(spec["rate"]))) / NS
    n = k + 1
    stage = next(i for i, (_, area) in enumerate(ends[1:]) if area >= n)
    a = as_decimal(exact_rate(spec["stages"][stage - 1]["target"] if stage else spec["startRate"]))
    b = as_decimal(exact_rate(spec["stages"][stage]["target"]))
    begin, length = (
        as_decimal(ends[stage][0]),
        as_decimal(exact_ms(spec["stages"][stage]["duration"])),
    )
    m = n - as_decimal(ends[stage][1])
    if a == b:
        return begin + m / b
    square = length * (a * a * length + 2 * m * (b - a))
    return begin + (a * length - max(square, Decimal(0)).sqrt()) / (a - b)


def k6_starts_us(spec: dict[str, Any]) -> list[int]:
    """All due times, in whole microseconds, cut."""
    with localcontext(prec=40):
        ends = lines(spec) if "stages" in spec else []
        return [int(k6_due_s(spec, ends, k) * 10**6) for k in range(k6_count(spec))]


def k6_vu_steps(spec: dict[str, Any]) -> list[tuple[int, int]]:
    """From which nanosecond on how many virtual users go on; none in the end."""
    at, now = Fraction(0), spec["startVUs"]
    steps = {0: now}
    for stage in spec["stages"]:
        length, target = exact_ms(stage["duration"]) * NS, stage["target"]
        many, way = abs(target - now), 1 if target > now else -1
        for n in range(1, many + 1):
            steps[floor(at + length * n / many)] = now + way * n
        at, now = at + length, target
    steps[floor(at)] = 0
    return sorted(steps.items())


def as_decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
