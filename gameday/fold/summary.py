"""The traffic of a finished run in k6's figures, and the balance of its books.

Two identities hold or there is no summary: scheduled = started + dropped + never started, and
started = completed + failed + interrupted. `http_req_duration` counts from the send, as k6's
does; `http_req_duration_intended` from the intended time. Times are milliseconds, percentiles
interpolate linearly between samples (type 7), a metric without samples is absent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.fold.books import (
    BooksError,
    Columns,
    Figures,
    columns,
    complete,
    dispatched_of,
    schedule_of,
)
from gameday.history import History, Outcome, Reason
from gameday.thresholds import METRICS, parse_key
from gameday.workload.schedule import MOST_STARTS

PERCENTILES: Final = (90.0, 95.0, 99.0)
_EXPECTED = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED)

_FIELDS = (
    "status",
    "outcome",
    "reason",
    "intended_ns",
    "sent_ns",
    "first_byte_ns",
    "ended_ns",
    "bytes_sent",
    "bytes_received",
)

Window = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSummary:
    """What became of all starts; `metrics` are k6's names with k6's statistics."""

    scheduled: int
    started: int
    dropped: int
    never_started: int
    completed: int
    failed: int
    interrupted: int
    refused_apart: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Traffic:
    """The completed records of all scenarios; column `scenario` counts into `names`."""

    rows: Columns
    names: Sequence[str]
    length_s: float


def _gather(histories: Sequence[History]) -> _Traffic:
    parts = [complete(history) for history in histories]
    rows = columns(parts, _FIELDS)
    names = sorted({history.scenario for history in histories})
    codes = [names.index(history.scenario) for history in histories]
    scenario = np.repeat(np.array(codes, dtype=np.int64), [len(part) for part in parts])
    last = max(int(rows[at].max(initial=0)) for at in ("ended_ns", "intended_ns"))
    t0_ns = min((int(history.header["t0_ns"]) for history in histories), default=0)
    length_s = max(last - t0_ns, 0) / 1e9
    return _Traffic(Columns({**rows.by_name, "scenario": scenario}), names, length_s)


def _apart(rows: Columns, windows: Sequence[Window]) -> npt.NDArray[np.bool_]:
    """Refusals a playbook step asked for: answered so, within one of its windows."""
    inside = np.zeros(len(rows), dtype=bool)
    for begin_ns, end_ns in windows:
        inside |= (rows["ended_ns"] >= begin_ns) & (rows["sent_ns"] < end_ns)
    refused = (rows["outcome"] == Outcome.REFUSED) & (rows["status"] > 0)
    kept: npt.NDArray[np.bool_] = inside & refused
    return kept


def summary(
    histories: Sequence[History],
    planned: Mapping[str, int],
    *,
    apart: Sequence[Window] = (),
) -> TrafficSummary:
    """The whole traffic. `planned` holds the scheduled starts of each scenario by name.

    A scenario of the histories that `planned` does not know (a spike) counts by its own schedule.
    Refusals within the windows `apart` (from and to, ns) are not failures: a step asked for them.
    Raises BooksError when the books do not balance.
    """
    traffic = _gather(histories)
    outcome, reason = traffic.rows["outcome"], traffic.rows["reason"]
    dropped = int((outcome == Outcome.DROPPED).sum())
    interrupted = int((reason == Reason.INTERRUPTED).sum())
    by_outcome = np.bincount(outcome, minlength=len(Outcome))
    failed = int(((outcome == Outcome.REFUSED) | (outcome == Outcome.UNKNOWN)).sum())
    dispatched = sum(dispatched_of(history) for history in histories)
    never = _never_started(histories, planned)
    found = TrafficSummary(
        scheduled=_scheduled(histories, planned),
        started=dispatched - dropped,
        dropped=dropped,
        never_started=never,
        completed=int(sum(by_outcome[o] for o in _EXPECTED)),
        failed=failed - interrupted,
        interrupted=interrupted,
        refused_apart=int(_apart(traffic.rows, apart).sum()),
        outcomes={o.text: int(by_outcome[o]) for o in Outcome},
        metrics=_metrics(traffic, apart),
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
    count = schedule_of(parts[0]).count
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
            raise BooksError(f"scenario {name!r} started {-left} more requests than were scheduled")
        total += left
    return total


def _balance(found: TrafficSummary) -> None:
    started = found.completed + found.failed + found.interrupted
    scheduled = found.started + found.dropped + found.never_started
    if found.started != started or found.scheduled != scheduled:
        raise BooksError(
            f"the books do not balance: scheduled {found.scheduled}, started + dropped + never "
            f"started {scheduled}; started {found.started}, completed + failed + interrupted "
            f"{started}"
        )


def measure(
    histories: Sequence[History],
    key: str,
    *,
    percentiles: Sequence[float] = PERCENTILES,
    apart: Sequence[Window] = (),
) -> Mapping[str, float] | None:
    """The figures of `metric` or `metric{tag:value}`; None when it has no sample.

    Tags are scenario, outcome, reason and status. A counter of something that did not happen is 0
    as long as there was traffic in which it could have. Raises UsageError for a key nobody knows.
    """
    asked = parse_key(key)
    traffic = _gather(histories)
    kept = np.ones(len(traffic.rows), dtype=bool)
    for tag, value in asked.tags.items():
        kept &= _tagged(traffic, tag, value)
    if not kept.any() and asked.kind == "counter" and _could_happen(traffic, asked.tags):
        return {"count": 0, "rate": 0.0}
    part = _Traffic(traffic.rows.where(kept), traffic.names, traffic.length_s)
    return _metric(asked.metric, part, percentiles, apart)


def _could_happen(traffic: _Traffic, tags: Mapping[str, str]) -> bool:
    """Whether the tags' values exist at all, so that none counted means none happened."""
    known = {
        "scenario": set(traffic.names),
        "outcome": {outcome.text for outcome in Outcome},
        "reason": {reason.text for reason in Reason},
        "status": {str(status) for status in range(100, 600)},
    }
    return len(traffic.rows) > 0 and all(value in known[tag] for tag, value in tags.items())


