"""Live figures while the workers send: the records that they have written so far, folded.

A request that is still open is no sample of anything yet, as in k6. What is kept does not grow with
the traffic: counts, histograms of the metrics that a threshold may end it by, and the last seconds.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.core.clock import NS
from gameday.run.load_test.request import Load
from gameday.traffic import metrics as fold
from gameday.traffic import thresholds
from gameday.traffic.history import RECORD, Outcome
from gameday.traffic.metrics.trends import is_timed

Records = npt.NDArray[np.void]
_RECENT_NS: Final = 2 * NS
_NEWEST: Final = 8
"""Pieces of a second each, of which the last two seconds are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The traffic at one instant: counts so far, and the last two seconds."""

    t_s: float
    open: int = 0
    dropped: int = 0
    by_outcome: Mapping[str, int]
    rate_per_s: float = 0.0
    p95_ms: float | None = None
    service_p95_ms: float | None = None


class Live:
    """Follows the histories of a folder while they grow."""

    def __init__(self, history_dir: Path, load: Load) -> None:
        self._aborting = [
            (metric, thresholds.parse(text), delay.total_seconds())
            for (metric, text), delay in load.aborting.items()
        ]
        metrics = sorted({metric for metric, _, _ in self._aborting})
        self._totals = fold.RunningTotals(metrics, about(load))
        self._traffic = fold.LiveTraffic(history_dir, self._totals)
        self._newest: deque[list[Records]] = deque(maxlen=_NEWEST)
        self.close = self._traffic.close

    def read(self, now_ns: int) -> None:
        """Take in what was written since the last call."""
        self._newest.append(self._traffic.read(now_ns))

    def moment(self, t0_ns: int, now_ns: int) -> Moment:
        """Figures of the traffic now."""
        folds = self._traffic.folds.values()
        counts = [one.by_outcome() for one in folds]
        names = counts[0] if counts else {}
        recent = self._recent(now_ns)
        asked = recent[recent["outcome"] != Outcome.DROPPED]
        over = asked[is_timed(asked)]
        since_s = max(min(_RECENT_NS, now_ns - t0_ns), NS // 10) / NS
        return Moment(
            t_s=(now_ns - t0_ns) / NS,
            open=sum(one.open for one in folds),
            dropped=sum(one.dropped for one in folds),
            by_outcome={name: sum(count[name] for count in counts) for name in names},
            rate_per_s=len(asked) / since_s,
            p95_ms=_p95_ms(over["ended_ns"] - over["intended_ns"]),
            service_p95_ms=_p95_ms((over["ended_ns"] - over["sent_ns"])[over["sent_ns"] > 0]),
        )

    def _recent(self, now_ns: int) -> Records:
        """Requests that ended in the last two seconds, from the few newest pieces."""
        pieces = [piece for pieces in self._newest for piece in pieces if len(piece)]
        if not pieces:
            return np.zeros(0, dtype=RECORD)
        newest = np.concatenate(pieces)
        kept: Records = newest[newest["ended_ns"] >= now_ns - _RECENT_NS]
        return kept

    def crossed(self, t0_ns: int, now_ns: int) -> tuple[str, str, float] | None:
        """A threshold that is crossed and may end the traffic by now: metric, text, figure."""
        for metric, asked, delay_s in self._aborting:
            if now_ns - t0_ns < delay_s * NS:
                continue
            kept, figure = self._totals.keeps(metric, asked, now_ns)
            if kept is False and figure is not None:
                return metric, asked.text, figure
        return None


def about(load: Load) -> fold.About:
    """The tags that all requests share: there is one kind of request."""
    issue = load.system.requests.issue
    return fold.About(tags=fold.request_tags(issue.method, issue.path))


def _p95_ms(took_ns: npt.NDArray[np.int64]) -> float | None:
    return float(np.percentile(took_ns, 95)) / 1e6 if len(took_ns) else None
