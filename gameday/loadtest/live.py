"""What can be said while the workers send: the records they have written so far, folded.

A request that is still open is no sample of anything yet, as in k6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday import fold, thresholds
from gameday.clock import NS
from gameday.fold.books import timed
from gameday.history import RECORD, History, HistoryTail, Outcome

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
    """Follows the histories of a folder while they grow.

    All records are kept only where a threshold is to be held against them (`keep`).
    """

    def __init__(self, history_dir: Path, *, keep: bool) -> None:
        self._dir = history_dir
        self._keep = keep
        self._tails: dict[Path, HistoryTail] = {}
        self._parts: dict[Path, list[Records]] = {}
        self._folds: dict[str, fold.Fold] = {}

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    def read(self, now_ns: int) -> None:
        """Take in what was written since the last call."""
        for path in sorted(self._dir.glob("*.bin")):
            if path not in self._tails:
                self._tails[path] = HistoryTail(path)
            tail = self._tails[path]
            records, dispatched = tail.read_new()
            parts = self._parts.setdefault(path, [])
            parts.append(records)
            if not self._keep:
                del parts[:-_NEWEST]
            folded = self._folds.setdefault(tail.scenario, fold.Fold(tail.scenario))
            stripe = int(tail.header.get("worker", 0)), int(tail.header.get("workers", 1))
            folded.add(records, dispatched, now_ns, stripe)

    def moment(self, t0_ns: int, now_ns: int) -> Moment:
        """How the traffic is now."""
        folds = self._folds.values()
        counts = [one.by_outcome() for one in folds]
        names = counts[0] if counts else {}
        recent = self._recent(now_ns)
        asked = recent[recent["outcome"] != Outcome.DROPPED]
        over = asked[timed(asked)]
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
        """What ended in the last two seconds, from the few newest pieces."""
        pieces = [
            piece for parts in self._parts.values() for piece in parts[-_NEWEST:] if len(piece)
        ]
        if not pieces:
            return np.zeros(0, dtype=RECORD)
        newest = np.concatenate(pieces)
        kept: Records = newest[newest["ended_ns"] >= now_ns - _RECENT_NS]
        return kept

    def crossed(
        self, aborting: Mapping[tuple[str, str], timedelta], at_s: float
    ) -> tuple[str, str, float] | None:
        """A threshold that is crossed and may end the traffic by now: metric, text, figure."""
        histories = self._over()
        for (metric, text), delay in aborting.items():
            if at_s < delay.total_seconds() or not histories:
                continue
            asked = thresholds.parse(text)
            percentiles = () if asked.percentile is None else (asked.percentile,)
            figures = fold.measure(histories, metric, percentiles=percentiles)
            if figures and thresholds.evaluate(asked, figures) is False:
                return metric, text, figures[asked.statistic]
        return None

    def _over(self) -> list[History]:
        """The histories without what is open: their records, numbered anew without gaps."""
        found = []
        for path, tail in self._tails.items():
            records = np.concatenate(self._parts[path])
            self._parts[path] = [records]
            if not len(records):
                continue
            counted = records.copy()
            counted["k"] = np.arange(len(records))
            header = {**tail.header, "worker": 0, "workers": 1}
            found.append(History(tail.scenario, header, len(records), counted))
        return found


def _p95_ms(took_ns: npt.NDArray[np.int64]) -> float | None:
    return float(np.percentile(took_ns, 95)) / 1e6 if len(took_ns) else None
