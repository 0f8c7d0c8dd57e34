"""Did the workers keep their schedule? If not, the run says nothing about the system's speed.

*limited*: in some window of 5 seconds less than 95 % of the due starts were sent, or the dispatch
lag (sent − intended) had a 95th percentile above a quarter of the tightest latency bound that is
to be judged, or a worker's event loop stood still for as long as makes 5 % of answers so late.
*kept*: 99 % in every window, and the lag's 99th percentile below that. *degraded*: between. A
start dropped because the system holds too many unanswered requests is the system's doing, and so
is a connection it refused: neither limits the generator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gameday.core.messages import Message
from gameday.traffic.history import RECORD, History, Outcome, Reason
from gameday.traffic.metrics.accounting import Columns, Figures, Records, columns, dispatched_of
from gameday.traffic.metrics.generator_causes import (
    FULL_CORE,
    TimeSpan,
    causes,
    core_share,
    stood_still_ms,
)
from gameday.traffic.metrics.percentiles import Exact, percentile_ms
from gameday.traffic.metrics.records import Starts, Told, gather
from gameday.traffic.metrics.vu_occupancy import Occupancy, occupancies
from gameday.traffic.vitals import Vitals

WINDOW_S: Final = 5  # a shorter one has too few starts for a p95, a longer one hides a stall
STEP_S: Final = 1  # windows overlap, so that a stall shows wherever it falls
FEWEST: Final = 20  # of fewer starts the 95th percentile is the slowest one
# How near the most that its virtual users can start a run must have come to be said to reach it.
REACHED: Final = 0.9
_FIELDS: Final = ("outcome", "reason", "intended_ns", "sent_ns", "scenario")
_OURS: Final = (Reason.NO_FILES, Reason.NO_PORTS, Reason.LATE, Reason.NO_VUS)

Mask = npt.NDArray[np.bool_]
Status = Literal["kept", "degraded", "limited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds of a kept schedule: settings, as shares of what was due, and its lateness.

    The lag may be `lag_share` of the tightest latency bound, `lag_ms` where there is none.
    """

    limited_below: float = 0.95
    kept_from: float = 0.99
    lag_ms: float = 50.0
    lag_share: float = 0.25

    def stood_ms(self, share: float) -> float:
        """The time an event loop may stand still in a window, `share` of which must be sent."""
        return (1 - share) * WINDOW_S * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorStatus:
    """`speaks_up_to_per_s` is the highest rate that was really offered over 5 seconds.

    Where virtual users were too few, it is what so many can start at most.
    """

    status: Status
    reasons: tuple[Message, ...]
    speaks_up_to_per_s: float
    lag_p95_ms: float
    lag_p99_ms: float
    occupancy: tuple[Occupancy, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """5 s of starts; `scenario` is "" for all together."""

    span: TimeSpan
    due: int
    sent: int
    lag_p95_ms: float = 0.0
    scenario: str = ""

    @property
    def share(self) -> float:
        return self.sent / self.due

    @property
    def shortage(self) -> Message:
        """The sentence on how few of its starts were sent."""
        starts = Message("generator.starts_of", scenario=repr(self.scenario))
        starts = starts if self.scenario else Message("generator.starts")
        return Message("generator.sent", share=self.share, starts=starts, span=self.span.message)


@dataclass(frozen=True, slots=True)
class _Lags:
    """The lag (ns) of each start that was sent; `before[row]` counts those, None where all were."""

    sent_ns: Figures
    before: Figures | None

    def of(self, first: int, end: int) -> Figures:
        """The lags (ns) of rows first..end-1."""
        if self.before is not None:
            first, end = int(self.before[first]), int(self.before[end])
        return self.sent_ns[first:end]


@dataclass(frozen=True, slots=True)
class _Sight:
    """All that is looked at: starts in the order they were due, and what the signs say."""

    rows: Columns
    names: Sequence[str]
    t0_ns: int
    allowed_ms: float
    unsent: Mask
    vitals: Vitals
    closed: bool
    lags: _Lags
    rule: Rule

    @property
    def end_s(self) -> float:
        last = max(int(self.rows[at].max(initial=0)) for at in ("intended_ns", "sent_ns"))
        return max(last - self.t0_ns, 0) / 1e9


def generator(
    told: Told,
    bound_ms: float | None = None,
    *,
    until_ns: int | None = None,
    vitals: Vitals | None = None,
    rule: Rule | None = None,
) -> GeneratorStatus:
    """The generator's status over all scenarios. `bound_ms` is the tightest latency bound.

    Without one the lag may be 50 ms. With `until_ns` (the end of the traffic), starts due before
    it that no worker dispatched count as not sent, but for scenarios that are switched off.
    """
    starts = gather(told)
    histories = starts.histories
    rule = rule or Rule()
    allowed_ms = rule.lag_ms if bound_ms is None else bound_ms * rule.lag_share
    busy = occupancies(histories, allowed_ms / rule.lag_share)
    held = {one.scenario for one in busy if one.no_vus and one.held_by_system}
    sight = _sight(starts, until_ns, allowed_ms=allowed_ms, rule=rule, vitals=vitals or Vitals())
    sight = replace(sight, unsent=sight.unsent & ~_held_by_system(sight, held))
    windows = _windows(sight)
    lags = Exact(sight.lags.of(0, len(sight.rows)))
    p95, p99 = (percentile_ms(lags, p) if lags.count else 0.0 for p in (95, 99))
    status: Status = "limited"
    reasons, spans = _limits(windows, sight, p95)
    if reasons:
        shown = [text for span in dict.fromkeys(spans) for text in causes(sight.vitals, span)]
        reasons += _drops(sight) + _vus(histories, busy, held) + list(dict.fromkeys(shown))
    else:
        reasons = _slips(windows, sight, p99) + [
            _held_reason(one) for one in busy if one.scenario in held
        ]
        status = "degraded" if reasons else "kept"
    return GeneratorStatus(
        status=status,
        reasons=tuple(reasons),
        speaks_up_to_per_s=_speaks_up_to(windows, sight, histories),
        lag_p95_ms=p95,
        lag_p99_ms=p99,
        occupancy=tuple(busy),
    )


def _sight(
    starts: Starts, until_ns: int | None, *, allowed_ms: float, rule: Rule, vitals: Vitals
) -> _Sight:
    histories = starts.histories
    rows = Columns({name: starts[name] for name in _FIELDS})
    never = [_never_dispatched(history, until_ns) for history in histories]
    if any(map(len, never)):
        codes = [starts.names.index(history.scenario) for history in histories]
        late = columns(never, _FIELDS[:-1]).by_name
        late = {**late, "scenario": np.repeat(codes, [len(part) for part in never])}
        rows = Columns({name: np.concatenate([rows[name], late[name]]) for name in _FIELDS})
        rows = rows.where(np.argsort(rows["intended_ns"], kind="stable"))
    closed = bool(starts.closed)
    return _Sight(
        rows=rows,
        names=starts.names,
        t0_ns=starts.t0_ns,
        allowed_ms=allowed_ms,
        unsent=_unsent(rows),
        vitals=vitals,
        closed=closed,
        lags=_lags(rows),
        rule=rule,
    )


def _never_dispatched(history: History, until_ns: int | None) -> Records:
    """The starts that were due by then and that no worker dispatched: dropped for being late."""
    header, scenario = history.header, history.header.spec
    if until_ns is None or not scenario.is_planned:
        return np.zeros(0, dtype=RECORD)
    first = header.worker + dispatched_of(history) * header.workers
    ks = np.arange(first, scenario.count, header.workers, dtype=np.int64)
    due_ns = scenario.due_ns(ks) + header.t0_ns
    due_ns = due_ns[due_ns < until_ns]
    never = np.zeros(len(due_ns), dtype=RECORD)
    never["intended_ns"] = due_ns
    never["outcome"] = Outcome.DROPPED
    never["reason"] = Reason.LATE
    return never


def _unsent(rows: Columns) -> Mask:
    ours: Mask = rows["outcome"] == Outcome.DROPPED
    if ours.any():
        ours &= np.isin(rows["reason"], _OURS)
    return ours


def _held_by_system(sight: _Sight, held: set[str]) -> Mask:
    """Starts that found no virtual user free because the system held them all."""
    codes = [sight.names.index(name) for name in held]
    mask: Mask = np.isin(sight.rows["scenario"], codes) & (sight.rows["reason"] == Reason.NO_VUS)
    return mask


def _lags(rows: Columns) -> _Lags:
    lag_ns, sent = rows["sent_ns"] - rows["intended_ns"], rows["sent_ns"] > 0
    if sent.all():
        return _Lags(lag_ns, None)
    before = np.concatenate([[0], np.cumsum(sent)])
    return _Lags(lag_ns[np.flatnonzero(sent)], before)


def _windows(sight: _Sight) -> list[_Window]:
    """Windows of 5 s, one beginning each second: of all starts, and of each scenario's."""
    rows = sight.rows
    if not len(rows):
        return []
    due_s = (rows["intended_ns"] - sight.t0_ns) / 1e9
    found = []
    for span, first, end, unsent in _cut(due_s, sight.unsent, due_s[-1]):
        lag_ns = sight.lags.of(first, end)
        p95 = percentile_ms(Exact(lag_ns), 95) if len(lag_ns) >= FEWEST else 0.0
        found.append(_Window(span, end - first, end - first - unsent, p95))
    for code, name in enumerate(sight.names if len(sight.names) > 1 else ()):
        mine = rows["scenario"] == code
        found += [
            _Window(span, end - first, end - first - unsent, scenario=name)
            for span, first, end, unsent in _cut(due_s[mine], sight.unsent[mine], due_s[-1])
            if end - first >= FEWEST
        ]
    return found


def _cut(due_s: Figures, unsent: Mask, last_s: float) -> Iterator[tuple[TimeSpan, int, int, int]]:
    """The windows in which a start is due: the rows from and to, and how many were not sent."""
    before = np.concatenate([[0], np.cumsum(unsent)])
    for begin in range(0, max(0, int(np.ceil(last_s)) - WINDOW_S) + STEP_S, STEP_S):
        span = TimeSpan(begin, begin + WINDOW_S)
        first, end = (int(at) for at in np.searchsorted(due_s, (span.begin_s, span.end_s)))
        if end > first:
            yield span, first, end, int(before[end] - before[first])


def _limits(
    windows: Sequence[_Window], sight: _Sight, p95: float
) -> tuple[list[Message], list[TimeSpan]]:
    """The limits that the generator hit, and the spans whose causes are to be named."""
    allowed_ms, reasons, spans = sight.allowed_ms, list[Message](), list[TimeSpan]()
    fewest = min(windows, key=lambda window: window.share, default=None)
    if fewest is not None and fewest.share < sight.rule.limited_below:
        reasons.append(fewest.shortage)
        if (sight.rows["reason"][sight.unsent] != Reason.NO_VUS).any():
            spans.append(fewest.span)
    latest = max(windows, key=lambda window: window.lag_p95_ms, default=None)
    if latest is not None and latest.lag_p95_ms > allowed_ms:
        span, lag_ms = latest.span.message, latest.lag_p95_ms
        lag = Message("generator.lag_in", span=span, lag_ms=lag_ms, allowed_ms=allowed_ms)
        reasons.append(lag)
        spans.append(latest.span)
    elif p95 > allowed_ms:
        reasons.append(Message("generator.lag_p95", lag_ms=p95, allowed_ms=allowed_ms))
    stood_ms, stalled = _longest_stall(sight)
    if not reasons and stood_ms > sight.rule.stood_ms(sight.rule.limited_below):
        reasons.append(_stall_reason(stood_ms, stalled, allowed_ms))
        spans.append(stalled)
    if not reasons and sight.closed and (full := _full_core(sight)) is not None:
        reasons.append(Message("generator.full_core", span=full.message))
        spans.append(full)
    return reasons, spans


def _longest_stall(sight: _Sight) -> tuple[float, TimeSpan]:
    """The time (ms) an event loop stood still beyond the allowance, in the worst window."""
    if not sight.vitals.worker_samples or not len(sight.rows):
        return 0.0, TimeSpan(0, WINDOW_S)
    spans = [TimeSpan(at, at + WINDOW_S) for at in range(0, max(1, int(sight.end_s)), STEP_S)]
    stood = [(stood_still_ms(sight.vitals, span, sight.allowed_ms), span) for span in spans]
    return max(stood, key=lambda one: one[0])


def _stall_reason(stood_ms: float, span: TimeSpan, allowed_ms: float) -> Message:
    allowed = {"stood_ms": stood_ms, "allowed_ms": allowed_ms}
    return Message("generator.stood_still", span=span.message, **allowed)


def _full_core(sight: _Sight) -> TimeSpan | None:
    """Some 5 s in which a worker used a whole core."""
    for at in range(0, max(1, int(sight.end_s) - WINDOW_S + 1), STEP_S):
        span = TimeSpan(at, round(min(at + WINDOW_S, sight.end_s), 1))
        if core_share(sight.vitals, span) > FULL_CORE:
            return span
    return None


def _slips(windows: Sequence[_Window], sight: _Sight, p99: float) -> list[Message]:
    reasons = []
    fewest = min(windows, key=lambda window: window.share, default=None)
    if fewest is not None and fewest.share < sight.rule.kept_from:
        reasons.append(fewest.shortage)
        reasons += _drops(sight)
    if p99 >= sight.allowed_ms:
        reasons.append(Message("generator.lag_p99", lag_ms=p99, allowed_ms=sight.allowed_ms))
    stood_ms, span = _longest_stall(sight)
    if not reasons and stood_ms > sight.rule.stood_ms(sight.rule.kept_from):
        reasons.append(_stall_reason(stood_ms, span, sight.allowed_ms))
    return reasons


def _drops(sight: _Sight) -> list[Message]:
    counts = np.bincount(sight.rows["reason"][sight.unsent], minlength=len(Reason))
    told = [
        Message("generator.dropped", starts=int(counts[reason]), reason=reason.text)
        for reason in _OURS
        if counts[reason]
    ]
    over = max((sample.time_wait for sample in sight.vitals.worker_samples), default=0)
    if counts[Reason.NO_PORTS] and over:
        told.append(Message("generator.ports", connections=over))
    return told


def _vus(histories: Sequence[History], busy: Sequence[Occupancy], held: set[str]) -> list[Message]:
    """A sentence for each scenario with too few virtual users: what kept them busy."""
    told = []
    for one in busy:
        if not one.no_vus:
            continue
        if one.scenario in held:
            told.append(_held_reason(one))
            continue
        spec = next(h.header.spec for h in histories if h.scenario == one.scenario)
        most = spec.ceiling_per_s
        told.append(
            Message(
                "generator.busy" if most is None else "generator.busy_at_most",
                scenario=repr(one.scenario),
                most=one.most,
                busy=one.all_busy,
                asleep=one.think,
                waiting=one.server,
                per_s=most,
            )
        )
    return told


def _held_reason(one: Occupancy) -> Message:
    counts = {"starts": one.no_vus, "most": one.most, "enough": one.enough}
    return Message("generator.held", scenario=repr(one.scenario), **counts)


def _speaks_up_to(windows: Sequence[_Window], sight: _Sight, histories: Sequence[History]) -> float:
    """The highest rate sent in time over a window, or over all there was when it was shorter."""
    good = [one.sent for one in windows if not one.scenario and _is_good(one, sight)]
    if not good:
        return 0.0
    rows = sight.rows
    span_s = (int(rows["intended_ns"][-1]) - int(rows["intended_ns"][0])) / 1e9
    offered = max(good) / min(float(WINDOW_S), max(span_s, 1.0))
    ceiling = _ceiling(histories)
    too_few = bool((sight.unsent & (rows["reason"] == Reason.NO_VUS)).any())
    if too_few and ceiling is not None and offered >= REACHED * ceiling:
        return ceiling
    return offered


def _is_good(window: _Window, sight: _Sight) -> bool:
    stood_ms = stood_still_ms(sight.vitals, window.span, sight.allowed_ms)
    allowed_ms = sight.rule.stood_ms(sight.rule.limited_below)
    return window.lag_p95_ms <= sight.allowed_ms and stood_ms <= allowed_ms


def _ceiling(histories: Sequence[History]) -> float | None:
    """The most starts a second of all virtual users; None where one scenario has no limit."""
    by_name = {history.scenario: history.header.spec for history in histories}
    found = [spec.ceiling_per_s for spec in by_name.values()]
    if not found or None in found:
        return None
    return sum(most for most in found if most is not None)