def _tagged(traffic: _Traffic, tag: str, value: str) -> npt.NDArray[np.bool_]:
    rows = traffic.rows
    codes = {
        "scenario": {name: code for code, name in enumerate(traffic.names)},
        "outcome": {outcome.text: int(outcome) for outcome in Outcome},
        "reason": {reason.text: int(reason) for reason in Reason},
        "status": {str(status): status for status in range(1000)},
    }
    kept: npt.NDArray[np.bool_] = rows[tag] == codes[tag].get(value, -1)
    return kept


def _metrics(traffic: _Traffic, apart: Sequence[Window]) -> dict[str, Mapping[str, float]]:
    found = {}
    for name in METRICS:
        figures = _metric(name, traffic, PERCENTILES, apart)
        if figures is not None:
            found[name] = figures
    return found


def _metric(
    name: str, traffic: _Traffic, percentiles: Sequence[float], apart: Sequence[Window]
) -> Mapping[str, float] | None:
    """One metric of the given part of the traffic."""
    rows = traffic.rows
    kind = METRICS[name]
    if not len(rows):
        return None
    if kind == "trend":
        return _trend(_samples(name, rows.over), percentiles)
    if kind == "counter":
        total = _total(name, rows)
        return {"count": total, "rate": total / traffic.length_s if traffic.length_s else 0.0}
    if kind == "gauge":
        most = _most_open(rows)
        return {"value": most if name == "vus_max" else 0, "min": 0, "max": most}
    return _failed(rows, apart)


def _samples(name: str, over: Columns) -> Figures:
    """The samples of a trend, in nanoseconds."""
    ended, sent, first = over["ended_ns"], over["sent_ns"], over["first_byte_ns"]
    if name == "http_req_duration_intended":
        return np.asarray(ended - over["intended_ns"])
    if name == "http_req_duration":
        return np.asarray((ended - sent)[sent > 0])
    if name == "http_req_waiting":
        return np.asarray((np.where(first > 0, first, ended) - sent)[sent > 0])
    return np.asarray((ended - first)[first > 0])


def _trend(samples_ns: Figures, percentiles: Sequence[float]) -> Mapping[str, float] | None:
    if not len(samples_ns):
        return None
    took_ms = samples_ns / 1e6
    figures = np.percentile(took_ms, [50, *percentiles])
    found = {
        "avg": float(took_ms.mean()),
        "min": float(took_ms.min()),
        "med": float(figures[0]),
        "max": float(took_ms.max()),
    }
    for percentile, figure in zip(percentiles, figures[1:], strict=True):
        found[f"p({percentile:g})"] = float(figure)
    return found


def _total(name: str, rows: Columns) -> int:
    requests = rows.requests
    if name == "http_reqs":
        return len(requests)
    if name == "iterations":
        return int((requests["reason"] != Reason.INTERRUPTED).sum())
    if name == "dropped_iterations":
        return len(rows) - len(requests)
    column = "bytes_sent" if name == "data_sent" else "bytes_received"
    return int(requests[column].sum(dtype=np.int64))


def _most_open(rows: Columns) -> int:
    """The largest number of requests open at once: after each send, sent so far less ended."""
    sent, ended = rows["sent_ns"], rows["ended_ns"]
    sends = np.sort(sent[sent > 0], kind="stable")
    ends = np.sort(ended[(sent > 0) & (ended > 0)], kind="stable")
    open_then = np.arange(1, len(sends) + 1) - np.searchsorted(ends, sends, side="right")
    return int(open_then.max(initial=0))


def _failed(rows: Columns, apart: Sequence[Window]) -> Mapping[str, float] | None:
    """k6's rate: `passes` are the failures. What the system was too full to take failed too."""
    outcome = rows["outcome"]
    dropped = outcome == Outcome.DROPPED
    full = dropped & (rows["reason"] == Reason.SYSTEM_SATURATED)
    counted = (~dropped | full) & ~_apart(rows, apart)
    total = int(counted.sum())
    if not total:
        return None
    bad = (outcome == Outcome.REFUSED) | (outcome == Outcome.UNKNOWN) | full
    failures = int((bad & counted).sum())
    return {"rate": failures / total, "passes": failures, "fails": total - failures}
