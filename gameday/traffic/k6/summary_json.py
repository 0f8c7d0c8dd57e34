"""k6's two summaries for machines, from gameday's figures.

`flat` is what `--summary-export` writes: the statistics beside each other, a rate as `value`, and
each threshold true when it was *crossed*. `handed` is what a script's `handleSummary` is handed:
types, what a metric contains, `values`, and each threshold with `ok`. A threshold of which nobody
can tell counts as crossed in both: their readers know two answers only, and no data is no pass.

Metrics that k6 does not have (`http_req_duration_intended`) stand among the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.core.json_objects import Json, plain
from gameday.traffic.thresholds import ThresholdOutcome, parse_key

TREND_STATS: Final = ("avg", "min", "med", "max", "p(90)", "p(95)")
_ROOT_ID: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""k6 names a group by the MD5 of its path; the outermost one has none."""
_STATS: Final[Mapping[str, Sequence[str]]] = {
    "trend": TREND_STATS,
    "counter": ("count", "rate"),
    "gauge": ("value", "min", "max"),
    "rate": ("rate", "passes", "fails"),
}

Figures = Mapping[str, Mapping[str, float]]


def _contains(metric: str, kind: str) -> str:
    """k6's word for the unit of a metric's values."""
    if kind == "trend":
        return "time"
    return "data" if metric.startswith("data_") else "default"


def _values(kind: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in _STATS[kind] if name in figures}


@dataclass(frozen=True, slots=True)
class _Described:
    """A metric, and whether each of its thresholds was kept."""

    type: str
    contains: str
    values: Mapping[str, float]
    thresholds: dict[str, bool] | None = None


def _every(metrics: Figures, held: Sequence[ThresholdOutcome]) -> dict[str, _Described]:
    """Every metric, those with a sample before those that only a threshold names."""
    found: dict[str, _Described] = {}
    for key in dict.fromkeys([*sorted(metrics), *(one.metric for one in held)]):
        asked = parse_key(key)
        kept = {one.threshold.text: one.kept is True for one in held if one.metric == key}
        values = _values(asked.kind, metrics.get(key, {}))
        contains = _contains(asked.metric, asked.kind)
        found[key] = _Described(asked.kind, contains, values, kept or None)
    return found


def flat(metrics: Figures, held: Sequence[ThresholdOutcome]) -> Json:
    """The shape of `--summary-export`."""
    found = {key: _flat(each) for key, each in _every(metrics, held).items()}
    root = {"name": "", "path": "", "id": _ROOT_ID, "groups": {}, "checks": {}}
    return {"root_group": root, "metrics": found}


def _flat(metric: _Described) -> object:
    values = dict(metric.values)
    if metric.type == "rate" and values:
        values["value"] = values.pop("rate")
    crossed = {text: not kept for text, kept in (metric.thresholds or {}).items()}
    return {**values, "thresholds": crossed} if crossed else values


def handed(
    metrics: Figures,
    held: Sequence[ThresholdOutcome],
    *,
    length_ms: float,
    terminals: tuple[bool, bool],
) -> Json:
    """The argument of `handleSummary`. `terminals` says whether stdout and stderr are some."""
    found = {
        key: {**plain(each), "thresholds": {t: {"ok": kept} for t, kept in each.thresholds.items()}}
        if each.thresholds
        else plain(each)
        for key, each in _every(metrics, held).items()
    }
    return {
        "root_group": {"name": "", "path": "", "id": _ROOT_ID, "groups": [], "checks": []},
        "options": {
            "summaryTrendStats": list(TREND_STATS),
            "summaryTimeUnit": "",
            "noColor": not terminals[0],
        },
        "state": {
            "isStdOutTTY": terminals[0],
            "isStdErrTTY": terminals[1],
            "testRunDurationMs": length_ms,
        },
        "metrics": found,
    }
