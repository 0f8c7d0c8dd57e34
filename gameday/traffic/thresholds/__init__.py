"""k6's thresholds: `http_req_duration: ["p(95)<200"]`, the language for the traffic as a whole.

The grammar is k6's: an aggregation, a comparison, a number; on a metric or on a tagged part of
it, `http_req_duration{scenario:drop}`. One thing differs on purpose: without samples k6 passes,
and here the answer is None, unknown.
"""

from gameday.traffic.thresholds.grammar import ThresholdExpression, at_least, evaluate, parse
from gameday.traffic.thresholds.metrics import METRICS, TAGS, MetricKey, check_metric, parse_key

__all__ = [
    "METRICS",
    "TAGS",
    "MetricKey",
    "ThresholdExpression",
    "at_least",
    "check_metric",
    "evaluate",
    "parse",
    "parse_key",
]
