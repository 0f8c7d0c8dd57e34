"""Which metrics there are, what may be asked of each, and how a tagged part is written."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal

from gameday.core.errors import UsageError
from gameday.traffic.thresholds.grammar import parse

Kind = Literal["counter", "gauge", "rate", "trend"]

METRICS: Final[Mapping[str, Kind]] = {
    "http_reqs": "counter",
    "http_req_failed": "rate",
    "http_req_duration": "trend",
    "http_req_duration_intended": "trend",
    "http_req_blocked": "trend",
    "http_req_connecting": "trend",
    "http_req_tls_handshaking": "trend",
    "http_req_sending": "trend",
    "http_req_waiting": "trend",
    "http_req_receiving": "trend",
    "iteration_duration": "trend",
    "iterations": "counter",
    "dropped_iterations": "counter",
    "data_sent": "counter",
    "data_received": "counter",
    "vus": "gauge",
    "vus_max": "gauge",
}
TAGS: Final = (
    "scenario",
    "status",
    "method",
    "name",
    "url",
    "proto",
    "group",
    "expected_response",
    "outcome",
    "reason",
    "window",
)
_STATUS: Final = re.compile("[1-5][0-9][0-9]")
_LONGEST: Final = 1000  # a metric with some tags; bounds the parser's time
_STATISTICS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "counter": ("count", "rate"),
    "gauge": ("value",),
    "rate": ("rate",),
    "trend": ("avg", "min", "med", "max", "p(N)"),
}


@dataclass(frozen=True, slots=True)
class MetricKey:
    """A metric, or the part of it whose samples carry all these tags."""

    metric: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return METRICS[self.metric]

    @property
    def text(self) -> str:
        """As a file writes it."""
        tags = ",".join(f"{tag}:{value}" for tag, value in self.tags.items())
        return f"{self.metric}{{{tags}}}" if tags else self.metric


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def parse_key(text: str) -> MetricKey:
    """`metric` or `metric{tag:value,tag:value}`. Raises UsageError with the nearest right name."""
    if len(text) > _LONGEST:
        raise UsageError(f"{text[:60]!r}… is longer than {_LONGEST} characters")
    name, brace, rest = text.strip().partition("{")
    name = name.strip()
    if name not in METRICS:
        raise UsageError(f"unknown metric {name!r}", help=_nearest(name, METRICS))
    if not brace:
        return MetricKey(name)
    if not rest.endswith("}"):
        raise UsageError(f"{text!r}: the tags do not end", help="write metric{tag:value}")
    return MetricKey(name, dict(_pair(text, pair) for pair in rest[:-1].split(",")))


def _pair(text: str, pair: str) -> tuple[str, str]:
    tag, colon, value = (part.strip().strip("\"'") for part in pair.partition(":"))
    if not colon or not value:
        raise UsageError(f"{text!r}: {pair!r} is not tag:value", help="write metric{tag:value}")
    if tag not in TAGS:
        raise UsageError(f"{text!r}: unknown tag {tag!r}", help=_nearest(tag, TAGS))
    if tag == "status" and value != "0" and not _STATUS.fullmatch(value):
        raise UsageError(
            f"{text!r}: {value!r} is not an HTTP status",
            help="write 100 to 599, or 0 for no answer",
        )
    if tag == "expected_response" and value not in ("true", "false"):
        raise UsageError(f"{text!r}: {value!r} is no truth", help="write true or false")
    return tag, value


def check_metric(key: str, expressions: Iterable[str]) -> None:
    """Refuse an unknown metric or tag, a bad expression, an aggregation its kind does not have."""
    metric = parse_key(key)
    if metric.kind == "gauge" and metric.tags.keys() - {"scenario"}:
        raise UsageError(f"{key!r}: a gauge is kept by scenario only", help="drop the other tags")
    allowed = _STATISTICS[metric.kind]
    for expression in expressions:
        threshold = parse(expression)
        asked = "p(N)" if threshold.percentile is not None else threshold.statistic
        if asked not in allowed:
            raise UsageError(
                f"{expression!r}: {metric.metric} is a {metric.kind}, "
                f"which has no {threshold.statistic!r}",
                help=f"a {metric.kind} has {', '.join(allowed)}",
            )
