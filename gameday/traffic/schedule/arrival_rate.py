"""When each start is due: k6's arrival-rate executors, as functions of the start's number.

Start k of a constant rate is due at k · P, P being the unit of time divided by the rate, cut to
whole nanoseconds; the first one at 0, and none at or after the duration. A ramping rate is a
chain of straight lines, and start n (counted from 1, so n = k + 1) is due when the integral of
the rate reaches n; a remainder carries over into the next stage. Counts are exact: rates are
fractions, not floats. Nothing is random, and nothing depends on what was sent before. Where one
user asks many times at once (population `same`), the starts of a bunch are due together.

Numpy is imported where due times are asked for: counts need none, and a file that is refused is
not to wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from gameday.spec.scenario_json import as_mapping, begin_ns, duration_ns, per_s
from gameday.traffic.schedule.virtual_users import is_closed, vus

NS = 1_000_000_000
MOST_STARTS = 2**32 - 1

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Instants = npt.NDArray[np.int64]


class Schedule(Protocol):
    """The due times of one scenario, in nanoseconds from t = 0 of the run."""

    @property
    def count(self) -> int:
        """The number of starts; MOST_STARTS when it lasts until it is switched off."""
        ...

    @property
    def end_s(self) -> float:
        """When the scenario ends, in seconds from t = 0."""
        ...

    @property
    def at_once(self) -> int:
        """The number of starts due at the same instant, whatever the rate."""
        ...

    def due_ns(self, ks: "Instants") -> "Instants":
        """The due times of the starts `ks`."""
        ...

    def offset_ns(self, k: int) -> int:
        """The due time of start `k`."""
        ...

    def offsets(self) -> "Instants":
        """All due times, in order."""
        ...

    def rate_at(self, s: float) -> float:
        """The rate at `s` seconds from t = 0, per second."""
        ...

    def highest_rate(self, from_s: float, to_s: float) -> float:
        """The highest rate anywhere between the two, per second."""
        ...


class _Offsets:
    """Lookups that follow from `due_ns` and `count`, whatever the executor."""

    count: int

    @property
    def at_once(self) -> int:
        return 1

    def due_ns(self, ks: "Instants") -> "Instants":
        raise NotImplementedError

    def offset_ns(self, k: int) -> int:
        if not 0 <= k < self.count:
            raise IndexError(f"start {k} of {self.count}")
        import numpy as np

        return int(self.due_ns(np.array([k], dtype=np.int64))[0])

    def offsets(self) -> "Instants":
        import numpy as np

        return self.due_ns(np.arange(self.count, dtype=np.int64))


@dataclass(frozen=True)
class ConstantRate(_Offsets):
    """k6's constant-arrival-rate; `duration_ns` None lasts until it is switched off."""

    rate_per_s: Fraction
    duration_ns: int | None
    start_ns: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= NS:
            raise ValueError(f"a rate of {float(self.rate_per_s):g}/s cannot be scheduled")
        if self.count > MOST_STARTS:
            raise ValueError(f"{self.count} starts are more than a history holds")

    @cached_property
    def period_ns(self) -> int:
        return int(NS / self.rate_per_s)

    @cached_property
    def count(self) -> int:  # type: ignore[override]  # a class attribute, made here on demand
        if self.duration_ns is None:
            return MOST_STARTS
        return ceil(Fraction(self.duration_ns, self.period_ns))

    @property
    def end_s(self) -> float:
        if self.duration_ns is None:
            return float("inf")
        return (self.start_ns + self.duration_ns) / NS

    def due_ns(self, ks: "Instants") -> "Instants":
        return self.start_ns + ks.astype("int64") * self.period_ns

    def rate_at(self, s: float) -> float:
        return float(self.rate_per_s) if self.start_ns / NS <= s < self.end_s else 0.0

    def highest_rate(self, from_s: float, to_s: float) -> float:
        runs = from_s < self.end_s and to_s >= self.start_ns / NS
        return float(self.rate_per_s) if runs else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One stage: the rate goes straight from `first` to `last` (per second) in `duration_ns`."""

    first: Fraction
    last: Fraction
    duration_ns: int

    @property
    def starts(self) -> Fraction:
        """The integral of the rate."""
        return (self.first + self.last) / 2 * Fraction(self.duration_ns, NS)


@dataclass(frozen=True)
class RampingRate(_Offsets):
    """k6's ramping-arrival-rate, stage after stage."""

    lines: tuple[Line, ...]
    start_ns: int = 0

    def __post_init__(self) -> None:
        if any(line.first < 0 or line.last < 0 or line.duration_ns < 0 for line in self.lines):
            raise ValueError("a stage has a negative rate or duration")
        if self.count > MOST_STARTS:
            raise ValueError(f"{self.count} starts are more than a history holds")

    @cached_property
    def _areas(self) -> list[Fraction]:
        """The integral at the beginning of each stage, and at the end."""
        areas = [Fraction(0)]
        for line in self.lines:
            areas.append(areas[-1] + line.starts)
        return areas

    @cached_property
    def _begins_ns(self) -> list[int]:
        begins = [self.start_ns]
        for line in self.lines:
            begins.append(begins[-1] + line.duration_ns)
        return begins

    @cached_property
    def count(self) -> int:  # type: ignore[override]  # a class attribute, made here on demand
        return floor(self._areas[-1])

    @property
    def end_s(self) -> float:
        return self._begins_ns[-1] / NS

    @cached_property
    def _table(self) -> "dict[str, npt.NDArray[Any]]":
        """The stages as columns; integrals as whole part and rest, which floats hold exactly."""
        import numpy as np

        areas = self._areas
        whole = np.array([floor(a) for a in areas], dtype=np.int64)
        rest = np.array([float(a - floor(a)) for a in areas])
        return {
            "first": np.array([float(line.first) for line in self.lines]),
            "last": np.array([float(line.last) for line in self.lines]),
            "length": np.array([max(line.duration_ns, 1) / NS for line in self.lines]),
            "begins": np.array(self._begins_ns[:-1], dtype=np.int64),
            "whole": whole,
            "rest": rest,
        }

    def due_ns(self, ks: "Instants") -> "Instants":
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

    def rate_at(self, s: float) -> float:
        for begin, line in zip(self._begins_ns, self.lines, strict=False):
            into = s - begin / NS
            length = line.duration_ns / NS
            if 0 <= into < length:
                return float(line.first) + float(line.last - line.first) * into / length
        return 0.0

    def highest_rate(self, from_s: float, to_s: float) -> float:
        """The rate is highest at an end of the interval, or where a stage begins or ends."""
        rates = [self.rate_at(from_s), self.rate_at(to_s)]
        for begin, line in zip(self._begins_ns, self.lines, strict=False):
            if from_s <= begin / NS <= to_s:
                rates.append(float(line.first))
            if from_s <= (begin + line.duration_ns) / NS <= to_s:
                rates.append(float(line.last))
        return max(rates)


