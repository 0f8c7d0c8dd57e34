"""What an experiment's file says about time and amount.

When the traffic ends, how much it asks for, and when the stock is expected to be gone.

Users are drawn uniformly, so after n starts U·(1 − (1 − 1/U)ⁿ) different ones of U have asked,
and a user gets one coupon at most: the stock is gone when as many users as coupons have asked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gameday.experiment import ConstantArrivalRate, Experiment, RampingArrivalRate
from gameday.faults import Spike
from gameday.units import seconds


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


def scenario_segments(scenario: ConstantArrivalRate | RampingArrivalRate) -> Iterator[Segment]:
    """The straight lines of one scenario's rate."""
    begin_s = seconds(scenario.startTime)
    if isinstance(scenario, ConstantArrivalRate):
        rate = scenario.rate.per_s
        yield Segment(begin_s, begin_s + seconds(scenario.duration), rate, rate)
        return
    rate = scenario.startRate.per_s
    for stage in scenario.stages:
        end_s = begin_s + seconds(stage.duration)
        yield Segment(begin_s, end_s, rate, stage.target.per_s)
        begin_s, rate = end_s, stage.target.per_s


def scheduled(experiment: Experiment) -> list[Segment]:
    """The straight lines of every scenario, without the faults'."""
    return [s for scenario in experiment.traffic.values() for s in scenario_segments(scenario)]


def everything(experiment: Experiment) -> list[Segment]:
    """The scenarios and what spikes add."""
    spikes = [fault for fault in experiment.method if isinstance(fault, Spike)]
    added = [
        Segment(seconds(f.at), seconds(f.at + f.duration), f.rate.per_s, f.rate.per_s)
        for f in spikes
    ]
    return scheduled(experiment) + added


def traffic_end_s(experiment: Experiment) -> float:
    """When the last scenario's schedule ends, from t = 0."""
    return max(segment.end_s for segment in scheduled(experiment))


def starts_until(experiment: Experiment, t_s: float) -> float:
    """How many requests are due up to an instant of the run."""
    return sum(segment.starts_until(t_s) for segment in everything(experiment))


def expected_starts(experiment: Experiment) -> float:
    """How many requests the whole run asks for."""
    return starts_until(experiment, traffic_end_s(experiment))


def starts_for(users: int, stock: int) -> float:
    """After how many starts as many different users as `stock` have asked; inf: never."""
    if stock == 0:
        return 0.0
    if stock >= users:
        return math.inf
    return math.log1p(-stock / users) / math.log1p(-1 / users)


def sell_out_s(experiment: Experiment) -> float | None:
    """When the last coupon is expected to go, from t = 0; None if the traffic is not enough."""
    stock = experiment.campaign.stock
    if stock is None:
        return None
    needed = starts_for(experiment.campaign.users, stock)
    low, high = 0.0, traffic_end_s(experiment)
    if starts_until(experiment, high) < needed:
        return None
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (middle, high) if starts_until(experiment, middle) < needed else (low, middle)
    return high
