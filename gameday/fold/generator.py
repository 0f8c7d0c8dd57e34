"""Did the worker keep its schedule? If it did not, the run says nothing about the system's speed.

*limited*: in some window of 5 seconds less than 95 % of the due starts were sent, or the dispatch
lag (sent − intended) had a 95th percentile above a quarter of the tightest latency bound that is
to be judged. *kept*: 99 % in every window, and the lag's 99th percentile below that. *degraded*:
between. A start dropped because the system holds too many unanswered requests is the system's
doing, and so is a connection it refused: neither limits the generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gameday.fold.books import Columns, Figures, Records, columns, complete, schedule_of
from gameday.history import RECORD, History, Outcome, Reason

WINDOW_S: Final = 5
STEP_S: Final = 1
LIMITED_BELOW: Final = 0.95
KEPT_FROM: Final = 0.99
DEFAULT_LAG_MS: Final = 50.0
# Below this many starts a window's 95th percentile is its slowest start.
FEWEST: Final = 20
_FIELDS: Final = ("outcome", "reason", "intended_ns", "sent_ns")
_OURS: Final = (Reason.NO_FILES, Reason.NO_PORTS, Reason.LATE, Reason.NO_VUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorStatus:
    """`speaks_up_to_per_s` is the highest rate that was really offered over 5 seconds."""

    status: Literal["kept", "degraded", "limited"]
    reasons: tuple[str, ...]
    speaks_up_to_per_s: float
    lag_p95_ms: float
    lag_p99_ms: float


@dataclass(frozen=True, slots=True)
class _Window:
    begin_s: float
    due: int
    sent: int
    lag_p95_ms: float

    @property
    def share(self) -> float:
        return self.sent / self.due


def generator(
    histories: Sequence[History],
    bound_ms: float | None = None,
    *,
    until_ns: int | None = None,
) -> GeneratorStatus:
    """The generator's status over all scenarios. `bound_ms` is the tightest latency bound.

    Without one the lag may be 50 ms. With `until_ns` (the end of the traffic), starts due before
    it that no worker dispatched count as not sent, but for scenarios that are switched off.
    """
    allowed_ms = DEFAULT_LAG_MS if bound_ms is None else bound_ms / 4
    starts = columns([part for h in histories for part in _due(h, until_ns)], _FIELDS)
    records = starts.where(np.argsort(starts["intended_ns"], kind="stable"))
    t0_ns = min((int(history.header["t0_ns"]) for history in histories), default=0)
    windows = _windows(records, t0_ns)
    lag_ms = _lag_ms(records)
    p95, p99 = (float(np.percentile(lag_ms, p)) if len(lag_ms) else 0.0 for p in (95, 99))
    reasons = _limits(windows, allowed_ms, p95)
    if reasons:
        reasons += _drops(records)
    status: Literal["kept", "degraded", "limited"] = "limited" if reasons else "kept"
    if not reasons:
        reasons = _slips(windows, allowed_ms, p99)
        status = "degraded" if reasons else "kept"
    return GeneratorStatus(
        status=status,
        reasons=tuple(reasons),
        speaks_up_to_per_s=_highest(windows, records),
        lag_p95_ms=p95,
        lag_p99_ms=p99,
    )


def _due(history: History, until_ns: int | None) -> list[Records]:
    """All starts that were due, those never dispatched as dropped for being late."""
    records = complete(history)
    if until_ns is None or "start_ns" in history.header["spec"]:
        return [records]
    header, times = history.header, schedule_of(history)
    first = len(range(header.get("worker", 0), history.dispatched, header.get("workers", 1)))
    step = header.get("workers", 1)
    ks = np.arange(header.get("worker", 0) + first * step, times.count, step, dtype=np.int64)
    due_ns = times.due_ns(ks) + header["t0_ns"]
    due_ns = due_ns[due_ns < until_ns]
    never = np.zeros(len(due_ns), dtype=RECORD)
    never["intended_ns"] = due_ns
    never["outcome"] = Outcome.DROPPED
    never["reason"] = Reason.LATE
    return [records, never]


def _unsent(records: Columns) -> npt.NDArray[np.bool_]:
    """Starts that we failed to send."""
    ours: npt.NDArray[np.bool_] = (records["outcome"] == Outcome.DROPPED) & np.isin(
        records["reason"], _OURS
    )
    return ours


def _lag_ms(records: Columns) -> Figures:
    sent = records["sent_ns"] > 0
    return np.asarray((records["sent_ns"] - records["intended_ns"])[sent] / 1e6)


def _windows(records: Columns, t0_ns: int) -> list[_Window]:
    """Windows of 5 s, one beginning each second, over records sorted by intended time."""
    if not len(records):
        return []
    seconds = (records["intended_ns"] - t0_ns) / 1e9
    last = max(0, int(np.ceil(seconds[-1])) - WINDOW_S)
    found = []
    for begin in range(0, last + STEP_S, STEP_S):
        first, end = np.searchsorted(seconds, (begin, begin + WINDOW_S))
        part = records.where(slice(int(first), int(end)))
        if len(part):
            lag_ms = _lag_ms(part)
            p95 = float(np.percentile(lag_ms, 95)) if len(lag_ms) >= FEWEST else 0.0
            sent = len(part) - int(_unsent(part).sum())
            found.append(_Window(begin, len(part), sent, p95))
    return found


def _limits(windows: Sequence[_Window], allowed_ms: float, p95: float) -> list[str]:
    reasons = []
    fewest = min(windows, key=lambda window: window.share, default=None)
    if fewest is not None and fewest.share < LIMITED_BELOW:
        reasons.append(
            f"{fewest.share:.1%} of the starts due from {fewest.begin_s:g} s to "
            f"{fewest.begin_s + WINDOW_S:g} s were sent"
        )
    latest = max(windows, key=lambda window: window.lag_p95_ms, default=None)
    if latest is not None and latest.lag_p95_ms > allowed_ms:
        reasons.append(
            f"dispatch lag p95 from {latest.begin_s:g} s to {latest.begin_s + WINDOW_S:g} s was "
            f"{latest.lag_p95_ms:.1f} ms, of {allowed_ms:g} ms allowed"
        )
    elif p95 > allowed_ms:
        reasons.append(f"dispatch lag p95 was {p95:.1f} ms, of {allowed_ms:g} ms allowed")
    return reasons


def _slips(windows: Sequence[_Window], allowed_ms: float, p99: float) -> list[str]:
    reasons = []
    share = min((window.share for window in windows), default=1.0)
    if share < KEPT_FROM:
        reasons.append(f"in some 5 s {share:.1%} of the due starts were sent")
    if p99 >= allowed_ms:
        reasons.append(f"dispatch lag p99 was {p99:.1f} ms, of {allowed_ms:g} ms allowed")
    return reasons


def _drops(records: Columns) -> list[str]:
    counts = np.bincount(records["reason"][_unsent(records)], minlength=len(Reason))
    return [f"{counts[reason]} starts: {reason.text}" for reason in _OURS if counts[reason]]


def _highest(windows: Sequence[_Window], records: Columns) -> float:
    """The highest rate sent over a whole window, or over all there was when it was shorter."""
    if not windows:
        return 0.0
    span_s = (int(records["intended_ns"][-1]) - int(records["intended_ns"][0])) / 1e9
    length_s = min(float(WINDOW_S), max(span_s, 1.0))
    return max(window.sent for window in windows) / length_s
