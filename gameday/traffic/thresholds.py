"""k6's thresholds: `http_req_duration: ["p(95)<200"]`, the language for the traffic as a whole.

The grammar is k6's: an aggregation, a comparison, a number; on a metric or on a tagged part of
it, `http_req_duration{scenario:drop}`. One thing differs on purpose: without samples k6 passes,
and here the answer is None, unknown.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal

from gameday.core.errors import UsageError, one_of_them
from gameday.core.messages import Message

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
MEANINGS: Final[Mapping[str, str]] = {
    "http_reqs": "Requests that were sent.",
    "http_req_failed": "The share that failed: unknown and refused. Issued, duplicate and sold out"
    " are answers that were expected.",
    "http_req_duration": "From the send to the last byte, as k6 counts.",
    "http_req_duration_intended": "From the instant it was due, so that a stall shows in every"
    " request that had to wait for it.",
    "http_req_blocked": "Waiting for a connection before the send.",
    "http_req_connecting": "Connecting.",
    "http_req_tls_handshaking": "The TLS handshake.",
    "http_req_sending": "Sending the request.",
    "http_req_waiting": "From the request sent to the first byte of the answer.",
    "http_req_receiving": "From the first byte of the answer to the last.",
    "iteration_duration": "A whole iteration of a virtual user, with its pause.",
    "iterations": "Iterations that ended.",
    "dropped_iterations": "Starts that were due and not made, by reason.",
    "data_sent": "Bytes sent.",
    "data_received": "Bytes received.",
    "vus": "Virtual users at work.",
    "vus_max": "The most virtual users that there were.",
}
"""The metrics of METRICS in words."""
SERIES: Final[Mapping[str, str]] = {
    "k6_http_reqs_total": "Requests that are over, by `scenario` and `outcome`: issued, duplicate,"
    " sold_out, refused, accepted, unknown.",
    "k6_http_reqs_unreached_total": "Those of them that are refused by no answer, as no connection"
    " could be made, by `scenario`.",
    "k6_http_req_duration_seconds": "A histogram of the latency from the instant a request was due,"
    " by `scenario`.",
    "k6_http_req_service_seconds": "A histogram of the latency from the send, by `scenario`.",
    "k6_dropped_iterations_total": "Starts that were due and not made, by `scenario` and `reason`.",
    "k6_vus": "Requests that are open, by `scenario`.",
    "k6_vus_max": "The most requests that were open at once, by `scenario`.",
}
"""The series of the traffic that PromQL can name, as the collector makes them."""
OWN_TAGS: Final = ("outcome", "reason", "window")
"""Tags that k6 does not know."""
TAGS: Final = (
    *("scenario", "status", "method", "name", "url", "proto", "group", "expected_response"),
    *OWN_TAGS,
)
_STATUS: Final = re.compile("[1-5][0-9][0-9]")
_LONGEST: Final = 1000  # a metric with some tags; bounds the parser's time
STATISTICS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "counter": ("count", "rate"),
    "gauge": ("value",),
    "rate": ("rate",),
    "trend": ("avg", "min", "med", "max", "p(N)"),
}

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
}
# k6 reads `p` alone as p(0), the least; nobody means that, so it is refused here.
_FLOAT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FORM = re.compile(
    rf"\s*(?P<what>count|rate|value|avg|min|max|med|p\(\s*(?P<p>{_FLOAT})\s*\))"
    r"\s*(?P<op><=|>=|===|==|!=|<|>)"
    rf"\s*(?P<number>{_FLOAT})\s*"
)

_LONGEST_EXPRESSION = 200  # k6's own expressions have some tens of characters


@dataclass(frozen=True, slots=True)
class ThresholdExpression:
    """`statistic op bound`; the statistic is the key of a metric's figures, such as `p(95)`."""

    text: str
    statistic: str
    percentile: float | None
    op: str
    bound: float


