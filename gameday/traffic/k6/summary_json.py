"""k6's two summaries for machines, from gameday's figures.

`flat` is what `--summary-export` writes: the statistics beside each other, a rate as `value`, and
each threshold true when it was *crossed*. `handed` is what a script's `handleSummary` is handed:
types, what a metric contains, `values`, and each threshold with `ok`. A threshold of which nobody
can tell counts as crossed in both: their readers know two answers only, and no data is no pass.

Metrics that k6 does not have (`http_req_duration_intended`) stand among the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

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


def flat(metrics: Figures, held: Sequence[ThresholdOutcome]) -> dict[str, Any]:
    """The shape of `--summary-export`."""
    found: dict[str, Any] = {}
    for key, figures in sorted(metrics.items()):
        kind = parse_key(key).kind
        values = _values(kind, figures)
        if kind == "rate":
            values["value"] = values.pop("rate")
        found[key] = values
    for one in held:
        crossed = one.kept is not True
        found.setdefault(one.metric, {}).setdefault("thresholds", {})[one.threshold.text] = crossed
    root = {"name": "", "path": "", "id": _ROOT_ID, "groups": {}, "checks": {}}
    return {"root_group": root, "metrics": found}


def handed(
    metrics: Figures,
    held: Sequence[ThresholdOutcome],
    *,
    length_ms: float,
    terminals: tuple[bool, bool],
) -> dict[str, Any]:
    """The argument of `handleSummary`. `terminals` says whether stdout and stderr are some."""
    found: dict[str, Any] = {}
    for key, figures in sorted(metrics.items()):
        found[key] = _described(key) | {"values": _values(parse_key(key).kind, figures)}
    for one in held:
        metric = found.setdefault(one.metric, _described(one.metric) | {"values": {}})
        metric.setdefault("thresholds", {})[one.threshold.text] = {"ok": one.kept is True}
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


def _described(key: str) -> dict[str, Any]:
    asked = parse_key(key)
    return {"type": asked.kind, "contains": _contains(asked.metric, asked.kind)}
