"""What was measured, and how it read: JSON lines with one writer, the collector.

Three kinds of line, all with `t` in ns of CLOCK_MONOTONIC on the collector's exact grid:

    {"series": [[id, {"__name__": …, label: value}], …]}
        first sight of series; ids count from 0
    {"t": …, "values": [[id, value], …], "up": {target: true|false}}
        one scrape, every series of it
    {"t": …, "readings": {name: true|false|null}, "figures": {name: number|null},
     "alerts": [{"labels", "state", "active_at"}], "traffic": {rates and counts for a screen}}
        one evaluation

`readings` holds every named expression (objectives, guards, probes, drain); null means no data.
`figures` holds the same expressions' left operand as a number where it is one value, and the
dependency expressions: what charts and dose witnesses read. `active_at` is ns, as `t` is.
Judging reads these lines and evaluates no PromQL.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
class Evaluation:
    """Everything that was evaluated at one instant of the grid."""

    t_ns: int
    readings: Mapping[str, Truth]
    alerts: Sequence[AlertLine]
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every series of one instant: (labels with `__name__`, value)."""

    t_ns: int
    values: Sequence[tuple[Mapping[str, str], float]]


def evaluation_from_json(line: Mapping[str, Any]) -> Evaluation:
    """A line that holds `readings`, as the file and the collector's pipe carry it."""
    alerts = [AlertLine(a["labels"], a["state"], a["active_at"]) for a in line["alerts"]]
    return Evaluation(line["t"], line["readings"], alerts, line.get("figures", {}))


def read(path: Path) -> Iterator[Evaluation | Scrape]:
    """The lines of a samples file in order; a torn last line ends it."""
    series: dict[int, Mapping[str, str]] = {}
    with path.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            line = json.loads(raw)
            if "series" in line:
                series.update(line["series"])
            elif "readings" in line:
                yield evaluation_from_json(line)
            else:
                yield Scrape(line["t"], [(series[i], value) for i, value in line["values"]])
