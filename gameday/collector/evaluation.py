"""What the series say at one instant: every named expression, and every alert rule.

A reading is true, false, or null for no data; a figure is the number on the left of the
comparison, where there is exactly one. An expression that cannot be evaluated on this data (a
match that is many to many, say) reads null, and the line says why under `problems`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gameday.alerting import Evaluator, load_rules
from gameday.collector.settings import DEPENDENCY
from gameday.promql import Store, evaluate, parse, reading
from gameday.promql.errors import EvaluationError
from gameday.promql.query import Query

_RATE: Final = parse("sum(rate(k6_http_reqs_total[5s]))")
_P95: Final = parse(
    "histogram_quantile(0.95, sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))) * 1000"
)
_SPARE_S: Final = 10.0


class Evaluation:
    """The expressions and rules of a run, and the store they are evaluated over."""

    def __init__(self, expressions: Mapping[str, str], rules: Sequence[Path]) -> None:
        self._queries = {name: parse(text) for name, text in expressions.items()}
        files = [load_rules(path) for path in rules]
        self._alerts = Evaluator(files)
        windows = [query.window_s for query in (*self._queries.values(), *self._alerts.queries)]
        self.store = Store(max([*windows, _RATE.window_s]) + _SPARE_S)

    def at(self, t_ns: int) -> dict[str, Any]:
        """The evaluation line of `samples.jsonl`."""
        problems: dict[str, str] = {}
        readings: dict[str, bool | None] = {}
        figures: dict[str, float | None] = {}
        for name, query in self._queries.items():
            try:
                figures[name] = _figure(query, self.store, t_ns)
                if not name.startswith(DEPENDENCY):
                    readings[name] = reading(query, self.store, t_ns)
            except EvaluationError as error:
                problems[name] = error.message
                figures[name] = None
                readings[name] = None
        alerts = [
            {"labels": dict(alert.labels), "state": alert.state, "active_at": alert.active_at}
            for alert in self._alerts.tick(self.store, t_ns)
        ]
        line = {"t": t_ns, "readings": readings, "figures": figures, "alerts": alerts}
        return {**line, "problems": problems} if problems else line

    def traffic(self, t_ns: int) -> dict[str, float | None]:
        """The two moving figures of the live screen."""
        return {
            "rate_per_s": _figure(_RATE, self.store, t_ns),
            "p95_ms": _figure(_P95, self.store, t_ns),
        }


def _figure(query: Query, store: Store, t_ns: int) -> float | None:
    """The left operand as a number: None where it is no value, several, or not finite."""
    value = evaluate(query.operands()[0], store, t_ns)
    numbers = list(value.values()) if isinstance(value, dict) else [value]
    if len(numbers) != 1 or not math.isfinite(numbers[0]):
        return None
    return float(numbers[0])