@dataclass(frozen=True)
class Bunches(_Offsets):
    """Starts of another schedule, `size` at a time: all of a bunch are due when its first one is.

    This is how one user asks from many connections at once. As many starts as ever are asked for,
    at the same rates in the mean.
    """

    each: Schedule
    size: int

    @property
    def count(self) -> int:  # type: ignore[override]  # a class attribute, made here on demand
        return self.each.count

    @property
    def end_s(self) -> float:
        return self.each.end_s

    @property
    def at_once(self) -> int:
        return self.size

    def due_ns(self, ks: "Instants") -> "Instants":
        return self.each.due_ns(ks // self.size * self.size)

    def rate_at(self, s: float) -> float:
        return self.each.rate_at(s)

    def highest_rate(self, from_s: float, to_s: float) -> float:
        return self.each.highest_rate(from_s, to_s)


@dataclass(frozen=True)
class Closed(_Offsets):
    """A scenario of virtual users: its starts have no due times and no known number.

    What can be said of each is that it begins no earlier than the scenario; a rate has it none.
    """

    start_ns: int
    end_s: float
    count: int = MOST_STARTS

    def due_ns(self, ks: "Instants") -> "Instants":
        import numpy as np

        return np.full(len(ks), self.start_ns, dtype=np.int64)

    def rate_at(self, s: float) -> float:
        return 0.0

    def highest_rate(self, from_s: float, to_s: float) -> float:
        return 0.0


def schedule(spec: Mapping[str, Any] | BaseModel) -> Schedule:
    """The schedule of a scenario as an experiment file writes it, dumped or as its model.

    Two keys more are understood, for traffic that a fault adds: `start_ns` instead of `startTime`,
    and a `duration` of None, which lasts until it is switched off. Raises ValueError.
    """
    given = as_mapping(spec)
    if is_closed(given):
        plan = vus(given)
        return Closed(plan.start_ns, plan.end_s)
    times = _by_rate(given)
    kind = given.get("population")
    if isinstance(kind, Mapping) and "same" in kind:
        return Bunches(times, int(kind["same"]))
    return times


def _by_rate(given: Mapping[str, Any]) -> Schedule:
    start_ns, executor = begin_ns(given), given["executor"]
    if executor == "constant-arrival-rate":
        duration = given["duration"]
        length = None if duration is None else duration_ns(duration)
        return ConstantRate(per_s(given["rate"]), length, start_ns)
    if executor == "ramping-arrival-rate":
        rates = [per_s(given.get("startRate", "0/s"))]
        lines = []
        for stage in given["stages"]:
            rates.append(per_s(stage["target"]))
            lines.append(Line(rates[-2], rates[-1], duration_ns(stage["duration"])))
        return RampingRate(tuple(lines), start_ns)
    raise ValueError(f"unknown executor {executor!r}")
