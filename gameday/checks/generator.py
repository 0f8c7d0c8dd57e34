"""The traffic kept its schedule, or the run says nothing about the system's performance."""

from gameday import fold, thresholds
from gameday.checks.verdict import NotApplicable, Validity, Verdict
from gameday.evidence import Evidence, MissingEvidenceError
from gameday.experiment import Experiment
from gameday.promql import PromqlError, parse
from gameday.promql.nodes import Aggregation, Binary, Call, Node, Number, selectors

NAME = "generator"
LATENCY = frozenset({"k6_http_req_duration_seconds_bucket", "k6_http_req_service_seconds_bucket"})


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """The workers kept, or nearly kept, their schedule; otherwise unknown."""
    status = generator_status(evidence)
    figures = f"dispatch lag p95 {status.lag_p95_ms:.1f} ms, p99 {status.lag_p99_ms:.1f} ms"
    limited = status.status == "limited"
    how = f"limited above {status.speaks_up_to_per_s:.0f}/s" if limited else status.status
    summary = "; ".join([f"{how}, {figures}", *status.reasons])
    return Verdict(NAME, Validity.UNKNOWN if limited else Validity.VALID, summary)


def generator_status(evidence: Evidence) -> fold.GeneratorStatus:
    """How well the workers kept their schedule."""
    if not len(evidence.asked):
        raise MissingEvidenceError("nothing was asked")
    if NAME not in evidence.reckoned:
        bound_ms = tightest_bound_ms(evidence.experiment)
        until_ns = evidence.anchors.traffic_end_ns
        evidence.reckoned[NAME] = fold.generator(
            evidence.histories, bound_ms, until_ns=until_ns, vitals=evidence.vitals
        )
    status: fold.GeneratorStatus = evidence.reckoned[NAME]
    return status


def tightest_bound_ms(experiment: Experiment) -> float | None:
    """The tightest latency bound in the file, None where it bounds none."""
    bounds = [*_threshold_bounds_ms(experiment), *objective_bounds_ms(experiment).values()]
    return min(bounds, default=None)


def _threshold_bounds_ms(experiment: Experiment) -> list[float]:
    found: list[thresholds.Threshold] = []
    for key, expressions in experiment.expect.threshold_texts.items():
        if thresholds.parse_key(key).kind == "trend":
            found.extend(thresholds.parse(text) for text in expressions)
    return [one.bound for one in found if one.op in ("<", "<=") and one.bound > 0]


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
    if not isinstance(node, Binary) or node.op not in ("<", "<="):
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
    if not isinstance(node, Call) or node.name != "histogram_quantile":
        return False
    return bool(LATENCY & {selector.name for selector in selectors(node)})
