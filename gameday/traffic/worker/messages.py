"""Messages of a traffic worker: the orders that it hears and what it says, a JSON line each.

An order names itself by `cmd`, what a worker says by `event`. `beat` is its sample of each second,
`vitals` that before the first and after the last.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from gameday.core.errors import UsageError
from gameday.core.json_objects import json_object, plain, read_object
from gameday.core.units import Rate
from gameday.traffic.schedule.arrival_rate import ArrivalRate
from gameday.traffic.vitals import WorkerSample
from gameday.traffic.worker.config import scenario_name

MOST_PER_S = 1_000_000  # fifty times what a worker sends; bounds what an order can ask


@dataclass(frozen=True, slots=True)
class StartTraffic:
    """The traffic begins at that instant."""

    t0_ns: int


@dataclass(frozen=True, slots=True)
class ExtraScenario:
    """A scenario that a fault adds; without a duration it lasts until it is switched off."""

    name: Annotated[str, scenario_name]
    rate_per_s: float
    duration_s: float | None = None

    def scenario(self, start_ns: int) -> ArrivalRate:
        """The scenario it is from `start_ns` on, to the digits that its history keeps."""
        whole_us = None if self.duration_s is None else round(self.duration_s * 1_000_000)
        if not 0 < self.rate_per_s <= MOST_PER_S or (whole_us is not None and whole_us <= 0):
            raise UsageError(f"scenario {self.name!r}: {self.rate_per_s:g}/s for {self.duration_s}")
        return ArrivalRate(
            rate=Rate(round(self.rate_per_s, 6), timedelta(seconds=1)),
            duration_ns=None if whole_us is None else whole_us * 1000,
            start_ns=start_ns,
            by_fault=True,
        )


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """A scenario begins."""

    scenario: ExtraScenario
    at_ns: int


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """A scenario ends."""

    name: str


@dataclass(frozen=True, slots=True)
class StopTraffic:
    """Nothing more is started; what is open gets `grace_s`."""

    grace_s: float = 2.0


Order = StartTraffic | SwitchOn | SwitchOff | StopTraffic
_ORDERS = {"start": StartTraffic, "on": SwitchOn, "off": SwitchOff, "stop": StopTraffic}


@dataclass(frozen=True, slots=True)
class Reached:
    """All starts are dispatched, then nothing is open any more, then every record is written."""

    event: Literal["scheduled", "idle", "done"]
    t_s: float | None = field(default=None, metadata={"key": "t"})
    never_started: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An order could not be obeyed."""

    why: str
    order: str = ""
    event: str = "refused"


@dataclass(frozen=True, slots=True)
class UnmatchedAnswer:
    """An answer that no outcome describes, masked and cut: an example of what came."""

    status: int
    said: str = ""
    event: str = "unmatched"


Event = Reached | Refused | UnmatchedAnswer | WorkerSample
_EVENTS = {
    "refused": Refused,
    "unmatched": UnmatchedAnswer,
    "beat": WorkerSample,
    "vitals": WorkerSample,
}


def order_line(order: Order) -> bytes:
    """The line of an order."""
    cmd = next(cmd for cmd, class_ in _ORDERS.items() if isinstance(order, class_))
    return json.dumps({"cmd": cmd, **plain(order)}).encode()


def order_in(line: bytes) -> Order:
    """The order in a line. Raises UsageError or ValueError for what is none."""
    fields = json_object(json.loads(line))
    class_ = _ORDERS.get(str(fields.get("cmd")))
    if class_ is None:
        raise UsageError(f"unknown order {fields.get('cmd')!r}", help="start, on, off or stop")
    order: Order = read_object(class_, fields)
    return order


def event_line(event: Event, sample: Literal["beat", "vitals"] = "beat") -> bytes:
    """The line of what a worker says; `sample` names a sample."""
    name = {"event": sample} if isinstance(event, WorkerSample) else {}
    return json.dumps({**name, **plain(event)}).encode()


def event_in(line: bytes) -> Event:
    """What a worker has said. Raises ValueError for what none says."""
    fields = json_object(json.loads(line))
    event: Event = read_object(_EVENTS.get(str(fields.get("event")), Reached), fields)
    return event
