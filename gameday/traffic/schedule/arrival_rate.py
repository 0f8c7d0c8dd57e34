"""When each start is due: k6's arrival-rate executors, as functions of the start's number.

Start k of a constant rate is due at k · P, P being the unit of time divided by the rate, cut to
whole nanoseconds; the first one at 0, and none at or after the duration. A ramping rate is a
chain of straight lines, and start n (counted from 1, so n = k + 1) is due when the integral of
the rate reaches n; a remainder carries over into the next stage. Counts are exact: rates are
fractions, not floats. Nothing is random, and nothing depends on what was sent before. Where one
user asks many times at once (population `same`), the starts of a bunch are due when its first one
is: as many as ever are asked for, at the same rates in the mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any

from gameday.core.clock import NS
from gameday.core.units import Rate
from gameday.traffic.schedule.scenario import MOST_STARTS, Scenario

if TYPE_CHECKING:
    import numpy.typing as npt

    from gameday.traffic.schedule.scenario import Instants


def exactly_per_s(rate: Rate) -> Fraction:
    """The rate a file writes, exactly: 0.3/s is three tenths."""
    return Fraction(str(rate.count)) / Fraction(rate.unit // timedelta(microseconds=1), 1_000_000)


@dataclass(frozen=True, slots=True)
class RateLine:
    """A straight line of the rate, from `first` to `last`, per second."""

    begin_ns: int
    duration_ns: int
    first: Fraction
    last: Fraction

    @property
    def begin_s(self) -> float:
        return self.begin_ns / NS

    @property
    def end_s(self) -> float:
        return (self.begin_ns + self.duration_ns) / NS

    @property
    def starts(self) -> Fraction:
        """The integral of the rate."""
        return (self.first + self.last) / 2 * Fraction(self.duration_ns, NS)

    def rate_at(self, s: float) -> float:
        """The rate at one of its own instants, in seconds from t = 0."""
        passed = (s - self.begin_s) / (self.duration_ns / NS)
        return float(self.first) + float(self.last - self.first) * passed

    def starts_until(self, s: float) -> float:
        """The starts of this line up to an instant of the run."""
        passed_s = min(max(s - self.begin_s, 0.0), self.duration_ns / NS)
        if passed_s == 0.0:
            return 0.0
        return passed_s * (float(self.first) + self.rate_at(self.begin_s + passed_s)) / 2


class _ByRate(Scenario):
    """The open model: starts are due by the clock, whether or not the system keeps up."""

    def check(self) -> None:
        if self.count > MOST_STARTS:
            raise ValueError(f"{self.count} starts are more than a history holds")

    @property
    def at_once(self) -> int:
        return self.population.same

    def due_ns(self, ks: "Instants") -> "Instants":
        size = self.population.same
        return self._due_ns(ks if size == 1 else ks // size * size)

    def _due_ns(self, ks: "Instants") -> "Instants":
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ArrivalRate(_ByRate):
    """k6's constant-arrival-rate; `duration_ns` None lasts until it is switched off.

    What a fault adds (`by_fault`) may be switched off before its time.
    """

    rate: Rate
    duration_ns: int | None
    by_fault: bool = False

    def check(self) -> None:
        if not 0 < self.per_s <= NS:
            raise ValueError(f"a rate of {float(self.per_s):g}/s cannot be scheduled")
        super().check()

    @cached_property
    def per_s(self) -> Fraction:
        return exactly_per_s(self.rate)

    @cached_property
    def period_ns(self) -> int:
        return int(NS / self.per_s)

    @cached_property
    def count(self) -> int:
        if self.duration_ns is None:
            return MOST_STARTS
        return ceil(Fraction(self.duration_ns, self.period_ns))

    @cached_property
    def end_s(self) -> float:
        return inf if self.duration_ns is None else (self.start_ns + self.duration_ns) / NS

    @property
    def lines(self) -> tuple[RateLine, ...]:
        length_ns = self.duration_ns
        if length_ns is None:
            return ()
        return (RateLine(self.start_ns, length_ns, self.per_s, self.per_s),)

    @property
    def is_planned(self) -> bool:
        return not self.by_fault

    def _due_ns(self, ks: "Instants") -> "Instants":
        return self.start_ns + ks.astype("int64") * self.period_ns

    def highest_rate(self, from_s: float, to_s: float) -> float:
        runs = from_s < self.end_s and to_s >= self.start_ns / NS
        return float(self.per_s) if runs else 0.0


@dataclass(frozen=True, slots=True)
class RateStage:
    """A straight line of the rate, from where the last one ended to `target`."""

    target: Rate
    duration_ns: int


@dataclass(frozen=True, kw_only=True)
class RampingRate(_ByRate):
    """k6's ramping-arrival-rate, stage after stage."""

    start_rate: Rate
    stages: tuple[RateStage, ...]

    @cached_property
    def lines(self) -> tuple[RateLine, ...]:
        return tuple(self._placed())

    def _placed(self) -> Iterator[RateLine]:
        begin_ns, first = self.start_ns, exactly_per_s(self.start_rate)
        for stage in self.stages:
            last = exactly_per_s(stage.target)
            yield RateLine(begin_ns, stage.duration_ns, first, last)
            begin_ns, first = begin_ns + stage.duration_ns, last

    @cached_property
    def _areas(self) -> list[Fraction]:
        """The integral at the beginning of each stage, and at the end."""
        areas = [Fraction(0)]
        for line in self.lines:
            areas.append(areas[-1] + line.starts)
        return areas

    @cached_property
    def count(self) -> int:
        return floor(self._areas[-1])

    @cached_property
    def end_s(self) -> float:
        return (self.start_ns + sum(stage.duration_ns for stage in self.stages)) / NS

    @cached_property
    def _table(self) -> "dict[str, npt.NDArray[Any]]":
        """The stages as columns; integrals as whole part and rest, which floats hold exactly."""
        import numpy as np

        areas, lines = self._areas, self.lines
        whole = np.array([floor(a) for a in areas], dtype=np.int64)
        rest = np.array([float(a - floor(a)) for a in areas])
        return {
            "first": np.array([float(line.first) for line in lines]),
            "last": np.array([float(line.last) for line in lines]),
            "length": np.array([max(line.duration_ns, 1) / NS for line in lines]),
            "begins": np.array([line.begin_ns for line in lines], dtype=np.int64),
            "whole": whole,
            "rest": rest,
        }

    def _due_ns(self, ks: "Instants") -> "Instants":
        """Solve the stage's quadratic, from whichever end loses no digits (rates fall to 0)."""
        import numpy as np

        table = self._table
        n = ks.astype(np.int64) + 1
        i = np.searchsorted(table["whole"][1:], n, side="left")
        first, last, length = table["first"][i], table["last"][i], table["length"][i]
        done = (n - table["whole"][i]) - table["rest"][i]
        left = (table["whole"][i + 1] - n) + table["rest"][i + 1]
        squared = np.where(
            last >= first,
            first**2 + 2 * done * (last - first) / length,
            last**2 + 2 * left * (first - last) / length,
        )
        seconds = 2 * done / (first + np.sqrt(squared))
        due: Instants = table["begins"][i] + np.rint(np.minimum(seconds, length) * NS).astype(int)
        return due

    def _rate_at(self, s: float) -> float:
        inside = (line for line in self.lines if line.begin_s <= s < line.end_s)
        return next((line.rate_at(s) for line in inside), 0.0)

    def highest_rate(self, from_s: float, to_s: float) -> float:
        """The rate is highest at an end of the interval, or where a stage begins or ends."""
        rates = [self._rate_at(from_s), self._rate_at(to_s)]
        for line in self.lines:
            if from_s <= line.begin_s <= to_s:
                rates.append(float(line.first))
            if from_s <= line.end_s <= to_s:
                rates.append(float(line.last))
        return max(rates)
