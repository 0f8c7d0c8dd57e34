"""PromQL: the language of rules, objectives, guards and probes, read and evaluated here.

    query = parse('rate(errors_total[5s]) > 0.1')
    store = Store(retention_s=query.window_s)
    store.append(t_ns, [(labels("errors_total", job="x"), 3.0)], source="http://…/metrics")
    evaluate(query, store, t_ns)      a number, or a vector {labels: number}
    reading(query, store, t_ns)       True, False, or None for no data

Everything is pure. What is not evaluated exactly as Prometheus does is refused when it is read.
Several expressions at one instant share their common parts through a `InstantEvaluator`.
"""

from gameday.telemetry.promql.errors import EvaluationError, PromqlError
from gameday.telemetry.promql.evaluate import (
    PROMETHEUS_2,
    PROMETHEUS_3,
    InstantEvaluator,
    PromqlSemantics,
    Value,
    Vector,
    evaluate,
)
from gameday.telemetry.promql.labels import Labels, label_set, labels, show, value_of
from gameday.telemetry.promql.parse import (
    MOST_INSTANTS_TOGETHER,
    MOST_TOGETHER,
    parse,
    parse_any,
    parse_selector,
)
from gameday.telemetry.promql.query import Query
from gameday.telemetry.promql.readings import reading, reading_at
from gameday.telemetry.promql.store import SeriesStore

__all__ = [
    "MOST_INSTANTS_TOGETHER",
    "MOST_TOGETHER",
    "PROMETHEUS_2",
    "PROMETHEUS_3",
    "EvaluationError",
    "InstantEvaluator",
    "Labels",
    "PromqlError",
    "PromqlSemantics",
    "Query",
    "SeriesStore",
    "Value",
    "Vector",
    "evaluate",
    "label_set",
    "labels",
    "parse",
    "parse_any",
    "parse_selector",
    "reading",
    "reading_at",
    "show",
    "value_of",
]
