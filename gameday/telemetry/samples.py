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
that it keeps back (`suppressed`), and the `problem` why that may not be all. `routed` are the
alerts it has, each with its receivers and what keeps it back, `waits` how long each receiver waits
for more of a group, and `failed` how often it could not deliver: absent where there is none.
Verdicts come of these lines alone. PromQL is evaluated over them again only to find the cause of an
alert that broke its promise.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from gameday.core import files
from gameday.core.json import must_be_few, read_lines
from gameday.core.json_objects import checked, json_object, read_object
from gameday.traffic.metrics import Moment

_LARGEST = 2**63  # as an integer of 64 bits has it
LONGEST_LINE = 32 * files.MIB  # 20,000 series at their first sight, with labels, and to spare
LARGEST_BYTES = 16 * files.GIB  # a day of as many series at each second is no file of ours


def _instant(value: object) -> int:
    if type(value) is int and -_LARGEST <= value < _LARGEST:
        return value
    raise ValueError(value)


def _figures(value: object) -> Mapping[str, float | None]:
    found = json_object(value)
    for each in found.values():
        if each is not None and type(each) is not float:
            _instant(each)
    return found


def _texts(value: object) -> Mapping[str, str]:
    found = json_object(value)
    return checked(all(isinstance(text, str) for text in found.values()), found)


def _labels(value: object) -> Mapping[str, str]:
    found = _texts(value)
    return checked(found.get("alertname") is not None, found)


Truth = bool | None
Instant = Annotated[int, _instant]


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert instance as one evaluation saw it."""

    labels: Annotated[Mapping[str, str], _labels]
    state: Literal["pending", "firing"]
    active_at_ns: Instant = field(metadata={"key": "active_at"})

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class NotificationLine:
    """One alert of a notification, received at `at_ns`."""

    at_ns: Instant = field(metadata={"key": "at"})
    state: Literal["firing", "resolved"]
    receiver: str
    labels: Annotated[Mapping[str, str], _labels]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class RoutedLine:
    """An alert as Alertmanager has it: who is to be notified, and what keeps it back.

    `silenced_by` are silences, each with who made it and why; `inhibited_by` names of alerts.
    """

    alert: str
    receivers: Sequence[str] = ()
    silenced_by: Sequence[str] = ()
    inhibited_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RoutingLine:
    """Routing as it was known at one instant; `notified` None: nobody receives.

    `waits` are the `group_wait` of each receiver in seconds, the longest where a route differs, and
    `failed` the notifications that Alertmanager could not deliver since it was first asked.
    """

    notified: Sequence[NotificationLine] | None
    suppressed: Sequence[str] = ()
    problem: str | None = None
    routed: Sequence[RoutedLine] | None = None
    waits: Annotated[Mapping[str, float | None], _figures] | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that was evaluated at one instant of the grid.

    `problems` are expressions that could not be evaluated, and `down` targets that told nothing,
    each with the reason.
    """

    t_ns: Instant = field(metadata={"key": "t"})
    readings: Mapping[str, Truth]
    figures: Annotated[Mapping[str, float | None], _figures] = field(default_factory=dict)
    alerts: Sequence[AlertLine]
    problems: Mapping[str, str] | None = None
    down: Mapping[str, str] = field(default_factory=dict)
    sampled: Annotated[int | None, _instant] = None
    alerts_problem: str | None = None
    routing: RoutingLine | None = None

    @property
    def sampled_ns(self) -> int:
        """The instant after which every sample of it was taken."""
        return self.t_ns if self.sampled is None else self.sampled

    @property
    def why_blind(self) -> str:
        """Why a target told nothing, to be said after what has no data; "" where all told."""
        return next((f": collector: {why}" for why in self.down.values()), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvaluation(Evaluation):
    """What the collector says at once: `up` and `late_ms` stand in no file."""

    traffic: Moment | None = None
    up: Mapping[str, bool] | None = None
    late_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every series of one instant: (labels with `__name__`, value)."""

    t_ns: int
    values: Sequence[tuple[Mapping[str, str], float]]


class SamplesReader:
    """A reader of lines in their order, as they are appended to a samples file."""

    def __init__(self) -> None:
        self._series = _Series(None)

    def line(self, raw: bytes) -> Evaluation | Scrape | None:
        """What a line says; None where it names series. Raises one of `core.json.DAMAGED`."""
        must_be_few(raw)
        return _decode(json.loads(raw), self._series)


def evaluation_of(line: bytes) -> LiveEvaluation | None:
    """The evaluation in a line of the file or of the collector's pipe, None for another line."""
    fields = json_object(json.loads(line))
    return read_object(LiveEvaluation, fields) if "readings" in fields else None


def read(
    path: Path,
    damaged: Callable[[str], None] | None = None,
    *,
    wanted: Container[str] | None = None,
) -> Iterator[Evaluation | Scrape]:
    """The lines of a samples file in order, up to the first that is torn or cannot be read.

    `damaged` is told which line that is. A scrape has the series of the names that are wanted: a
    run of an hour has thousands of them at each second, and a report draws a few.
    """
    series = _Series(wanted)
    lines = read_lines(
        path,
        LONGEST_LINE,
        lambda line: _decode(line, series),
        damaged,
        largest=LARGEST_BYTES,
        end=b"\n",
    )
    return (line for line in lines if line is not None)


@dataclass(frozen=True, slots=True)
class _Series:
    """Labels of the series that were seen, by id; None for one that nobody wants."""

    wanted: Container[str] | None
    labels: dict[int, Mapping[str, str] | None] = field(default_factory=dict)

    def add(self, id_: int, labels: Mapping[str, str]) -> None:
        wanted = self.wanted is None or labels.get("__name__") in self.wanted
        self.labels[id_] = labels if wanted else None

    def of(self, values: Sequence[Any]) -> list[tuple[Mapping[str, str], float]]:
        """The values of the series that are wanted. Raises KeyError for one never seen."""
        seen = self.labels
        return [(of, float(value)) for id_, value in values if (of := seen[id_]) is not None]


def _decode(line: object, series: _Series) -> Evaluation | Scrape | None:
    """One line; None where it names series, which are kept."""
    fields = json_object(line)
    if "series" in fields:
        for id_, labels in fields["series"]:
            series.add(int(id_), _texts(labels))
        return None
    if "readings" in fields:
        return read_object(Evaluation, fields)
    return Scrape(_instant(fields["t"]), series.of(fields["values"]))
