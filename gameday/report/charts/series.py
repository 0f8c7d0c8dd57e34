"""The traffic over time, for the charts: what the samples' counters and histograms grew by.

Whoever wrote the samples, only what can be a count is added up: gameday's own series are nothing
else. All arrays lie over the same instants. A percentile at t is that of the answers of the last
`WINDOW_S` seconds, interpolated within its bucket as PromQL's `histogram_quantile` does, so the
charts and the alert rules tell the same story.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.core.clock import NS
from gameday.telemetry.promql.histograms import bucket_quantile, upper_edge
from gameday.telemetry.samples import Scrape

Curve = npt.NDArray[np.float64]

WINDOW_S: Final = 5.0  # the window that the shipped rules and objectives use, so both tell the same
_BUCKETS: Final = "k6_http_req_duration_seconds_bucket"
_ANSWERS: Final = "k6_http_reqs_total"
_DROPS: Final = "k6_dropped_iterations_total"
_LARGEST: Final = 2.0**53  # up to here a sum of counts is exact
_LONGEST_S: Final = 1e9  # an upper edge beyond it is none of ours


@dataclass(frozen=True, slots=True)
class Curves:
    """Counters summed over scenarios: `answers` by outcome, `drops`, `buckets` by upper edge."""

    t_s: Curve
    answers: Mapping[str, Curve]
    drops: Curve
    buckets: Mapping[float, Curve]

    def per_s(self, counter: Curve) -> Curve:
        """Growth since the instant before, for each second; NaN at the first."""
        rates = np.full(len(counter), np.nan)
        rates[1:] = np.maximum(np.diff(counter), 0) / np.diff(self.t_s)
        return rates

    def percentile(self, q: float) -> Curve:
        """The q-quantile in seconds at each instant; NaN where nothing was answered."""
        if not self.buckets:
            return np.full(len(self.t_s), np.nan)
        back = np.searchsorted(self.t_s, self.t_s - WINDOW_S)
        grown = {edge: (counts - counts[back]).tolist() for edge, counts in self.buckets.items()}
        instants = zip(*grown.values(), strict=True)
        return np.array(
            [bucket_quantile(q, list(zip(grown, each, strict=True))) for each in instants]
        )

    def slower_than(self, edge_s: float) -> int | None:
        """The number of answers that took longer; None if no bucket ends there, or without data."""
        if edge_s not in self.buckets or np.inf not in self.buckets or not len(self.t_s):
            return None
        return int(self.buckets[np.inf][-1] - self.buckets[edge_s][-1])


def read_curves(scrapes: Sequence[Scrape], t0_ns: int) -> Curves:
    """The curves of a run whose t = 0 is `t0_ns`."""
    answers: dict[str, Curve] = {}
    buckets: dict[float, Curve] = {}
    drops = np.zeros(len(scrapes))
    for i, scrape in enumerate(scrapes):
        for labels, value in scrape.values:
            name = labels.get("__name__")
            if not 0 <= value <= _LARGEST:  # NaN neither
                continue
            if name == _ANSWERS:
                _add(answers, labels.get("outcome", ""), i, value, len(scrapes))
            elif name == _BUCKETS:
                edge = upper_edge(labels.get("le", ""))
                if edge is not None and (edge == np.inf or 0 <= edge <= _LONGEST_S):
                    _add(buckets, edge, i, value, len(scrapes))
            elif name == _DROPS:
                drops[i] += value
    t_s = np.array([(scrape.t_ns - t0_ns) / NS for scrape in scrapes])
    return Curves(t_s, answers, drops, buckets)


def _add(into: dict, key: object, i: int, value: float, length: int) -> None:  # type: ignore[type-arg]
    if key not in into:
        into[key] = np.zeros(length)
    into[key][i] += value
