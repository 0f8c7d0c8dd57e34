"""The number of virtual users over time: k6's constant-vus and ramping-vus.

This is the closed model: a virtual user asks, waits for the answer, sleeps, and asks again until
the end. So nobody knows beforehand how many requests there will be, and a slow system is asked
less. The number of users goes in whole steps along straight lines: from 0 to 10 in 10 s the first
begins at 1 s and the tenth at 10 s; from 10 to 0 in 10 s the first leaves at 1 s, the last at 10 s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gameday.core.clock import NS
from gameday.traffic.schedule.scenario import GRACEFUL_NS, MOST_STARTS, Scenario

if TYPE_CHECKING:
    from gameday.traffic.schedule.scenario import Instants


class VuStep(NamedTuple):
    """From this instant on (ns from t = 0 of the run) so many virtual users may go on."""

    at_ns: int
    vus: int


class VuRamp(NamedTuple):
    """A straight line of their number, from where the last one ended to `target`."""

    target: int
    duration_ns: int


@dataclass(frozen=True, kw_only=True)
class VirtualUsers(Scenario):
    """`first` virtual users, then stage after stage; constant-vus is a stage that stays at them.

    `graceful_stop_ns` is how long the requests under way at the end may take,
    `graceful_ramp_down_ns` the same for a user that a ramp takes away; `sleep_ns` follows each
    request. Its starts have no due times and no known number: what can be said of each is that it
    begins no earlier than the scenario. A rate it has none.
    """

    first: int
    stages: tuple[VuRamp, ...]
    graceful_ramp_down_ns: int = GRACEFUL_NS

    @property
    def count(self) -> int:
        return MOST_STARTS

    @cached_property
    def end_s(self) -> float:
        """The instant from which no user begins again, in seconds from t = 0."""
        return (self.start_ns + sum(stage.duration_ns for stage in self.stages)) / NS

    @property
    def is_planned(self) -> bool:
        return False

    @cached_property
    def most_vus(self) -> int:
        return max(self.first, *(stage.target for stage in self.stages))

    def due_ns(self, ks: "Instants") -> "Instants":
        import numpy as np

        return np.full(len(ks), self.start_ns, dtype=np.int64)

    @cached_property
    def steps(self) -> tuple[VuStep, ...]:
        """Every change of the number, in order, from the beginning to the end, at 0."""
        return tuple(self._steps())

    def _steps(self) -> Iterator[VuStep]:
        """A step at each whole number that a line reaches; a stage of no length jumps."""
        yield VuStep(self.start_ns, self.first)
        now, begin_ns = self.first, self.start_ns
        for target, length_ns in self.stages:
            if length_ns == 0 and target != now:
                yield VuStep(begin_ns, target)
            elif length_ns:
                yield from _line(begin_ns, length_ns, now, target)
            now, begin_ns = target, begin_ns + length_ns
        yield VuStep(begin_ns, 0)


def _line(begin_ns: int, length_ns: int, now: int, target: int) -> Iterator[VuStep]:
    many = abs(target - now)
    for n in range(1, many + 1):
        number = now + n if target > now else now - n
        yield VuStep(begin_ns + int(Fraction(length_ns * n, many)), number)


def share_of(vus: int, worker: int, workers: int) -> int:
    """The number of `vus` virtual users that are worker `worker`'s: those numbered k ≡ worker."""
    return len(range(worker, vus, workers))
