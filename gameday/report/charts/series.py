"""The traffic over time, for the charts: what the samples' counters and histograms grew by.

Whoever wrote the samples, only what can be a count is added up: gameday's own series are nothing
else. All arrays lie over the same instants. A percentile at t is that of the answers of the last
`WINDOW_S` seconds, interpolated within its bucket as PromQL's `histogram_quantile` does, so the
charts and the alert rules tell the same story.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.core.clock import NS
from gameday.telemetry.failures import FailedOutcome
from gameday.telemetry.promql.histograms import CLOSE, upper_edge
from gameday.telemetry.samples import Scrape

Curve = npt.NDArray[np.float64]

WINDOW_S: Final = 5.0  # the window that the shipped rules and objectives use, so both tell the same
_BUCKETS: Final = "k6_http_req_duration_seconds_bucket"
_ANSWERS: Final = "k6_http_reqs_total"
_UNREACHED: Final = "k6_http_reqs_unreached_total"
_DROPS: Final = "k6_dropped_iterations_total"
NAMES: Final = frozenset({_BUCKETS, _ANSWERS, _UNREACHED, _DROPS})
_LARGEST: Final = 2.0**53  # up to here a sum of counts is exact
_LONGEST_S: Final = 1e9  # an upper edge beyond it is none of ours


@dataclass(frozen=True, slots=True)
class Curves:
    """Counters summed over scenarios: `answers` by outcome, `drops`, `buckets` by upper edge.

    `unreached` are those of the refused whom nobody answered.
    """

    t_s: Curve
    answers: Mapping[str, Curve]
    drops: Curve
    buckets: Mapping[float, Curve]
    unreached: Curve
    _percentiles: dict[float, Curve] = field(default_factory=dict, compare=False, repr=False)

    def per_s(self, counter: Curve) -> Curve:
        """Growth since the instant before, for each second; NaN at the first."""
        rates = np.full(len(counter), np.nan)
        rates[1:] = np.maximum(np.diff(counter), 0) / np.diff(self.t_s)
        return rates

    def failed(self, outcomes: Sequence[FailedOutcome]) -> Curve:
        """Starts so far that failed, where these outcomes count as failures; each counts once."""
        found = self.drops
        for name in outcomes:
            found = found + self.answers.get(name, 0.0)
        if "unreached" in outcomes and "refused" not in outcomes:
            found = found + self.unreached
        return found

    def percentile(self, q: float) -> Curve:
        """The q-quantile in seconds at each instant; NaN where nothing was answered."""
        if q not in self._percentiles:  # several sections and charts ask for the same ones
            self._percentiles[q] = self._percentile(q)
        return self._percentiles[q]

    def _percentile(self, q: float) -> Curve:
        if not self.buckets:
            return np.full(len(self.t_s), np.nan)
        back = np.searchsorted(self.t_s, self.t_s - WINDOW_S)
        edges = sorted(self.buckets)
        grown = [self.buckets[edge] - self.buckets[edge][back] for edge in edges]
        return quantiles(q, edges, np.stack(grown))

    def slower_than(self, edge_s: float) -> int | None:
        """The number of answers that took longer; None if no bucket ends there, or without data."""
        if edge_s not in self.buckets or np.inf not in self.buckets or not len(self.t_s):
            return None
        return int(self.buckets[np.inf][-1] - self.buckets[edge_s][-1])


def quantiles(q: float, edges: Sequence[float], counts: Curve) -> Curve:
    """`bucket_quantile` of many histograms over the same ascending edges, from 0 upwards, at once.

    `counts` has a row for each edge and a column for each histogram. One by one, those of half an
    hour took a tenth of a second for each curve.
    """
    rising = counts.copy()
    for before, now in itertools.pairwise(rising):
        close = np.abs(now - before) <= CLOSE * np.maximum(np.abs(now), np.abs(before))
        now[:] = np.where((now < before) | close, before, now)
    total = rising[-1]
    if edges[-1] != np.inf or len(edges) < 2:
        return np.full(len(total), np.nan)
    rank = q * total
    reached = rising[:-1] >= rank
    at = np.where(reached.any(axis=0), reached.argmax(axis=0), len(edges) - 1)
    ends = np.array([*edges[:-1], edges[-2]])
    starts = np.array([0.0, *edges[:-1]])
    here = np.arange(len(total))
    below = np.where(at > 0, rising[at - 1, here], 0.0)
    inside = rising[at, here] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Curve = starts[at] + (ends[at] - starts[at]) * ((rank - below) / inside)
    found[inside == 0] = np.nan
    found[at == len(edges) - 1] = ends[-1]
    first = (at == 0) & (ends[0] <= 0)
    found[first] = ends[0]
    found[total == 0] = np.nan
    return found


def read_curves(scrapes: Sequence[Scrape], t0_ns: int) -> Curves:
    """The curves of a run whose t = 0 is `t0_ns`."""
    found = _Columns(len(scrapes))
    columns: dict[int, list[float] | None] = {}  # by the labels, which are one object a series
    for i, scrape in enumerate(scrapes):
        for labels, value in scrape.values:
            try:
                column = columns[id(labels)]
            except KeyError:
                column = columns[id(labels)] = found.of(labels)
            if column is not None and 0 <= value <= _LARGEST:  # NaN neither
                column[i] += value
    t_s = np.array([(scrape.t_ns - t0_ns) / NS for scrape in scrapes])
    answers = {name: np.array(column) for name, column in found.answers.items()}
    buckets = {edge: np.array(column) for edge, column in found.buckets.items()}
    return Curves(t_s, answers, np.array(found.drops), buckets, np.array(found.unreached))


class _Columns:
    """Sums at each instant, while they are added up; lists, as numpy is slow a number at a time."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.answers: dict[str, list[float]] = {}
        self.buckets: dict[float, list[float]] = {}
        self.drops = [0.0] * length
        self.unreached = [0.0] * length

    def of(self, labels: Mapping[str, str]) -> list[float] | None:
        """The column that a series is added to; None where it is none of these."""
        name = labels.get("__name__")
        if name == _ANSWERS:
            return self.answers.setdefault(labels.get("outcome", ""), [0.0] * self._length)
        if name in (_DROPS, _UNREACHED):
            return self.drops if name == _DROPS else self.unreached
        edge = upper_edge(labels.get("le", "")) if name == _BUCKETS else None
        if edge is None or not (edge == np.inf or 0 <= edge <= _LONGEST_S):
            return None
        return self.buckets.setdefault(edge, [0.0] * self._length)
