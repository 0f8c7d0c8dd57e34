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
    Figures,
    Records,
    complete,
    dispatched_of,
    schedule_of,
    timed,
)
from gameday.history import RECORD, History, Outcome, Reason
from gameday.thresholds import METRICS, parse_key
from gameday.workload.schedule import MOST_STARTS

PERCENTILES: Final = (90.0, 95.0, 99.0)
_EXPECTED = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED)

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
    """Completed records of all scenarios, with the tag `scenario` as a column beside them."""

    records: Records
    scenarios: npt.NDArray[np.str_]
    length_s: float

    def where(self, kept: npt.NDArray[np.bool_]) -> "_Traffic":
        return _Traffic(self.records[kept], self.scenarios[kept], self.length_s)


def _gather(histories: Sequence[History]) -> _Traffic:
    parts, began, ended = [], [], []
    names = np.array([history.scenario for history in histories], dtype=str)
    for history in histories:
        records = complete(history)
        parts.append(records)
        began.append(int(history.header["t0_ns"]))
        ended.append(max(int(records[at].max(initial=0)) for at in ("ended_ns", "intended_ns")))
    length_s = max((max(ended) - min(began)) / 1e9, 0.0) if ended else 0.0
    whole = np.concatenate([np.zeros(0, dtype=RECORD), *parts])
    return _Traffic(whole, np.repeat(names, [len(part) for part in parts]), length_s)


def _apart(records: Records, windows: Sequence[Window]) -> npt.NDArray[np.bool_]:
    """Refusals a playbook step asked for: answered so, within one of its windows."""
    inside = np.zeros(len(records), dtype=bool)
    for begin_ns, end_ns in windows:
        inside |= (records["ended_ns"] >= begin_ns) & (records["sent_ns"] < end_ns)
    refused = (records["outcome"] == Outcome.REFUSED) & (records["status"] > 0)
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
    records = traffic.records
    outcome, reason = records["outcome"], records["reason"]
    dropped = int((outcome == Outcome.DROPPED).sum())
    interrupted = int((reason == Reason.INTERRUPTED).sum())
    completed = int(np.isin(outcome, _EXPECTED).sum())
    failures = np.isin(outcome, (Outcome.REFUSED, Outcome.UNKNOWN))
    failed = int((failures & (reason != Reason.INTERRUPTED)).sum())
    dispatched = sum(dispatched_of(history) for history in histories)
    never = _never_started(histories, planned)
    found = TrafficSummary(
        scheduled=_scheduled(histories, planned),
        started=dispatched - dropped,
        dropped=dropped,
        never_started=never,
        completed=completed,
        failed=failed,
        interrupted=interrupted,
        refused_apart=int(_apart(records, apart).sum()),
        outcomes={o.text: int((outcome == o).sum()) for o in Outcome},
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
    records = traffic.records
    kept = np.ones(len(records), dtype=bool)
    for tag, value in asked.tags.items():
        kept &= _tagged(traffic, tag, value)
    if not kept.any() and asked.kind == "counter" and _could_happen(traffic, asked.tags):
        return {"count": 0, "rate": 0.0}
    return _metric(asked.metric, traffic.where(kept), percentiles, apart)


def _could_happen(traffic: _Traffic, tags: Mapping[str, str]) -> bool:
    """Whether the tags' values exist at all, so that none counted means none happened."""
    known = {
        "scenario": set(traffic.scenarios.tolist()),
        "outcome": {outcome.text for outcome in Outcome},
        "reason": {reason.text for reason in Reason},
        "status": {str(status) for status in range(100, 600)},
    }
    return len(traffic.records) > 0 and all(value in known[tag] for tag, value in tags.items())


def _tagged(traffic: _Traffic, tag: str, value: str) -> npt.NDArray[np.bool_]:
    if tag == "scenario":
        matches: npt.NDArray[np.bool_] = traffic.scenarios == value
    elif tag == "outcome":
        matches = np.isin(traffic.records["outcome"], [o for o in Outcome if o.text == value])
    elif tag == "reason":
        matches = np.isin(traffic.records["reason"], [r for r in Reason if r.text == value])
    else:
        matches = traffic.records["status"].astype(str) == value
    return matches


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
    records = traffic.records
    requests = records[records["outcome"] != Outcome.DROPPED]
    kind = METRICS[name]
    if not len(records):
        return None
    if kind == "trend":
        return _trend(_samples(name, records[timed(records)]), percentiles)
    if kind == "counter":
        total = _total(name, records, requests)
        return {"count": total, "rate": total / traffic.length_s if traffic.length_s else 0.0}
    if kind == "gauge":
        most = _most_open(requests)
        return {"value": most if name == "vus_max" else 0, "min": 0, "max": most}
    return _failed(records, apart)


def _samples(name: str, over: Records) -> Figures:
    """The samples of a trend, in nanoseconds."""
    sent = over[over["sent_ns"] > 0]
    answered = sent[sent["first_byte_ns"] > 0]
    if name == "http_req_duration_intended":
        found = over["ended_ns"] - over["intended_ns"]
    elif name == "http_req_duration":
        found = sent["ended_ns"] - sent["sent_ns"]
    elif name == "http_req_waiting":
        came = np.where(sent["first_byte_ns"] > 0, sent["first_byte_ns"], sent["ended_ns"])
        found = came - sent["sent_ns"]
    else:
        found = answered["ended_ns"] - answered["first_byte_ns"]
    return np.asarray(found)


def _trend(samples_ns: Figures, percentiles: Sequence[float]) -> Mapping[str, float] | None:
    if not len(samples_ns):
        return None
    took_ms = np.sort(samples_ns / 1e6)
    found = {
        "avg": float(took_ms.mean()),
        "min": float(took_ms[0]),
        "med": float(np.percentile(took_ms, 50)),
        "max": float(took_ms[-1]),
    }
    for percentile in percentiles:
        found[f"p({percentile:g})"] = float(np.percentile(took_ms, percentile))
    return found


def _total(name: str, records: Records, requests: Records) -> int:
    if name == "http_reqs":
        return len(requests)
    if name == "iterations":
        return int((requests["reason"] != Reason.INTERRUPTED).sum())
    if name == "dropped_iterations":
        return len(records) - len(requests)
    column = "bytes_sent" if name == "data_sent" else "bytes_received"
    return int(requests[column].astype(np.int64).sum())


def _most_open(requests: Records) -> int:
    """The largest number of requests open at once."""
    sent = requests[requests["sent_ns"] > 0]
    ended = sent["ended_ns"][sent["ended_ns"] > 0]
    if not len(sent):
        return 0
    instants = np.concatenate([sent["sent_ns"], ended])
    steps = np.concatenate([np.ones(len(sent), np.int64), -np.ones(len(ended), np.int64)])
    order = np.lexsort((steps, instants))
    return int(np.cumsum(steps[order]).max())


def _failed(records: Records, apart: Sequence[Window]) -> Mapping[str, float] | None:
    """k6's rate: `passes` are the failures. What the system was too full to take failed too."""
    full = (records["outcome"] == Outcome.DROPPED) & (records["reason"] == Reason.SYSTEM_SATURATED)
    counted = ((records["outcome"] != Outcome.DROPPED) | full) & ~_apart(records, apart)
    total = int(counted.sum())
    if not total:
        return None
    bad = np.isin(records["outcome"], (Outcome.REFUSED, Outcome.UNKNOWN)) | full
    failures = int((bad & counted).sum())
    return {"rate": failures / total, "passes": failures, "fails": total - failures}
