"""The live metrics: `k6_*` counters and histograms, folded from a history that still grows.

`k6_http_req_duration_seconds` counts from the intended time, so a stall of the system shows in
every request that had to wait for it. `k6_http_req_service_seconds` counts from the send, as k6's
own figure does. Every series is there from the start, at 0: a rate over a series that appears
with its first increment would miss that increment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.core.clock import NS
from gameday.traffic.history import (
    HEAD_BYTES,
    RECORD,
    HistoryTail,
    Outcome,
    Reason,
    unreached,
)
from gameday.traffic.metrics.accounting import Records
from gameday.traffic.metrics.percentiles import is_timed
from gameday.traffic.metrics.running import RunningTotals

# fmt: off
BUCKETS_S: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1,
    0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0,
)
# fmt: on
DROP_REASONS: Final = (
    Reason.SYSTEM_SATURATED,
    Reason.NO_FILES,
    Reason.NO_PORTS,
    Reason.LATE,
    Reason.NO_VUS,
)
_EDGES_NS: Final = np.array([round(edge * 1e9) for edge in BUCKETS_S], dtype=np.int64)
_LES: Final = (*(f"{edge:g}" for edge in BUCKETS_S), "+Inf")

_RECENT_NS: Final = 5 * NS  # as long as the windows of the shipped objectives

Series = tuple[dict[str, str], float]


_NULL: Final = {"null": True}  # written although there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The traffic at one instant, for a screen: counts so far, and figures of the last seconds.

    `p95_ms` counts from when a request was due, `service_p95_ms` from when it was sent.
    """

    rate_per_s: float = 0.0
    p95_ms: float | None = field(default=None, metadata=_NULL)
    service_p95_ms: float | None = field(default=None, metadata=_NULL)
    by_outcome: Mapping[str, int] = field(default_factory=dict)
    open: int = 0
    dropped: int = 0


class Histogram:
    """A classic histogram: counts per bucket, a sum, never forgetting."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = np.zeros(len(_LES), dtype=np.int64)
        self._sum_s = 0.0

    def add(self, took_ns: npt.NDArray[np.int64]) -> None:
        # A value on an edge belongs below it: le is "less or equal".
        at = np.searchsorted(_EDGES_NS, took_ns, side="left")
        self._counts += np.bincount(at, minlength=len(_LES))
        self._sum_s += float(took_ns.sum()) / 1e9

    def series(self, scenario: str) -> Iterable[Series]:
        cumulative = np.cumsum(self._counts)
        for le, count in zip(_LES, cumulative, strict=True):
            yield self._labels("bucket", scenario) | {"le": le}, float(count)
        yield self._labels("sum", scenario), self._sum_s
        yield self._labels("count", scenario), float(cumulative[-1])

    def _labels(self, suffix: str, scenario: str) -> dict[str, str]:
        return {"__name__": f"{self._name}_{suffix}", "scenario": scenario}


class Fold:
    """One scenario, folded as its history grows; several workers' histories go into one fold."""

    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        self.now_ns = 0
        self._outcomes = np.zeros(len(Outcome), dtype=np.int64)
        self._unreached = 0
        self._drops = np.zeros(len(Reason), dtype=np.int64)
        self._dispatched: dict[int, int] = {}
        self._most_open = 0
        self._intended = Histogram("k6_http_req_duration_seconds")
        self._service = Histogram("k6_http_req_service_seconds")

    def add(
        self, records: Records, dispatched: int, now_ns: int, *, worker: int = 0, workers: int = 1
    ) -> None:
        """Add new records of one worker's history, and how far it had got when they were read."""
        self.now_ns = max(self.now_ns, now_ns)
        self._dispatched[worker] = len(range(worker, dispatched, workers))
        self._outcomes += np.bincount(records["outcome"], minlength=len(Outcome))
        nobody = unreached(records["outcome"], records["reason"])
        self._unreached += int(np.count_nonzero(nobody))
        dropped = records["reason"][records["outcome"] == Outcome.DROPPED]
        self._drops += np.bincount(dropped, minlength=len(Reason))
        over = is_timed(records)
        sent = over & (records["sent_ns"] > 0)
        self._intended.add((records["ended_ns"] - records["intended_ns"])[over])
        self._service.add((records["ended_ns"] - records["sent_ns"])[sent])
        self._most_open = max(self._most_open, self.open)

    @property
    def open(self) -> int:
        """Requests sent and not over."""
        return max(0, sum(self._dispatched.values()) - int(self._outcomes.sum()))

    @property
    def dropped(self) -> int:
        return int(self._outcomes[Outcome.DROPPED])

    def by_outcome(self) -> dict[str, int]:
        """Requests that are over, by outcome; dropped starts are not requests."""
        return {
            outcome.text: int(self._outcomes[outcome])
            for outcome in Outcome
            if outcome is not Outcome.DROPPED
        }

    def series(self) -> list[Series]:
        """Every series of the scenario, with its value now."""
        own = {"scenario": self.scenario}
        found: list[Series] = [
            ({"__name__": "k6_http_reqs_total", **own, "outcome": outcome}, float(count))
            for outcome, count in self.by_outcome().items()
        ]
        found.append(({"__name__": "k6_http_reqs_unreached_total", **own}, float(self._unreached)))
        found += [
            (
                {"__name__": "k6_dropped_iterations_total", **own, "reason": reason.text},
                float(self._drops[reason]),
            )
            for reason in DROP_REASONS
        ]
        found += self._intended.series(self.scenario)
        found += self._service.series(self.scenario)
        found.append(({"__name__": "k6_vus", **own}, float(self.open)))
        found.append(({"__name__": "k6_vus_max", **own}, float(self._most_open)))
        return found


