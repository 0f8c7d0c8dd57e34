"""The value of an expression at one instant, as Prometheus computes it.

A value is a number, or a vector: label sets, each with a number. Two versions of Prometheus
differ in small things, and `PromqlSemantics` says which is meant: since 3.0 the older edge of a
range and of the lookback is open, in 2.x a sample exactly on it still counts.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from gameday.core.clock import NS
from gameday.telemetry.promql import functions, operators, ranges
from gameday.telemetry.promql.aggregations import aggregate
from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import EMPTY, NAME, Labels, label_set, nameless, show
from gameday.telemetry.promql.nodes import (
    Aggregation,
    BinaryExpression,
    FunctionCall,
    Negation,
    Node,
    Number,
    Selector,
)
from gameday.telemetry.promql.query import LOOKBACK_S, Query
from gameday.telemetry.promql.store import STALE, Series, SeriesStore

Vector = dict[Labels, float]
Value = float | Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PromqlSemantics:
    """Rules that differ between versions and set-ups of Prometheus."""

    lookback_s: float = LOOKBACK_S
    left_open: bool = True
    zero_first: bool = False


PROMETHEUS_3 = PromqlSemantics()
PROMETHEUS_2 = PromqlSemantics(left_open=False, zero_first=True)


def evaluate(
    query: Query, store: SeriesStore, t_ns: int, semantics: PromqlSemantics = PROMETHEUS_3
) -> Value:
    """The value at `t_ns`: a number or a vector. Raises EvaluationError."""
    return InstantEvaluator(store, t_ns, semantics).value(query.node)


class InstantEvaluator:
    """One instant of a store; equal sub-expressions asked of it are evaluated once."""

    def __init__(
        self, store: SeriesStore, t_ns: int, semantics: PromqlSemantics = PROMETHEUS_3
    ) -> None:
        self.store = store
        self.t_ns = t_ns
        self.semantics = semantics
        self._known: dict[str, Value] = {}

    def value(self, node: Node) -> Value:
        """The value of a node; it is shared and must not be changed."""
        known = self._known.get(node.text)
        if known is None:
            known = self._evaluate(node)
            self._known[node.text] = known
        return known

    def _evaluate(self, node: Node) -> Value:
        match node:
            case Number():
                return node.value
            case Selector():
                return self._instant(node)
            case Negation():
                return self._negated(node)
            case BinaryExpression():
                return operators.apply(node, self.value(node.lhs), self.value(node.rhs))
            case Aggregation():
                param = None if node.param is None else self._number(node.param)
                return aggregate(node, self._vector(node.operand), param)
            case FunctionCall():
                return self._call(node)

    def _number(self, node: Node) -> float:
        value = self.value(node)
        if isinstance(value, dict):
            raise EvaluationError("is a vector where a number is needed", node.text)
        return value

    def _vector(self, node: Node) -> Vector:
        value = self.value(node)
        if not isinstance(value, dict):
            raise EvaluationError("is a number where a vector is needed", node.text)
        return value

    def _negated(self, node: Negation) -> Value:
        value = self.value(node.operand)
        if not isinstance(value, dict):
            return -value
        return _collected(node, [(nameless(labels), -v) for labels, v in value.items()])

    def _call(self, node: FunctionCall) -> Value:
        if node.name in ranges.NAMES:
            return self._over_time(node)
        if node.name in functions.ELEMENTWISE:
            return self._elementwise(node)
        if node.name == "time":
            return (self.t_ns + self.store.wall_offset_ns) / NS
        if node.name == "timestamp":
            return self._timestamps(node)
        if node.name == "absent":
            return {} if self._vector(node.args[0]) else {_absent_labels(node.args[0]): 1.0}
        return functions.WHOLE[node.name]([self.value(arg) for arg in node.args])

    def _elementwise(self, node: FunctionCall) -> Vector:
        function = functions.ELEMENTWISE[node.name]
        params = [self._number(arg) for arg in node.args[1:]]
        found = [(k, function(v, *params)) for k, v in self._vector(node.args[0]).items()]
        return _collected(node, [(nameless(k), v) for k, v in found if v is not None])

    def _timestamps(self, node: FunctionCall) -> Vector:
        (arg,) = node.args
        if isinstance(arg, Selector):
            stamps = [(held.nameless, held.times[i]) for held, i in self._last(arg)]
        else:
            stamps = [(nameless(labels), self.t_ns) for labels in self._vector(arg)]
        wall = self.store.wall_offset_ns
        return _collected(node, [(labels, (t_ns + wall) / NS) for labels, t_ns in stamps])

    def _instant(self, selector: Selector) -> Vector:
        return {held.labels: held.values[i] for held, i in self._last(selector)}

    def _last(self, selector: Selector) -> list[tuple[Series, int]]:
        """The last sample of each series that is neither stale nor older than the lookback."""
        at = self.t_ns - selector.offset_ns
        oldest = at - int(self.semantics.lookback_s * NS)
        found = []
        for held in self.store.select(selector):
            i = bisect_right(held.times, at) - 1
            if i < 0 or held.values[i] is STALE or not self._is_inside(held.times[i], oldest):
                continue
            found.append((held, i))
        return found

    def _is_inside(self, t_ns: int, oldest_ns: int) -> bool:
        return t_ns > oldest_ns or (t_ns == oldest_ns and not self.semantics.left_open)

    def _over_time(self, node: FunctionCall) -> Vector:
        selector = node.args[-1]
        if not isinstance(selector, Selector) or selector.range_ns is None:
            raise EvaluationError("needs a range", node.text)
        windows = self._windows(selector, selector.range_ns)
        if node.name == "absent_over_time":
            return {} if windows else {_absent_labels(selector): 1.0}
        if node.name == "quantile_over_time":
            q = self._number(node.args[0])
            found = [(h.nameless, ranges.quantile_over_time(q, w)) for h, w in windows]
            return _collected(node, found)
        function = ranges.FUNCTIONS[node.name]
        values = [(held, function(window)) for held, window in windows]
        if node.name in ranges.KEEPS_NAME:
            return {held.labels: value for held, value in values if value is not None}
        return _collected(node, [(h.nameless, value) for h, value in values if value is not None])

    def _windows(self, selector: Selector, range_ns: int) -> list[tuple[Series, ranges.Window]]:
        """The samples of each series in the range; series without any are left out."""
        end = self.t_ns - selector.offset_ns
        start = end - range_ns
        first = bisect_right if self.semantics.left_open else bisect_left
        found = []
        for held in self.store.select(selector):
            stop = bisect_right(held.times, end)
            window = slice(first(held.times, start, 0, stop), stop)
            times, values = held.times[window], held.values[window]
            if held.marks:
                times = [t for t, v in zip(times, values, strict=True) if v is not STALE]
                values = [v for v in values if v is not STALE]
            if times:
                zero_first = self.semantics.zero_first
                found.append((held, ranges.Window(times, values, start, end, zero_first)))
        return found


def _collected(node: Node, elements: list[tuple[Labels, float]]) -> Vector:
    """The vector of these elements, of which no two may have the same labels."""
    vector = dict(elements)
    if len(vector) != len(elements):
        seen: set[Labels] = set()
        twice = next(k for k, _ in elements if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise EvaluationError(f"two results have the labels {show(twice)}", node.text)
    return vector


def _absent_labels(node: Node) -> Labels:
    """The known labels of an absent series: those that its selector fixes."""
    if not isinstance(node, Selector):
        return EMPTY
    fixed: dict[str, str] = {}
    for matcher in node.matchers:
        if matcher.name == NAME:
            continue
        again = matcher.name in fixed
        fixed[matcher.name] = matcher.value if matcher.op == "=" and not again else ""
    return label_set(fixed)


def is_true(value: float) -> bool:
    """A number that says yes: neither zero nor NaN."""
    return value != 0 and not math.isnan(value)
