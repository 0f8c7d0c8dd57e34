"""Samples and readings of a run: JSON lines with one writer, the collector.

Three kinds of line, all with `t` in ns of CLOCK_MONOTONIC on the collector's exact grid:

    {"series": [[id, {"__name__": …, label: value}], …]}
        first sight of series; ids count from 0
    {"t": …, "values": [[id, value], …], "up": {target: true|false}}
        one scrape, every series of it
    {"t": …, "readings": {name: true|false|null}, "figures": {name: number|null},
     "alerts": [{"labels", "state", "active_at"}], "down": {target: why it told nothing},
     "traffic": {rates and counts for a screen}}
        one evaluation

`readings` holds every named expression (objectives, guards, probes, drain); null means no data.
`figures` holds the same expressions' left operand as a number where it is one value, and the
dependency expressions: what charts and dose witnesses read. `active_at` is ns, as `t` is.
With a real Prometheus, `sampled` is the instant after which all samples of an evaluation were
taken (else `t` itself), and `alerts_problem` says why nobody knows which alerts there are then.
Where an Alertmanager is known, `routing` has what it notified of since the last line (`notified`:
[{"at", "state", "receiver", "labels"}], null where nobody receives it), the names of the alerts
that it keeps back (`suppressed`), and the `problem` why that may not be all.
Judging reads these lines and evaluates no PromQL.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gameday.core import files
from gameday.core.json import read_lines

Truth = bool | None


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert instance as one evaluation saw it."""

    labels: Mapping[str, str]
    state: Literal["pending", "firing"]
    active_at_ns: int

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class NotificationLine:
    """One alert of a notification, received at `at_ns`."""

    at_ns: int
    state: Literal["firing", "resolved"]
    receiver: str
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class RoutingLine:
    """Routing as it was known at one instant; `notified` None: nobody receives."""

    notified: Sequence[NotificationLine] | None
    suppressed: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was evaluated at one instant of the grid."""

    t_ns: int
    readings: Mapping[str, Truth]
    alerts: Sequence[AlertLine]
    figures: Mapping[str, float | None]
    down: Mapping[str, str] = field(default_factory=dict)
    sampled: int | None = None
    alerts_problem: str = ""
    routing: RoutingLine | None = None

    @property
    def sampled_ns(self) -> int:
        """The instant after which every sample of it was taken."""
        return self.t_ns if self.sampled is None else self.sampled

    @property
    def why_blind(self) -> str:
        """Why a target told nothing, to be said after what has no data; "" where all told."""
        return next((f": collector: {why}" for why in self.down.values()), "")


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every series of one instant: (labels with `__name__`, value)."""

    t_ns: int
    values: Sequence[tuple[Mapping[str, str], float]]


def evaluation_from_json(line: Mapping[str, Any]) -> Evaluation:
    """A line that holds `readings`, as the file and the collector's pipe carry it."""
    alerts = [AlertLine(dict(a["labels"]), a["state"], a["active_at"]) for a in line["alerts"]]
    readings, figures = dict(line["readings"]), dict(line.get("figures", {}))
    down = dict(line.get("down", {}))
    _must_be_typed([line["t"], *(alert.active_at_ns for alert in alerts)], {int})
    _must_be_typed(readings.values(), {bool, type(None)})
    _must_be_typed(figures.values(), {int, float, type(None)})
    _must_be_typed([*down.values(), *(alert.labels["alertname"] for alert in alerts)], {str})
    if not {alert.state for alert in alerts} <= _STATES:
        raise ValueError("an alert is in no state")
    sampled, problem = line.get("sampled"), line.get("alerts_problem", "")
    _must_be_typed([sampled], {int, type(None)})
    _must_be_typed([problem], {str})
    routing = _routing(line["routing"]) if "routing" in line else None
    return Evaluation(line["t"], readings, alerts, figures, down, sampled, problem, routing)


def _routing(told: Mapping[str, Any]) -> RoutingLine:
    notified = None
    if told["notified"] is not None:
        notified = [
            NotificationLine(n["at"], n["state"], n["receiver"], dict(n["labels"]))
            for n in told["notified"]
        ]
        _must_be_typed([n.at_ns for n in notified], {int})
        _must_be_typed([t for n in notified for t in (n.receiver, n.labels["alertname"])], {str})
        if not {n.state for n in notified} <= {"firing", "resolved"}:
            raise ValueError("a notification is in no state")
    suppressed, problem = list(told["suppressed"]), told.get("problem", "")
    _must_be_typed([*suppressed, problem], {str})
    return RoutingLine(notified, suppressed, problem)


def _must_be_typed(values: Iterable[object], types: set[type]) -> None:
    """Refuse what somebody else's line may hold, and what is larger than an instant can be."""
    for value in values:
        if type(value) not in types or (type(value) is int and not -_LARGEST <= value < _LARGEST):
            raise ValueError("a value is not of its type")


_LARGEST = 2**63  # as an integer of 64 bits has it
_STATES = frozenset({"pending", "firing"})
LONGEST_LINE = 32 * files.MIB  # 20,000 series at their first sight, with labels, and to spare


def read(path: Path, damaged: Callable[[str], None] | None = None) -> Iterator[Evaluation | Scrape]:
    """The lines of a samples file in order, up to the first that is torn or cannot be read.

    `damaged` is told which line that is.
    """
    series: dict[int, Mapping[str, str]] = {}
    lines = read_lines(path, LONGEST_LINE, lambda line: _decode(line, series), damaged, end=b"\n")
    return (line for line in lines if line is not None)


def _decode(line: Any, series: dict[int, Mapping[str, str]]) -> Evaluation | Scrape | None:
    """One line; None where it names series, which are kept."""
    if "series" in line:
        series.update({int(id_): dict(labels) for id_, labels in line["series"]})
        return None
    if "readings" in line:
        return evaluation_from_json(line)
    return Scrape(int(line["t"]), [(series[i], float(value)) for i, value in line["values"]])
