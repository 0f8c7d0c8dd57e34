"""The number of virtual users over time: k6's constant-vus and ramping-vus, and VU limits.

This is the closed model: a virtual user asks, waits for the answer, sleeps, and asks again until
the end. So nobody knows beforehand how many requests there will be, and a slow system is asked
less. The number of users goes in whole steps along straight lines: from 0 to 10 in 10 s the first
begins at 1 s and the tenth at 10 s; from 10 to 0 in 10 s the first leaves at 1 s, the last at 10 s.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import BaseModel

from gameday.spec.scenario_json import as_mapping, begin_ns, duration_ns

NS = 1_000_000_000
GRACEFUL = "30s"
"""k6's default of gracefulStop and gracefulRampDown."""


class Step(NamedTuple):
    """From this instant on (ns from t = 0 of the run) so many virtual users may go on."""

    at_ns: int
    vus: int


@dataclass(frozen=True)
class VuPlan:
    """The virtual users of one scenario. The last step is the end: no user begins again.

    `graceful_stop_ns` is how long the requests under way then may take, `graceful_ramp_down_ns`
    the same for a user that a ramp takes away; `sleep_ns` follows each request.
    """

    timeline: tuple[Step, ...]
    graceful_stop_ns: int
    graceful_ramp_down_ns: int
    sleep_ns: int

    def steps(self) -> tuple[Step, ...]:
        """Every change of the number, in order; the first one is the beginning."""
        return self.timeline

    @cached_property
    def _instants(self) -> list[int]:
        return [step.at_ns for step in self.timeline]

    def at_ns(self, ns: int) -> int:
        """The number of virtual users that may go on at an instant, in ns from t = 0 of the run."""
        index = bisect_right(self._instants, ns)
        return self.timeline[index - 1].vus if index else 0

    def at(self, s: float) -> int:
        """The same, in seconds."""
        return self.at_ns(round(s * NS))

    @property
    def start_ns(self) -> int:
        return self.timeline[0].at_ns

    @property
    def end_s(self) -> float:
        """When the last user may begin no more, in seconds from t = 0."""
        return self.timeline[-1].at_ns / NS

    @cached_property
    def max(self) -> int:
        return max(step.vus for step in self.timeline)


@dataclass(frozen=True, slots=True)
class VuLimit:
    """The virtual users of an arrival-rate scenario: `first` at once, never more than `most`."""

    first: int
    most: int


def share_of(vus: int, worker: int, workers: int) -> int:
    """The number of `vus` virtual users that are worker `worker`'s: those numbered k ≡ worker."""
    return len(range(worker, vus, workers))


def is_closed(spec: Mapping[str, Any] | BaseModel) -> bool:
    """True if a scenario's requests wait for each other: its executor has VUs and no rate."""
    return str(as_mapping(spec)["executor"]).endswith("-vus")


def vus(spec: Mapping[str, Any] | BaseModel) -> VuPlan:
    """The plan of a constant-vus or ramping-vus scenario, dumped or as its model.

    Raises ValueError.
    """
    given = as_mapping(spec)
    start_ns = begin_ns(given)
    if given["executor"] == "constant-vus":
        count = _count(given.get("vus", 1))
        timeline = [Step(start_ns, count), Step(start_ns + duration_ns(given["duration"]), 0)]
    elif given["executor"] == "ramping-vus":
        timeline = list(_ramp(start_ns, _count(given.get("startVUs", 1)), given["stages"]))
    else:
        raise ValueError(f"executor {given['executor']!r} has no virtual users of its own")
    return VuPlan(
        tuple(timeline),
        duration_ns(given.get("gracefulStop", GRACEFUL)),
        duration_ns(given.get("gracefulRampDown", GRACEFUL)),
        duration_ns(given.get("sleep", 0)),
    )


def most_vus(spec: Mapping[str, Any] | BaseModel) -> int:
    """The highest number of virtual users of a constant-vus or ramping-vus scenario."""
    given = as_mapping(spec)
    if given["executor"] == "constant-vus":
        return _count(given.get("vus", 1))
    levels = [given.get("startVUs", 1), *(stage["target"] for stage in given["stages"])]
    return max(map(_count, levels))


def vu_limit(spec: Mapping[str, Any] | BaseModel) -> VuLimit | None:
    """The VU limit of an arrival-rate scenario; None where it has none.

    k6's rule: preAllocatedVUs at first, maxVUs at most, which is as many where it is not given.
    """
    given = as_mapping(spec)
    first = given.get("preAllocatedVUs")
    if first is None:
        return None
    most = given.get("maxVUs")
    return VuLimit(int(first), int(first if most is None else most))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of virtual users")
    return value


def _ramp(start_ns: int, first: int, stages: list[Mapping[str, Any]]) -> Iterator[Step]:
    """A step at each whole number that a line reaches; a stage of no length jumps."""
    yield Step(start_ns, first)
    now, begin = first, start_ns
    for stage in stages:
        target, length = _count(stage["target"]), duration_ns(stage["duration"])
        if length == 0 and target != now:
            yield Step(begin, target)
        elif length:
            yield from _line(begin, length, now, target)
        now, begin = target, begin + length
    yield Step(begin, 0)


def _line(begin: int, length: int, now: int, target: int) -> Iterator[Step]:
    many = abs(target - now)
    for n in range(1, many + 1):
        number = now + n if target > now else now - n
        yield Step(begin + int(Fraction(length * n, many)), number)
