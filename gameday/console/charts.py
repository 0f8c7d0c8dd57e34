"""The figures of the live charts at one instant, from the samples alone.

They are what is charted of any system: the rates by outcome and the latency as clients see it, the
latency of each dependency as the system file asks for it, and what is left where the service says
it. Each is a list of (name, value); who draws them decides how.
"""

import math
from collections.abc import Mapping
from typing import Final

from gameday.telemetry import catalogue
from gameday.telemetry.promql import InstantEvaluator, PromqlError, Query, SeriesStore, parse
from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import value_of
from gameday.telemetry.samples import Evaluation

Figures = Mapping[str, float | None]

_RATES: Final = parse("sum by (outcome) (rate(k6_http_reqs_total[5s]))")
_BUCKETS: Final = "sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))"
_LATENCIES: Final = {
    name: parse(f"1000 * histogram_quantile({q}, {_BUCKETS})")
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
}
_LEFT: Final = parse("min(issuance_remaining)")


def figures(store: SeriesStore, seen: Evaluation) -> Mapping[str, Figures]:
    """The figures of each chart at the instant of an evaluation."""
    moment = InstantEvaluator(store, seen.t_ns)
    latencies = {name: _one(query, moment) for name, query in _LATENCIES.items()}
    dependencies = {
        name: _ms(seen.figures.get(catalogue.key("dependency", name)))
        for name in catalogue.names("dependency", seen.figures)
    }
    return {
        "rates": {n: v for n, v in _each(_RATES, "outcome", moment).items() if n},
        "latency": latencies,
        "dependencies": dependencies,
        "stock": {"left": _one(_LEFT, moment)},
    }


def _ms(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(1000 * value, 3)


def _each(query: Query, label: str, moment: InstantEvaluator) -> Figures:
    """The values of a vector by one of its labels; none where it cannot be told."""
    try:
        value = moment.value(query.node)
    except (EvaluationError, PromqlError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {value_of(labels, label): _finite(number) for labels, number in value.items()}


def _one(query: Query, moment: InstantEvaluator) -> float | None:
    return next(iter(_each(query, "", moment).values()), None)


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None
