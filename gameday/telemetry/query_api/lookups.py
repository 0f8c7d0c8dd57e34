"""What there is: series, the names of labels, their values, and of which kind metrics are.

Only series with a sample in the time asked for are told. A run does not record the TYPE and HELP of
its metrics, so the kind of one is told from its name, as the conventions have it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.core.errors import excerpt
from gameday.core.json_objects import plain
from gameday.telemetry.promql import Labels, SeriesStore
from gameday.telemetry.promql.labels import NAME, value_of
from gameday.telemetry.promql.nodes import Selector
from gameday.telemetry.promql.store import STALE, Series
from gameday.telemetry.query_api.database import SampleDatabase
from gameday.telemetry.query_api.encode import ApiAnswer, labels_json, to_json
from gameday.telemetry.query_api.parameters import AnswerDeadline, QueryApiError, RequestForm

_MS: Final = 1_000_000
_EVERY: Final = Selector("", ())
_TRUNCATED: Final = "results truncated due to limit"


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric as `/api/v1/metadata` tells it."""

    type: str
    help: str = ""
    unit: str = ""


def series(database: SampleDatabase, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
    """`/api/v1/series`. Raises QueryApiError."""
    selectors = form.selectors()
    if not selectors:
        raise QueryApiError("bad_data", "no match[] parameter provided")
    found = sorted(set(_labels_in(database.store, selectors, form.span_ms(), deadline)))
    limit = form.limit()
    told = [labels_json(labels) for labels in found[:limit]]
    warnings = _warnings(database, truncated=len(told) < len(found))
    return ApiAnswer(f"[{','.join(told)}]", warnings)


def label_names(database: SampleDatabase, form: RequestForm, deadline: AnswerDeadline) -> ApiAnswer:
    """`/api/v1/labels`. Raises QueryApiError."""
    selectors = form.selectors() or [_EVERY]
    every = _labels_in(database.store, selectors, form.span_ms(), deadline)
    return _names(database, {name for labels in every for name, _ in labels}, form)


def label_values(
    database: SampleDatabase, form: RequestForm, deadline: AnswerDeadline, name: str
) -> ApiAnswer:
    """`/api/v1/label/<name>/values`. Raises QueryApiError."""
    if not name:
        raise QueryApiError("bad_data", f'invalid label name: "{excerpt(name)}"')
    selectors = form.selectors() or [_EVERY]
    every = _labels_in(database.store, selectors, form.span_ms(), deadline)
    return _names(database, {value_of(labels, name) for labels in every} - {""}, form)


def metadata(database: SampleDatabase, form: RequestForm) -> ApiAnswer:
    """`/api/v1/metadata`. Raises QueryApiError."""
    wanted, limit = form.text("metric"), form.limit()
    every = {_family(held.labels) for held in database.store.select(_EVERY)}
    found = sorted(each for each in every if wanted in ("", each[0]))
    told = {name: [plain(MetricKind(kind))] for name, kind in found[:limit]}
    return ApiAnswer(to_json(told))


def _family(labels: Labels) -> tuple[str, str]:
    """The name and the kind of the metric that a series belongs to."""
    name = value_of(labels, NAME)
    if name.endswith("_bucket") and value_of(labels, "le"):
        return name.removesuffix("_bucket"), "histogram"
    return name, "counter" if name.endswith("_total") else "unknown"


def _names(database: SampleDatabase, found: Iterable[str], form: RequestForm) -> ApiAnswer:
    every, limit = sorted(found), form.limit()
    warnings = _warnings(database, truncated=limit is not None and len(every) > limit)
    return ApiAnswer(to_json(every[:limit]), warnings)


def _warnings(database: SampleDatabase, *, truncated: bool) -> Sequence[str]:
    return [*database.warnings, *([_TRUNCATED] if truncated else [])]


def _labels_in(
    store: SeriesStore,
    selectors: Iterable[Selector],
    span_ms: tuple[int, int],
    deadline: AnswerDeadline,
) -> Iterator[Labels]:
    """The labels of series that have a sample in a time, some of them more than once."""
    start_ns, end_ns = span_ms[0] * _MS, span_ms[1] * _MS
    apart = store.apart()
    for selector in selectors:
        deadline.check()
        for held in apart.select(selector):
            if _has_samples(held, start_ns, end_ns):
                yield held.labels


def _has_samples(held: Series, start_ns: int, end_ns: int) -> bool:
    first = bisect_left(held.times, start_ns)
    last = bisect_right(held.times, end_ns)
    if not held.marks:
        return first < last
    return any(value is not STALE for value in held.values[first:last])