def parse(text: str) -> ThresholdExpression:
    """One threshold expression. Raises UsageError with the form to write."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST_EXPRESSION else None
    if match is None or not isfinite(float(match["number"])):
        raise UsageError(
            f"{text!r} is not a threshold",
            help="write an aggregation, a comparison and a number: p(95)<200, rate<0.01, count>100",
        )
    percentile = None if match["p"] is None else float(match["p"])
    if percentile is not None and not 0 <= percentile <= 100:
        raise UsageError(f"{text!r}: {percentile:g} is no percentile", help="write 0 to 100")
    statistic = match["what"] if percentile is None else f"p({percentile:g})"
    return ThresholdExpression(text, statistic, percentile, match["op"], float(match["number"]))


def at_least(statistic: str, figures: Mapping[str, float]) -> bool:
    """True if a trend's figure is only a lower bound: requests were open in the end.

    `known_to_p` is the percentile up to which the figures are exact.
    """
    if not figures.get("censored"):
        return False
    if statistic in ("avg", "max"):
        return True
    percentile = {"med": 50.0, "min": 0.0}.get(statistic)
    if statistic.startswith("p("):
        percentile = float(statistic[2:-1])
    return percentile is not None and percentile > figures["known_to_p"]


def evaluate(threshold: ThresholdExpression, figures: Mapping[str, float] | None) -> bool | None:
    """True if the figures keep the threshold; None when there is no sample to tell from.

    `figures` are one metric's, such as {"avg": 12.0, "p(95)": 30.1}; None or a missing statistic
    is no sample. A figure that is only "at least" fails every upper bound, since whoever did not
    answer might as well have never answered; it keeps a lower bound that it is beyond, and of
    another nobody knows.
    """
    if figures is None or threshold.statistic not in figures:
        return None
    figure, op = figures[threshold.statistic], threshold.op
    if not at_least(threshold.statistic, figures):
        return _OPERATORS[op](figure, threshold.bound)
    if op in ("<", "<="):
        return False
    beyond = figure > threshold.bound or (op == ">=" and figure == threshold.bound)
    if op in ("==", "==="):
        return False if beyond else None
    return True if beyond else None


@dataclass(frozen=True, slots=True)
class ThresholdOutcome:
    """A threshold, held against its metric; `kept` is None where nobody can tell, as `why` says.

    `close`: to its bound, than the generator's lag `lag_ms`; `at_least`: requests were open.
    """

    metric: str
    threshold: ThresholdExpression
    kept: bool | None
    figures: Mapping[str, float] | None = None
    case: Literal["figure", "at_least", "no_sample", "close", "limited"] = "figure"
    lag_ms: float = 0.0

    @property
    def figure(self) -> float | None:
        return None if self.figures is None else self.figures.get(self.threshold.statistic)

    @property
    def why(self) -> str:
        """Why nobody can tell, "" where it is known."""
        known = self.case in ("figure", "at_least")
        return "" if known else Message(f"threshold.{self.case}", lag_ms=self.lag_ms).text()


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


def parse_key(text: str) -> MetricKey:
    """`metric` or `metric{tag:value,tag:value}`. Raises UsageError with the nearest right name."""
    if len(text) > _LONGEST:
        raise UsageError(f"{text[:60]!r}… is longer than {_LONGEST} characters")
    name, brace, rest = text.strip().partition("{")
    name = name.strip()
    if name not in METRICS:
        raise UsageError(f"unknown metric {name!r}", help=one_of_them(name, METRICS))
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
        raise UsageError(f"{text!r}: unknown tag {tag!r}", help=one_of_them(tag, TAGS))
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
    allowed = STATISTICS[metric.kind]
    for expression in expressions:
        threshold = parse(expression)
        asked = "p(N)" if threshold.percentile is not None else threshold.statistic
        if asked not in allowed:
            raise UsageError(
                f"{expression!r}: {metric.metric} is a {metric.kind}, "
                f"which has no {threshold.statistic!r}",
                help=f"a {metric.kind} has {', '.join(allowed)}",
            )
