"""The traffic of a finished run in k6's figures, and the balance of its books.

Two identities hold or there is no summary: scheduled = started + dropped + never started, and
started = completed + failed + interrupted. `http_req_duration` counts from the send, as k6's
does; `http_req_duration_intended` from the intended time. Times are milliseconds, percentiles
interpolate linearly between samples (type 7), a metric without samples is absent. In a scenario
of virtual users (the closed model, `closed`) the two times are one: nothing was due before it was
sent, so a stall hides the requests that were not made meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gameday.traffic.history import History, Outcome, Reason
from gameday.traffic.metrics.accounting import AccountingError, dispatched_of
from gameday.traffic.metrics.generator import GeneratorStatus
from gameday.traffic.metrics.k6_metrics import EXPECTED, About, StartSelection, all_metrics, metric
from gameday.traffic.metrics.percentiles import PERCENTILES
from gameday.traffic.metrics.records import Told, gather
from gameday.traffic.schedule.scenario import MOST_STARTS
from gameday.traffic.thresholds import (
    ThresholdExpression,
    ThresholdOutcome,
    at_least,
    evaluate,
    parse_key,
)

_NOTHING: Final = About()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSummary:
    """The counts of all starts by outcome; `metrics` are k6's names with k6's statistics."""

    scheduled: int
    started: int
    dropped: int
    never_started: int
    completed: int
    failed: int
    interrupted: int
    closed: tuple[str, ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def summary(
    histories: Told, planned: Mapping[str, int], *, about: About = _NOTHING
) -> TrafficSummary:
    """The whole traffic. `planned` holds the scheduled starts of each scenario by name.

    A scenario of the histories that `planned` does not know (a spike) counts by its own schedule.
    Raises AccountingError when the books do not balance.
    """
    starts = gather(histories)
    part = StartSelection(starts, None, about)
    outcome, reason = starts["outcome"], starts["reason"]
    by_outcome = np.bincount(outcome, minlength=len(Outcome))
    interrupted = int((reason == Reason.INTERRUPTED).sum())
    dropped = int(by_outcome[Outcome.DROPPED])
    found = TrafficSummary(
        scheduled=_scheduled(starts.histories, planned),
        started=sum(dispatched_of(history) for history in starts.histories) - dropped,
        dropped=dropped,
        never_started=_never_started(starts.histories, planned),
        completed=int(sum(by_outcome[o] for o in EXPECTED)),
        failed=int(by_outcome[Outcome.REFUSED] + by_outcome[Outcome.UNKNOWN]) - interrupted,
        interrupted=interrupted,
        closed=starts.closed,
        outcomes={o.text: int(by_outcome[o]) for o in Outcome},
        metrics=all_metrics(part, PERCENTILES),
    )
    _balance(found)
    return found


def _by_scenario(histories: Iterable[History]) -> dict[str, list[History]]:
    found: dict[str, list[History]] = {}
    for history in histories:
        found.setdefault(history.scenario, []).append(history)
    return found


def _count(parts: Sequence[History], planned: int | None) -> int:
    """The starts of one scenario; what was dispatched, where it lasts until it is switched off."""
    if planned is not None:
        return planned
    count = parts[0].header.spec.count
    return count if count < MOST_STARTS else sum(dispatched_of(part) for part in parts)


def _scheduled(histories: Sequence[History], planned: Mapping[str, int]) -> int:
    groups = _by_scenario(histories)
    known = sum(_count(parts, planned.get(name)) for name, parts in groups.items())
    return known + sum(count for name, count in planned.items() if name not in groups)


def _never_started(histories: Sequence[History], planned: Mapping[str, int]) -> int:
    """Counted by name, scenario by scenario, so that none hides behind another."""
    groups = _by_scenario(histories)
    total = sum(count for name, count in planned.items() if name not in groups)
    for name, parts in groups.items():
        left = _count(parts, planned.get(name)) - sum(dispatched_of(part) for part in parts)
        if left < 0:
            raise AccountingError(
                f"scenario {name!r} started {-left} more requests than were scheduled"
            )
        total += left
    return total


def _balance(found: TrafficSummary) -> None:
    started = found.completed + found.failed + found.interrupted
    scheduled = found.started + found.dropped + found.never_started
    if found.started != started or found.scheduled != scheduled:
        raise AccountingError(
            f"the books do not balance: scheduled {found.scheduled}, started + dropped + never "
            f"started {scheduled}; started {found.started}, completed + failed + interrupted "
            f"{started}"
        )


def measure(
    histories: Told,
    key: str,
    *,
    percentiles: Sequence[float] = PERCENTILES,
    about: About = _NOTHING,
) -> Mapping[str, float] | None:
    """The figures of `metric` or `metric{tag:value}`; None when it has no sample.

    A counter of something that did not happen is 0 as long as there was traffic in which it could
    have. Raises UsageError for a key nobody knows.
    """
    asked, part = parse_key(key), StartSelection(gather(histories), None, about)
    return metric(asked, part.tagged(asked.tags), percentiles)


def threshold_outcome(
    histories: Told,
    key: str,
    threshold: ThresholdExpression,
    *,
    status: GeneratorStatus,
    percentiles: Sequence[float] = (),
    about: About = _NOTHING,
) -> ThresholdOutcome:
    """A threshold held against its metric, of which `percentiles` are measured too.

    A time closer to its bound than a degraded generator lagged says nothing of either side.
    """
    asked = () if threshold.percentile is None else (threshold.percentile,)
    figures = measure(histories, key, percentiles=tuple({*percentiles, *asked}), about=about)
    kept = evaluate(threshold, figures)
    if kept is None or figures is None:
        return ThresholdOutcome(key, threshold, None, figures, "no_sample")
    if at_least(threshold.statistic, figures):
        return ThresholdOutcome(key, threshold, kept, figures, "at_least")
    lag_ms = status.lag_p99_ms if status.status == "degraded" else 0.0
    margin = abs(figures[threshold.statistic] - threshold.bound)
    if parse_key(key).kind == "trend" and margin < lag_ms:
        return ThresholdOutcome(key, threshold, None, figures, "close", lag_ms)
    return ThresholdOutcome(key, threshold, kept, figures)
