"""Requests beside the issue, as one worker sends them: each with a client of its own."""

from collections.abc import Mapping
from math import floor

from gameday.core.units import nanoseconds, seconds
from gameday.spec.request import BeforeStep, Poll
from gameday.traffic.worker.client import Client
from gameday.traffic.worker.filled_request import FilledRequest


class SentStep:
    """One step before the issue, as this worker sends it."""

    def __init__(
        self,
        index: int,
        name: str,
        step: BeforeStep,
        filled: FilledRequest,
        client: Client,
        *,
        mix: Mapping[str, Mapping[str, float]],
    ) -> None:
        self.index = index
        self.name = name
        self.filled = filled
        self.client = client
        self.once = step.per == "user"
        self.weight = step.weight
        self._weights = {scenario: own[name] for scenario, own in mix.items() if name in own}
        self.may_hold = not self.once and step.method != "GET"

    def times(self, scenario: str, k: int) -> int:
        """How often it is asked before the issue of start `k`: in the mean its weight there."""
        weight = self._weights.get(scenario, self.weight)
        if weight is None:
            return 1
        return floor((k + 1) * weight) - floor(k * weight)


class SentPoll:
    """The question after an accepted issue, as this worker sends it."""

    def __init__(self, poll: Poll, filled: FilledRequest, client: Client) -> None:
        self.filled = filled
        self.client = client
        self.every_s = seconds(poll.every)
        self.every_ns = nanoseconds(poll.every)
        self.within_ns = nanoseconds(poll.within)
