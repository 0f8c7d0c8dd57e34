"""Queries: an expression at one instant, or at each step of a range.

Every instant has the evaluator's own bound of values, all of them together the bound of the answer,
and the whole of it a time. What is read for a query is remembered for that query alone.
"""

from collections.abc import Sequence
from typing import Final

from gameday.core.errors import excerpt
from gameday.telemetry.promql import (
    EvaluationError,
    InstantEvaluator,
    Labels,
    PromqlError,
    Query,
    SeriesStore,
    parse_any,
)
from gameday.telemetry.promql.labels import EMPTY
from gameday.telemetry.promql.nodes import Text, is_range
from gameday.telemetry.query_api.database import SampleDatabase
from gameday.telemetry.query_api.encode import (
    ApiAnswer,
    labels_json,
    number_text,
    point_json,
    points_json,
    time_json,
    to_json,
)
from gameday.telemetry.query_api.parameters import AnswerDeadline, QueryApiError, RequestForm
from gameday.telemetry.query_api.settings import QueryBounds

_MS: Final = 1_000_000
_TRUNCATED: Final = "results truncated due to limit"
Points = dict[Labels, list[tuple[int, float]]]


class QueryEvaluator:
    """Queries over one database, as one version of Prometheus answers them."""

    def __init__(self, database: SampleDatabase, form: RequestForm, bounds: QueryBounds) -> None:
        self._database = database
        self._form = form
        self._bounds = bounds

    def instant(self, now_ms: int, deadline: AnswerDeadline) -> ApiAnswer:
        """`/api/v1/query`. Raises QueryApiError."""
        at_ms = self._form.time_ms("time", now_ms)
        query = _parsed(self._form.text("query"))
        store = self._database.store.apart()
        deadline.check("query queue")
        node = query.node
        try:
            if isinstance(node, Text):
                return _result("string", f"[{time_json(at_ms)},{to_json(node.value)}]")
            moment = self._moment(store, at_ms, (at_ms, at_ms))
            if is_range(node):
                return self._matrix(_samples_of(moment, query))
            value = moment.value(node)
        except EvaluationError as error:
            raise QueryApiError("execution", error.message) from None
        if not isinstance(value, dict):
            return _result("scalar", f'[{time_json(at_ms)},"{number_text(value)}"]')
        return self._vector(value, at_ms)

    def ranged(self, deadline: AnswerDeadline) -> ApiAnswer:
        """`/api/v1/query_range`. Raises QueryApiError."""
        start_ms, end_ms, step_ms = self._steps()
        query = _parsed(self._form.text("query"))
        if is_range(query.node) or isinstance(query.node, Text):
            kind = "string" if isinstance(query.node, Text) else "range vector"
            problem = f'invalid expression type "{kind}" for range query'
            raise QueryApiError("bad_data", f"{problem}, must be Scalar or instant Vector")
        found = self._evaluated(query, range(start_ms, end_ms + 1, step_ms), deadline)
        return self._matrix(found)

    def _steps(self) -> tuple[int, int, int]:
        form = self._form
        start_ms, end_ms = form.time_ms("start"), form.time_ms("end")
        if end_ms < start_ms:
            problem = 'invalid parameter "end": end timestamp must not be before start time'
            raise QueryApiError("bad_data", problem)
        step_ns = form.duration_ns("step")
        if step_ns < _MS:
            problem = "zero or negative query resolution step widths are not accepted"
            help = "Try a positive integer"
            raise QueryApiError("bad_data", f'invalid parameter "step": {problem}. {help}')
        if (end_ms - start_ms) * _MS // step_ns > self._bounds.points:
            raise QueryApiError(
                "bad_data",
                f"exceeded maximum resolution of {self._bounds.points:,} points per timeseries."
                " Try decreasing the query resolution (?step=XX)",
            )
        return start_ms, end_ms, step_ns // _MS

    def _evaluated(self, query: Query, times_ms: range, deadline: AnswerDeadline) -> Points:
        store = self._database.store.apart()
        span_ms = (times_ms[0], times_ms.stop - 1)
        found: Points = {}
        count = 0
        for t_ms in times_ms:
            deadline.check("expression evaluation" if count else "query queue")
            try:
                value = self._moment(store, t_ms, span_ms).value(query.node)
            except EvaluationError as error:
                raise QueryApiError("execution", error.message) from None
            vector = value if isinstance(value, dict) else {EMPTY: value}
            for labels, number in vector.items():
                found.setdefault(labels, []).append((t_ms, number))
            count += len(vector)
            self._bounded(count)
        return found

    def _bounded(self, values: int) -> None:
        if values > self._bounds.values:
            most = f"more than {self._bounds.values:,} values"
            problem = f"query processing would load too many samples into memory: {most}"
            raise QueryApiError("execution", f"{problem}; a longer step, or fewer series")

    def _moment(self, store: SeriesStore, t_ms: int, span_ms: tuple[int, int]) -> InstantEvaluator:
        return InstantEvaluator(
            store,
            t_ms * _MS,
            self._database.semantics,
            span=(span_ms[0] * _MS, span_ms[1] * _MS),
            is_bounded=True,
        )

    def _vector(self, value: dict[Labels, float], at_ms: int) -> ApiAnswer:
        self._bounded(len(value))
        every = [
            f'{{"metric":{labels_json(labels)},"value":{point_json(at_ms, number)}}}'
            for labels, number in value.items()
        ]
        return self._limited("vector", every)

    def _matrix(self, found: Points) -> ApiAnswer:
        self._bounded(sum(map(len, found.values())))
        every = [
            f'{{"metric":{labels_json(labels)},"values":{points_json(points)}}}'
            for labels, points in sorted(found.items())
        ]
        return self._limited("matrix", every)

    def _limited(self, kind: str, every: Sequence[str]) -> ApiAnswer:
        limit = self._form.limit()
        warnings = self._database.warnings
        if limit is not None and len(every) > limit:
            every, warnings = every[:limit], [*warnings, _TRUNCATED]
        return _result(kind, f"[{','.join(every)}]", warnings)


def _samples_of(moment: InstantEvaluator, query: Query) -> Points:
    return {
        labels: [(t_ns // _MS, v) for t_ns, v in zip(window.times, window.values, strict=True)]
        for labels, window in moment.samples(query.node)
    }


def _parsed(text: str) -> Query:
    said = 'invalid parameter "query": '
    try:
        return parse_any(text)
    except PromqlError as error:
        raise QueryApiError("bad_data", f"{said}{error.message}") from None
    except RecursionError:
        raise QueryApiError("bad_data", f"{said}{excerpt(text)} is nested too deep") from None


def _result(kind: str, result: str, warnings: Sequence[str] = ()) -> ApiAnswer:
    return ApiAnswer(f'{{"resultType":"{kind}","result":{result}}}', warnings)
