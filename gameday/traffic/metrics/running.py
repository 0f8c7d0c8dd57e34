"""Some metrics while a run goes on, in memory that does not grow with it.

Records are added as they are written and then forgotten: times are kept in histograms, the rest
as sums. The samples are those of `metrics` and `trends`, so what is said live and what is said in
the end differ by a histogram's thousandth at most. A request that is still open is no sample yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.spec.request import MOST_OPEN
from gameday.traffic.history import History, HistoryHeader, Records
from gameday.traffic.metrics.hdr_histogram import Hdr
from gameday.traffic.metrics.k6_metrics import (
    About,
    StartSelection,
    counted,
    failures,
    trend_samples,
)
from gameday.traffic.metrics.percentiles import PERCENTILES, figures
from gameday.traffic.metrics.records import Starts
from gameday.traffic.thresholds import MetricKey, ThresholdExpression, evaluate, parse_key

_NOTHING: Final = About()


@dataclass(slots=True)
class _Kept:
    """The running totals of one metric, or of a tagged part of it."""

    key: MetricKey
    seen: bool = False
    times: Hdr = field(default_factory=Hdr)
    open_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    count: int = 0
    of: int = 0


class RunningTotals:
    """The metrics or tagged parts named by `keys`. Raises UsageError for one nobody knows."""

    def __init__(self, keys: Iterable[str], about: About = _NOTHING) -> None:
        self._about = about
        self._kept = {key: _Kept(parse_key(key)) for key in keys}
        self._dispatched: dict[tuple[str, int], int] = {}
        self._records: dict[str, int] = {}
        self._most_open: dict[str, int] = {}
        self._t0_ns = 0

    def add(self, header: HistoryHeader, records: Records, dispatched: int) -> None:
        """New records of a history with this header, and how far it had got before them."""
        if not self._kept:
            return
        self._follow(header, len(records), dispatched)
        if not len(records):
            return
        starts = Starts([History(header, dispatched, records)], so_far=True)
        whole = StartSelection(starts, None, self._about)
        for kept in self._kept.values():
            part = whole.tagged(kept.key.tags)
            kept.seen |= len(part) > 0 or (
                kept.key.kind == "counter" and whole.could_happen(kept.key.tags)
            )
            if len(part):
                _add(kept, part)

    def _follow(self, header: HistoryHeader, ended: int, dispatched: int) -> None:
        scenario, worker = header.scenario, header.worker
        self._t0_ns = min(self._t0_ns, header.t0_ns) if self._t0_ns else header.t0_ns
        self._dispatched[scenario, worker] = len(range(worker, dispatched, header.workers))
        self._records[scenario] = self._records.get(scenario, 0) + ended
        most = max(self._most_open.get(scenario, 0), self._open(scenario))
        self._most_open[scenario] = most

    def _open(self, scenario: str) -> int:
        sent = sum(count for (name, _), count in self._dispatched.items() if name == scenario)
        return max(0, sent - self._records.get(scenario, 0))

    def figures(
        self, key: str, now_ns: int, percentiles: Sequence[float] = PERCENTILES
    ) -> Mapping[str, float] | None:
        """As `measure` would say of the records so far; None when there is no sample."""
        kept = self._kept[key]
        if kept.key.kind == "gauge":
            return self._gauge(kept.key)
        if not kept.seen:
            return None
        if kept.key.kind == "trend":
            return figures(kept.times, kept.open_ns, percentiles)
        if kept.key.kind == "counter":
            length_s = max(now_ns - self._t0_ns, 1) / 1e9
            return {"count": kept.count, "rate": kept.count / length_s}
        if not kept.of:
            return None
        return {"rate": kept.count / kept.of, "passes": kept.count, "fails": kept.of - kept.count}

    def keeps(
        self, metric: str, asked: ThresholdExpression, now_ns: int
    ) -> tuple[bool | None, float | None]:
        """True if a threshold is kept so far, None without a sample; and its figure."""
        percentiles = () if asked.percentile is None else (asked.percentile,)
        figures = self.figures(metric, now_ns, percentiles)
        figure = None if figures is None else figures.get(asked.statistic)
        return evaluate(asked, figures), figure

    def _gauge(self, key: MetricKey) -> Mapping[str, float] | None:
        names = [name for name in self._records if key.tags.get("scenario", name) == name]
        if not names:
            return None
        most = sum(self._most_open[name] for name in names)
        now = sum(self._open(name) for name in names)
        return {"value": now if key.metric == "vus" else most, "min": 0, "max": most}


def _add(kept: _Kept, part: StartSelection) -> None:
    if kept.key.kind == "trend":
        samples, open_ns = trend_samples(kept.key.metric, part)
        kept.times.add(samples)
        kept.open_ns = np.concatenate([kept.open_ns, open_ns])[-MOST_OPEN:]  # no more can be open
    elif kept.key.kind == "counter":
        kept.count += counted(kept.key.metric, part)
    elif kept.key.kind == "rate":
        bad, total = failures(part, part.about.apart)
        kept.count += bad
        kept.of += total
