"""The peak demand of a load test's scenarios. Arithmetic over the file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from gameday.spec.request import MOST_OPEN
from gameday.traffic.schedule.arrival_rate import RateLine
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.virtual_users import VirtualUsers

OPEN_SHARE = 1.1
"""Open requests are at most 1.1 × rate × timeout, as the worker allows: it closes a little late."""


@dataclass(frozen=True, slots=True)
class VuDemand:
    """The VU limit of one scenario, beside the highest rate that is asked of them."""

    scenario: str
    most: int
    sleep_s: float
    peak_per_s: float

    @property
    def ceiling_per_s(self) -> float | None:
        """The most they can start of a system that answers at once; None: as it answers."""
        return self.most / self.sleep_s if self.sleep_s else None

    @property
    def answer_in_s(self) -> float:
        """The longest answer, in seconds, for which these virtual users are enough."""
        return self.most / self.peak_per_s - self.sleep_s if self.peak_per_s else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """`peak_per_s` is the highest rate of all scenarios together, `open_most` of open requests."""

    peak_per_s: float
    open_most: int
    users: tuple[VuDemand, ...] = ()

    @property
    def workers_most(self) -> int | None:
        """The most workers of which each has a virtual user of every scenario; None: no limit.

        A worker without one could start nothing of that scenario, and would drop its share.
        """
        return min((max(1, one.most) for one in self.users), default=None)

    @property
    def reachable_per_s(self) -> float:
        """The highest rate that the virtual users allow, of what is asked for."""
        ceiling = self.ceiling_per_s
        return self.peak_per_s if ceiling is None else min(self.peak_per_s, ceiling)

    @property
    def ceiling_per_s(self) -> float | None:
        """The most starts a second of all scenarios' virtual users; None: no such limit."""
        found = [one.ceiling_per_s for one in self.users]
        if not found or None in found:
            return None
        return sum(most for most in found if most is not None)


def demand_of(
    scenarios: Mapping[str, Scenario], timeout_s: float, added: Sequence[RateLine] = ()
) -> Demand:
    """The peak demand of the scenarios and of the traffic that faults add."""
    lines = {name: one.lines for name, one in scenarios.items()}
    peak = peak_of([*(line for each in lines.values() for line in each), *added])
    open_most = 0.0
    users = []
    for name, scenario in scenarios.items():
        mine = peak_of(lines[name])
        limit = scenario.limit
        if isinstance(scenario, VirtualUsers):
            open_most += scenario.most_vus
        elif limit is None:
            open_most += OPEN_SHARE * mine * timeout_s
        else:
            users.append(VuDemand(name, limit.most, scenario.sleep_s, mine))
            open_most += min(limit.most, OPEN_SHARE * mine * timeout_s)
    open_most += OPEN_SHARE * peak_of(added) * timeout_s
    return Demand(
        peak_per_s=peak, open_most=min(MOST_OPEN, ceil(round(open_most, 6))), users=tuple(users)
    )


def peak_of(lines: Iterable[RateLine]) -> float:
    """The highest rate of straight lines together: it is reached where one of them ends."""
    waiting = sorted(lines, key=lambda line: line.begin_ns, reverse=True)
    edges = sorted({edge for line in waiting for edge in (line.begin_s, line.end_s)})
    through: list[RateLine] = []
    highest = 0.0
    for begin_s, end_s in pairwise(edges):
        while waiting and waiting[-1].begin_s <= begin_s:
            through.append(waiting.pop())
        through = [line for line in through if end_s <= line.end_s]
        for at_s in (begin_s, end_s):
            highest = max(highest, sum(line.rate_at(at_s) for line in through))
    return highest