class LiveTraffic:
    """The histories of a folder, followed while they grow: a fold a scenario, and running totals.

    A request that is still open is no sample of anything yet, as in k6. What is kept does not grow
    with the traffic.

    A worker creates its history when it starts, and a spike's scenario may start in the middle of a
    run, so the folder is looked through each time. `scenarios` have a fold from the first time on.
    """

    def __init__(self, folder: Path, totals: RunningTotals, scenarios: Iterable[str] = ()) -> None:
        self.folds = {name: Fold(name) for name in scenarios}
        self._folder = folder
        self._totals = totals
        self._tails: dict[Path, HistoryTail] = {}
        self._now_ns = 0
        self._recent: Records = np.zeros(0, dtype=RECORD)

    def read(self, now_ns: int) -> None:
        """Take in what was written since the last call."""
        for path in sorted(self._folder.glob("*.bin")):
            if path not in self._tails and path.stat().st_size >= HEAD_BYTES:
                self._tails[path] = HistoryTail(path)
        new = [self._take(tail, now_ns) for tail in self._tails.values()]
        recent = np.concatenate([self._recent, *new])
        self._recent = recent[recent["ended_ns"] >= now_ns - _RECENT_NS]
        self._now_ns = now_ns

    def _take(self, tail: HistoryTail, now_ns: int) -> Records:
        records, dispatched = tail.read_new()
        head = tail.header
        fold = self.folds.setdefault(head.scenario, Fold(head.scenario))
        fold.add(records, dispatched, now_ns, worker=head.worker, workers=head.workers)
        self._totals.add(head, records, dispatched)
        return records

    def moment(self) -> Moment:
        """Figures of the traffic when it was read last."""
        counts = [fold.by_outcome() for fold in self.folds.values()]
        asked = self._recent[self._recent["outcome"] != Outcome.DROPPED]
        over = asked[is_timed(asked)]
        sent = over[over["sent_ns"] > 0]
        began_ns = min((tail.header.t0_ns for tail in self._tails.values()), default=0)
        since_ns = max(min(_RECENT_NS, self._now_ns - began_ns), NS // 10)
        return Moment(
            rate_per_s=len(asked) * NS / since_ns,
            p95_ms=_p95_ms(over["ended_ns"] - over["intended_ns"]),
            service_p95_ms=_p95_ms(sent["ended_ns"] - sent["sent_ns"]),
            by_outcome={name: sum(c[name] for c in counts) for name in next(iter(counts), ())},
            open=sum(fold.open for fold in self.folds.values()),
            dropped=sum(fold.dropped for fold in self.folds.values()),
        )

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()


def _p95_ms(took_ns: npt.NDArray[np.int64]) -> float | None:
    return float(np.percentile(took_ns, 95)) / 1e6 if len(took_ns) else None
