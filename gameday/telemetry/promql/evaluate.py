"""The value of an expression at one instant, as Prometheus computes it.

A value is a number, or a vector: label sets, each with a number. Two versions of Prometheus
differ in small things, and `PromqlSemantics` says which is meant: since 3.0 the older edge of a
range and of the lookback is open, in 2.x a sample exactly on it still counts.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from gameday.core.clock import NS
from gameday.telemetry.promql import histograms, instant_functions, operators, range_functions
from gameday.telemetry.promql.aggregations import COUNT_VALUES, aggregate, count_values
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
    Subquery,
    Text,
    is_range,
)
from gameday.telemetry.promql.query import EVALUATION_S, LOOKBACK_S, Query
from gameday.telemetry.promql.store import STALE, Series, SeriesStore

Vector = dict[Labels, float]
Value = float | Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PromqlSemantics:
    """Rules that differ between versions and set-ups of Prometheus.

    `evaluation_s` is its evaluation interval, the step of a subquery that says none.
    """

    lookback_s: float = LOOKBACK_S
    evaluation_s: float = EVALUATION_S
    left_open: bool = True
    zero_first: bool = False
    unique_before_filter: bool = True
    fixed_timestamp: bool = True  # timestamp(x @ 5 offset 1m) asks for the time 5, without offset


PROMETHEUS_3 = PromqlSemantics()
PROMETHEUS_2 = PromqlSemantics(
    left_open=False, zero_first=True, unique_before_filter=False, fixed_timestamp=False
)
MOST_SAMPLES: Final = 1_000_000
"""Values that an expression may come to at one instant, in subqueries and in what is read for
them, and in labels made of others: they take half a second."""
MOST_SAMPLES_TOGETHER: Final = 2 * MOST_SAMPLES
LEAST_SAMPLES: Final = MOST_SAMPLES // 50
"""Values that an expression may come to, whatever those before it at that instant have."""


class Budget:
    """Values that expressions may still come to at one instant: each, and all of them.

    A greedy one is refused by itself. Many together leave little to the others, but something.
    """

    __slots__ = ("_left", "_share", "_together")

    def __init__(self) -> None:
        self._together = MOST_SAMPLES_TOGETHER
        self.begin()

    def begin(self) -> None:
        """Another expression is evaluated from here on."""
        self._share = self._left = max(LEAST_SAMPLES, min(MOST_SAMPLES, self._together))

    def spend(self, values: int, node: Node) -> None:
        """Take note of values that a node came to. Raises EvaluationError for too many."""
        self._left -= values
        self._together -= values
        if self._left < 0:
            why = "" if self._share == MOST_SAMPLES else ", all that others at this instant left"
            raise EvaluationError(f"comes to more than {self._share} values{why}", node.text)


def evaluate(
    query: Query, store: SeriesStore, t_ns: int, semantics: PromqlSemantics = PROMETHEUS_3
) -> Value:
    """The value at `t_ns`: a number or a vector. Raises EvaluationError."""
    return InstantEvaluator(store, t_ns, semantics).value(query.node)


class InstantEvaluator:
    """One instant of a store; equal sub-expressions asked of it are evaluated once."""

    def __init__(
        self,
        store: SeriesStore,
        t_ns: int,
        semantics: PromqlSemantics = PROMETHEUS_3,
        *,
        span: tuple[int, int] | None = None,
        budget: Budget | None = None,
        is_bounded: bool = False,
    ) -> None:
        self.store = store
        self.t_ns = t_ns
        self.semantics = semantics
        self.span = span or (t_ns, t_ns)  # of the whole query: what @ start() and @ end() are
        self.budget = budget or Budget()
        self._known: dict[str, Value] = {}
        self._is_bounded = is_bounded  # in a subquery what is read is read again for each instant

    def value(self, node: Node) -> Value:
        """The value of a node; it is shared and must not be changed."""
        known = self._known.get(node.text)
        if known is None:
            known = self._evaluate(node)
            self._known[node.text] = known
        return known

    def samples(self, node: Node) -> list[tuple[Labels, range_functions.Window]]:
        """The samples of each series of a range. Raises EvaluationError."""
        return [(held.labels, window) for held, window in self._windows(node)]

    def forget(self, texts: AbstractSet[str] | None = None) -> None:
        """Evaluate these expressions again when they are asked for, or all of them."""
        known = self._known
        if texts is None:
            known.clear()
        elif len(texts) < len(known):
            for text in texts:
                known.pop(text, None)
        else:
            for text in [text for text in known if text in texts]:
                del known[text]

    def _evaluate(self, node: Node) -> Value:
        match node:
            case Number():
                return node.value
            case Selector():
                return self._instant(node)
            case Negation():
                return self._negated(node)
            case BinaryExpression():
                lhs, rhs = self.value(node.lhs), self.value(node.rhs)
                unique = self.semantics.unique_before_filter
                return operators.apply(node, lhs, rhs, unique_before_filter=unique)
            case Aggregation():
                return self._aggregated(node)
            case FunctionCall():
                return self._call(node)
            case Subquery() | Text():
                raise EvaluationError("is not a value", node.text)

    def _aggregated(self, node: Aggregation) -> Vector:
        operand = self.vector(node.operand)
        if node.op == COUNT_VALUES and isinstance(node.param, Text):
            return count_values(node, operand, node.param.value)
        return aggregate(node, operand, None if node.param is None else self._number(node.param))

    def _number(self, node: Node) -> float:
        value = self.value(node)
        if isinstance(value, dict):
            raise EvaluationError("is a vector where a number is needed", node.text)
        return value

    def vector(self, node: Node) -> Vector:
        """The value of a node that must be a vector. Raises EvaluationError."""
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
        if node.name in range_functions.NAMES:
            return self._over_time(node)
        if node.name in instant_functions.ELEMENTWISE:
            return self._elementwise(node)
        if node.name in instant_functions.HISTOGRAM:
            return self._of_histograms(node)
        if node.relabel is not None:
            spend = partial(self.budget.spend, node=node)
            made = [(node.relabel(k, spend), v) for k, v in self.vector(node.args[0]).items()]
            return _collected(node, made)
        return self._special(node)

    def _special(self, node: FunctionCall) -> Value:
        if node.name == "time":
            return (self.t_ns + self.store.wall_offset_ns) / NS
        if node.name == "timestamp":
            return self._timestamps(node)
        if node.name == "absent":
            return {} if self.vector(node.args[0]) else {_absent_labels(node.args[0]): 1.0}
        return instant_functions.WHOLE[node.name]([self.value(arg) for arg in node.args])

    def _elementwise(self, node: FunctionCall) -> Vector:
        function = instant_functions.ELEMENTWISE[node.name]
        params = [self._number(arg) for arg in node.args[1:]]
        found = [(k, function(v, *params)) for k, v in self.vector(node.args[0]).items()]
        return _collected(node, [(nameless(k), v) for k, v in found if v is not None])

    def _of_histograms(self, node: FunctionCall) -> Vector:
        params = [self._number(arg) for arg in node.args[:-1]]
        found = histograms.histograms(self.vector(node.args[-1]))
        if node.name == "histogram_fraction":
            lower, upper = params
            values = [(k, histograms.bucket_fraction(lower, upper, b)) for k, b in found.items()]
        else:
            values = [(k, histograms.bucket_quantile(params[0], b)) for k, b in found.items()]
        return _collected(node, [(nameless(labels), value) for labels, value in values])

    def _timestamps(self, node: FunctionCall) -> Vector:
        (arg,) = node.args
        if isinstance(arg, Selector):
            if arg.at is not None and self.semantics.fixed_timestamp:
                arg = replace(arg, offset_ns=0)
            stamps = [(held.nameless, held.times[i]) for held, i in self._last(arg)]
        else:
            stamps = [(nameless(labels), self.t_ns) for labels in self.vector(arg)]
        wall = self.store.wall_offset_ns
        return _collected(node, [(labels, (t_ns + wall) / NS) for labels, t_ns in stamps])

    def _instant(self, selector: Selector) -> Vector:
        return {held.labels: held.values[i] for held, i in self._last(selector)}

    def _last(self, selector: Selector) -> list[tuple[Series, int]]:
        """The last sample of each series that is neither stale nor older than the lookback."""
        at = self._end(selector)
        oldest = at - int(self.semantics.lookback_s * NS)
        self._check_kept(selector, oldest)
        every = self.store.select(selector)
        if self._is_bounded:
            self.budget.spend(len(every), selector)
        found = []
        for held in every:
            i = bisect_right(held.times, at) - 1
            if i < 0 or held.values[i] is STALE or not self._is_newer(held.times[i], oldest):
                continue
            found.append((held, i))
        return found

    def _is_newer(self, t_ns: int, oldest_ns: int) -> bool:
        return t_ns > oldest_ns or (t_ns == oldest_ns and not self.semantics.left_open)

    def _end(self, node: Selector | Subquery) -> int:
        """The instant that a selector asks for, after `@` and `offset`."""
        match node.at:
            case None:
                return self.t_ns - node.offset_ns
            case "start":
                return self.span[0] - node.offset_ns
            case "end":
                return self.span[1] - node.offset_ns
            case at_ns:
                return at_ns - self.store.wall_offset_ns - node.offset_ns

    def _check_kept(self, node: Selector | Subquery, oldest_ns: int) -> None:
        """Raise EvaluationError for a fixed time of which the samples are forgotten."""
        forgotten = self.store.forgotten_ns
        if isinstance(node.at, int) and forgotten is not None and oldest_ns < forgotten:
            raise EvaluationError("asks for samples that are no longer kept", node.text)

    def _over_time(self, node: FunctionCall) -> Vector:
        (ranged,) = (arg for arg in node.args if is_range(arg))
        windows = self._windows(ranged)
        if node.name == "absent_over_time":
            return {} if windows else {_absent_labels(ranged): 1.0}
        params = [self._number(arg) for arg in node.args if arg is not ranged]
        function: Callable[[range_functions.Window], float | None]
        if node.name == "quantile_over_time":
            function = partial(range_functions.quantile_over_time, params[0])
        elif node.name == "predict_linear":
            function = partial(range_functions.predict_linear, now_ns=self.t_ns, ahead_s=params[0])
        else:
            function = range_functions.FUNCTIONS[node.name]
        values = [(held, function(window)) for held, window in windows]
        if node.name in range_functions.KEEPS_NAME:
            return {held.labels: value for held, value in values if value is not None}
        return _collected(node, [(h.nameless, value) for h, value in values if value is not None])

    def _windows(self, node: Node) -> list[tuple[Series, range_functions.Window]]:
        """The samples of each series in a range; series without any are left out."""
        if isinstance(node, Subquery):
            return self._steps(node)
        if not isinstance(node, Selector) or node.range_ns is None:
            raise EvaluationError("is not a range", node.text)
        return self._selected(node, node.range_ns)

    def _steps(self, node: Subquery) -> list[tuple[Series, range_functions.Window]]:
        """The values of a subquery's expression, series by series."""
        end = self._end(node)
        start = end - node.range_ns
        self._check_kept(node, start)
        times = self._grid(node, start, end)
        key = (node.text, self.semantics)
        past = self.store.past(key, node.operand, times[-1]) if node.is_settled and times else {}
        if len(past) > 2 * len(times) + 16:
            for t_ns in [t_ns for t_ns in past if t_ns < times[0]]:
                del past[t_ns]
        early = self._early(node, times)
        found = self._constant(node, early) if early else {}
        for t_ns in times[len(early) :]:
            vector = past.get(t_ns)
            if vector is None:
                vector = past[t_ns] = self._elsewhere(t_ns).vector(node.operand)
            self.budget.spend(1 + len(vector), node)
            for labels, value in vector.items():
                held = found.get(labels)
                if held is None:
                    held = found[labels] = Series(labels)
                held.times.append(t_ns)
                held.values.append(value)
        zero_first = self.semantics.zero_first
        return [
            (held, range_functions.Window(held.times, held.values, start, end, zero_first))
            for held in found.values()
        ]

    def _early(self, node: Subquery, times: range) -> range:
        """The first of these instants: those before all samples, where nothing in it changes."""
        first_ns = self.store.first_ns
        if not node.is_cheap:
            return times[:0]
        return times if first_ns is None else times[: bisect_left(times, first_ns)]

    def _constant(self, node: Subquery, times: range) -> dict[Labels, Series]:
        """The series of a subquery's expression over instants at which it is always the same."""
        vector = self._elsewhere(times[-1]).vector(node.operand)
        self.budget.spend(1 + len(vector) * len(times), node)
        found: dict[Labels, Series] = {}
        for labels, value in vector.items():
            held = found[labels] = Series(labels)
            held.times, held.values = list(times), [value] * len(times)
        return found

    def _grid(self, node: Subquery, start: int, end: int) -> range:
        """The multiples of the step, in wall time, between two instants."""
        step = node.step_ns or round(self.semantics.evaluation_s * NS)
        wall = self.store.wall_offset_ns
        first = (start + wall) // step * step - wall
        if not self._is_newer(first, start):
            first += step
        return range(first, end + 1, step)

    def _elsewhere(self, t_ns: int) -> "InstantEvaluator":
        """The evaluator of another instant of the same query; what it comes to is not kept."""
        return InstantEvaluator(
            self.store,
            t_ns,
            self.semantics,
            span=self.span,
            budget=self.budget,
            is_bounded=True,
        )

    def _selected(
        self, selector: Selector, range_ns: int
    ) -> list[tuple[Series, range_functions.Window]]:
        end = self._end(selector)
        start = end - range_ns
        self._check_kept(selector, start)
        first = bisect_right if self.semantics.left_open else bisect_left
        zero_first = self.semantics.zero_first
        found = []
        for held in self.store.select(selector):
            times, values = held.times, held.values
            stop = len(times)
            if stop and times[-1] > end:
                stop = bisect_right(times, end)
            begin = first(times, start, 0, stop)
            if self._is_bounded:
                self.budget.spend(1 + stop - begin, selector)
            times, values = times[begin:stop], values[begin:stop]
            if held.marks:
                times = [t for t, v in zip(times, values, strict=True) if v is not STALE]
                values = [v for v in values if v is not STALE]
            if times:
                never_falls = not (held.falls or held.marks)  # a mark may lie between two values
                window = range_functions.Window(times, values, start, end, zero_first, never_falls)
                found.append((held, window))
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
    asked: set[str] = set()
    for matcher in node.matchers:
        if matcher.name == NAME:
            continue
        is_fixed = matcher.op == "=" and matcher.name not in asked
        fixed[matcher.name] = matcher.value if is_fixed else ""
        if is_fixed:
            asked.add(matcher.name)
    return label_set(fixed)


def is_true(value: float) -> bool:
    """A number that says yes: neither zero nor NaN."""
    return value != 0 and not math.isnan(value)
