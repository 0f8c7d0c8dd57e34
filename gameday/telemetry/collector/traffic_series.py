"""The requests so far, as series: the histories of the traffic workers, tailed and folded.

A worker creates its history file when it starts, and a spike's scenario may start in the middle
of a run, so the folder is looked through at every instant. Every scenario of the run has its
series from the first instant on, at 0, because a rate needs a first sample to grow from.
"""

from collections.abc import Sequence
from pathlib import Path

from gameday.telemetry.collector.abort_thresholds import Thresholds
from gameday.telemetry.promql.labels import Labels, label_set
from gameday.traffic.history import HEAD_BYTES, HistoryTail
from gameday.traffic.metrics import Fold


class TrafficSeries:
    """All histories of one run, folded by scenario while they grow."""

    def __init__(self, folder: Path, scenarios: Sequence[str], thresholds: Thresholds) -> None:
        self._folder = folder
        self._thresholds = thresholds
        self._folds = {name: Fold(name) for name in scenarios}
        self._tails: dict[Path, HistoryTail] = {}

    def read(self, now_ns: int) -> dict[Labels, float]:
        """Every `k6_*` series, after all that was recorded until now."""
        self._open_new()
        for tail in self._tails.values():
            records, dispatched = tail.read_new()
            head = tail.header
            folded = self._fold(head.scenario)
            folded.add(records, dispatched, now_ns, worker=head.worker, workers=head.workers)
            self._thresholds.add(head, records, dispatched)
        return {
            label_set(labels): value
            for fold in self._folds.values()
            for labels, value in fold.series()
        }

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    def _open_new(self) -> None:
        for path in sorted(self._folder.glob("*.bin")):
            if path not in self._tails and path.stat().st_size >= HEAD_BYTES:
                self._tails[path] = HistoryTail(path)

    def _fold(self, scenario: str) -> Fold:
        if scenario not in self._folds:
            self._folds[scenario] = Fold(scenario)
        return self._folds[scenario]
