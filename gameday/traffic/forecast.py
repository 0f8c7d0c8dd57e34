"""Forecast from an experiment's file: its times and amounts.

When the traffic ends, how much it asks for, and when the stock is expected to be gone: a user
gets one coupon at most, so that is when as many users as coupons have asked (`askers`).

Virtual users (constant-vus, ramping-vus) ask as fast as they are answered. So how many requests
they make, and when the stock is gone where they ask, nobody can say beforehand.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gameday.core.units import seconds
from gameday.spec.experiment import (
    ConstantArrivalRate,
    ConstantVus,
    Experiment,
    RampingArrivalRate,
    RampingVus,
    Scenario,
)
from gameday.spec.faults import Spike
from gameday.spec.system import System
from gameday.traffic.distinct_users import Crowd

CLOSED = (ConstantVus, RampingVus)
"""The executors whose requests wait for each other."""


@dataclass(frozen=True, slots=True)
class Segment:
    """From `begin_s` to `end_s` the rate goes in a straight line between two values a second."""

    begin_s: float
    end_s: float
    begin_per_s: float
    end_per_s: float

    def starts_until(self, t_s: float) -> float:
        """The starts of this segment up to an instant of the run."""
        length = self.end_s - self.begin_s
        passed = min(max(t_s - self.begin_s, 0.0), length)
        if passed == 0.0:
            return 0.0
        now_per_s = self.begin_per_s + (self.end_per_s - self.begin_per_s) * passed / length
        return passed * (self.begin_per_s + now_per_s) / 2


def scenario_segments(scenario: Scenario) -> Iterator[Segment]:
    """The straight lines of one scenario's rate; none where virtual users ask."""
    begin_s = seconds(scenario.startTime)
    if isinstance(scenario, ConstantArrivalRate):
        rate = scenario.rate.per_s
        yield Segment(begin_s, begin_s + seconds(scenario.duration), rate, rate)
    elif isinstance(scenario, RampingArrivalRate):
        rate = scenario.startRate.per_s
        for stage in scenario.stages:
            end_s = begin_s + seconds(stage.duration)
            yield Segment(begin_s, end_s, rate, stage.target.per_s)
            begin_s, rate = end_s, stage.target.per_s


def scenario_end_s(scenario: Scenario) -> float:
    """When a scenario starts nothing more, from t = 0."""
    if isinstance(scenario, ConstantArrivalRate | ConstantVus):
        return seconds(scenario.startTime + scenario.duration)
    return seconds(scenario.startTime) + sum(seconds(stage.duration) for stage in scenario.stages)


def closed(experiment: Experiment) -> list[str]:
    """The scenarios of virtual users, by name: how many requests they make is not known."""
    return [name for name, each in experiment.traffic.items() if isinstance(each, CLOSED)]


def scheduled(experiment: Experiment) -> list[Segment]:
    """The straight lines of every scenario, without the faults'."""
    return [s for scenario in experiment.traffic.values() for s in scenario_segments(scenario)]


def everything(experiment: Experiment) -> list[Segment]:
    """The scenarios and what spikes add."""
    return scheduled(experiment) + [_added(spike) for spike in _spikes(experiment)]


def _spikes(experiment: Experiment) -> list[Spike]:
    return [fault for fault in experiment.method if isinstance(fault, Spike)]


def _added(spike: Spike) -> Segment:
    rate = spike.rate.per_s
    return Segment(seconds(spike.at), seconds(spike.at + spike.duration), rate, rate)


def traffic_end_s(experiment: Experiment) -> float:
    """When the last scenario starts nothing more, from t = 0."""
    return max(scenario_end_s(scenario) for scenario in experiment.traffic.values())


def starts_until(experiment: Experiment, t_s: float) -> float:
    """The number of requests due up to an instant of the run, virtual users left out."""
    return sum(segment.starts_until(t_s) for segment in everything(experiment))


def expected_starts(experiment: Experiment) -> float:
    """The number of requests due in the whole run, virtual users left out."""
    return starts_until(experiment, traffic_end_s(experiment))


def starts_for(users: int, stock: int) -> float:
    """After how many starts as many different users as `stock` have asked; inf: never.

    Of users that are drawn uniformly.
    """
    if stock == 0:
        return 0.0
    if stock >= users:
        return math.inf
    return math.log1p(-stock / users) / math.log1p(-1 / users)


def askers(experiment: Experiment, t_s: float, *, share: float = 1.0) -> float:
    """The expected number of distinct users who asked up to an instant of the run.

    `share` of the due starts are made. Virtual users are left out.
    """
    sources = [(each.population, list(scenario_segments(each))) for each in _by_rate(experiment)]
    sources += [("uniform", [_added(spike)]) for spike in _spikes(experiment)]
    crowd = Crowd(experiment.campaign.users, tuple(population for population, _ in sources))
    starts = [share * sum(line.starts_until(t_s) for line in lines) for _, lines in sources]
    return crowd.askers(starts)


def _by_rate(experiment: Experiment) -> list[ConstantArrivalRate | RampingArrivalRate]:
    return [each for each in experiment.traffic.values() if not isinstance(each, CLOSED)]


def sell_out_s(experiment: Experiment) -> float | None:
    """When the last coupon is expected to go, from t = 0.

    None if the traffic is not enough, or not known because virtual users ask.
    """
    stock, users = experiment.campaign.stock, experiment.campaign.users
    if stock is None or closed(experiment):
        return None
    if stock >= users and all(each.population != "once" for each in _by_rate(experiment)):
        return None  # the last user of all is never sure to come
    low, high = 0.0, traffic_end_s(experiment)
    if stock > 0 and askers(experiment, high) < stock:
        return None
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (middle, high) if askers(experiment, middle) < stock else (low, middle)
    return high


def longest_start_s(system: System, experiment: Experiment) -> float:
    """The longest that a start can stay open, with all that it asks again."""
    timeout_s = system.requests.issue.timeout.total_seconds()
    waits = [
        each.retries.at_most * (timeout_s + each.retries.backoff.total_seconds())
        for each in experiment.traffic.values()
        if each.retries is not None
    ]
    return timeout_s + max(waits, default=0.0)
