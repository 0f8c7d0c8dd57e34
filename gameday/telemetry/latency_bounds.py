"""Latency bounds of an experiment, in milliseconds: how fast the system ought to be.

They stand in thresholds and in objectives. How late a generator may be is measured by the
tightest of them.
"""

from contextlib import suppress
from typing import Final

from gameday.core.errors import UsageError
from gameday.spec.experiment import Experiment
from gameday.telemetry.promql import PromqlError, parse
from gameday.telemetry.promql.nodes import (
    Aggregation,
    BinaryExpression,
    FunctionCall,
    Node,
    Number,
    selectors,
)
from gameday.traffic import thresholds

LATENCY: Final = frozenset(
    {"k6_http_req_duration_seconds_bucket", "k6_http_req_service_seconds_bucket"}
)


def tightest_bound_ms(experiment: Experiment) -> float | None:
    """The tightest latency bound in the file, None where it bounds none."""
    bounds = [*_threshold_bounds_ms(experiment), *objective_bounds_ms(experiment).values()]
    return min(bounds, default=None)


def _threshold_bounds_ms(experiment: Experiment) -> list[float]:
    found: list[thresholds.ThresholdExpression] = []
    for key, expressions in experiment.expect.threshold_texts.items():
        with suppress(UsageError):  # validating refuses those, with their place
            if thresholds.parse_key(key).kind == "trend":
                found.extend(thresholds.parse(text) for text in expressions)
    return [one.bound for one in found if one.op in ("<", "<=") and one.bound > 0]


def p95_bound_ms(experiment: Experiment) -> float | None:
    """The tightest bound on the p95 of all latencies, in ms; None where the file has none."""
    bounds = list(objective_bounds_ms(experiment).values())
    for key in ("http_req_duration", "http_req_duration_intended"):
        bounds += _upper_bounds(experiment, key, "p(95)")
    return min(bounds, default=None)


def failed_bound(experiment: Experiment) -> float | None:
    """The share of all requests that may fail, None where the file says none."""
    return min(_upper_bounds(experiment, "http_req_failed", "rate"), default=None)


def _upper_bounds(experiment: Experiment, key: str, statistic: str) -> list[float]:
    texts = experiment.expect.threshold_texts.get(key, ())
    found = [thresholds.parse(text) for text in texts]
    return [one.bound for one in found if one.statistic == statistic and one.op in ("<", "<=")]


def objective_bounds_ms(experiment: Experiment) -> dict[str, float]:
    """The objectives that hold a latency below a number, and that number in milliseconds."""
    found = {}
    for objective in experiment.objectives:
        bound_s = _upper_bound(objective.expr)
        if bound_s is not None:
            found[objective.name] = bound_s * 1000
    return found


def _upper_bound(expr: str) -> float | None:
    """The number on the right of `latency < number`, None for any other expression."""
    try:
        node = parse(expr).node
    except PromqlError:
        return None
    if not isinstance(node, BinaryExpression) or node.op not in ("<", "<="):
        return None
    if not isinstance(node.rhs, Number) or node.rhs.value <= 0:
        return None
    return node.rhs.value if _is_latency(node.lhs) else None


def _is_latency(node: Node) -> bool:
    """Seconds, as the histograms have them: a quantile as it is, or the largest of several.

    What is calculated from one may be in any unit, so its bound is not taken for seconds.
    """
    if isinstance(node, Aggregation):
        return node.op in ("max", "min", "avg") and _is_latency(node.operand)
    if not isinstance(node, FunctionCall) or node.name != "histogram_quantile":
        return False
    return bool(LATENCY & {selector.name for selector in selectors(node)})
