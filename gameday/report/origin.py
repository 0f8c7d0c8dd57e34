"""Origin of the harm: what was seen that no fault of the run explains.

A draft says that gameday made the cause only where time ties the harm to a fault: it began while
one was in, or was felt on from then. Harm of before the first fault, harm that began when all were
out and the system had recovered, and a service that ended, or refused connections while no fault
stops it, have another cause, and nobody knows it from here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.evidence.attempts import Times
from gameday.evidence.events import Phase
from gameday.evidence.failed import failed
from gameday.evidence.journal import every
from gameday.evidence.model import Evidence
from gameday.evidence.outages import RECOVERY, watched
from gameday.evidence.timeline import HAS_ENDED, FaultWindow
from gameday.judge.result import Result
from gameday.report.people import LATE_S, Wrong
from gameday.telemetry.failures import steady_state
from gameday.traffic.history import Reason

Kind = Literal["refused", "ended", "early", "early_wrong", "after", "after_wrong"]

_STOPPING: Final = ("service.", "command.")
"""Faults that may end the service itself, or keep it from taking connections."""
_CUTTING: Final = ("network.down", "network.flap", "network.partition", "network.reset_peer")
"""Faults that refuse connections, also those of customers where the proxy stands before it."""
_LOSING: Final = ("service.", "command.", "redis.", "postgres.")
"""Faults that may lose what was stored before them."""
_UNTIMED: Final = frozenset({"left", "lost"})
"""Wrongs that may have been done at another time than that of the answer that tells of them."""
_FEWEST: Final = 3  # refused connections: one or two may be a socket that was closed just then
_GAP_NS: Final = 5 * NS  # refused connections that are farther apart are two stories
_STARTING_NS: Final = 15 * NS  # until a service that was stopped takes connections again
_READ_BACK_NS: Final = 3 * NS  # a proxy that is back, and the requests that were under way
_WINDOW_NS: Final = 6 * NS  # what objectives look back over, and a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexplained:
    """Something that was seen and that no fault explains; times in seconds from t = 0.

    `fault_s` is when the first fault came, or the last was out, where it is about that.
    """

    kind: Kind
    at_s: float
    until_s: float | None = None
    count: int | None = None
    fault_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whatever no fault explains; `partly`: a fault had done harm before any of it was seen."""

    unexplained: Sequence[Unexplained] = ()
    partly: bool = False

    @property
    def known(self) -> bool:
        """True if the faults explain all that was seen."""
        return not self.unexplained


def origin_of(result: Result, wrongs: Sequence[Wrong], evidence: Callable[[], Evidence]) -> Origin:
    """The origin of the harm of a run; where nothing was harmed, or nobody can say, it is known.

    `evidence` is read only where there was harm.
    """
    failing = any(check.verdict == "invalid" for check in result.checks)
    if result.clocks.damage_at is None and not failing:
        return Origin()
    with suppress(UnknownError, OSError, ValueError):
        return _origin(evidence(), wrongs)
    return Origin()


def _origin(evidence: Evidence, wrongs: Sequence[Wrong]) -> Origin:
    faults = [fault for fault in evidence.timeline.faults if fault.injecting_ns is not None]
    found = [*_ended(evidence), *_refused(evidence, faults)]
    if faults:
        found += [*_early(evidence, faults, wrongs), *_after(evidence, faults, wrongs)]
    breached_ns = evidence.anchors.breached_ns
    began_s = [wrong.first_s for wrong in wrongs if wrong.first_s is not None]
    began_s += [] if breached_ns is None else [_seconds(evidence, breached_ns)]
    first_s = min((each.at_s for each in found), default=0.0)
    harmed_by_then = any(at_s < first_s for at_s in began_s)
    tied = not any(each.kind not in ("refused", "ended") for each in found)
    return Origin(unexplained=found, partly=bool(faults) and harmed_by_then and tied)


def _seconds(evidence: Evidence, t_ns: int) -> float:
    return (t_ns - evidence.t0_ns) / NS


def _ended(evidence: Evidence) -> Iterator[Unexplained]:
    """The service of our own stack that ended, and that no fault had stopped."""
    for record in every(evidence.journal, Phase):
        if record.event.problem == f"service {HAS_ENDED}":
            yield Unexplained(kind="ended", at_s=_seconds(evidence, record.t_ns))
            return


def _refused(evidence: Evidence, faults: Sequence[FaultWindow]) -> Iterator[Unexplained]:
    """The first stretch in which the service refused connections, and no fault was to do that."""
    records = evidence.asked.records
    at_ns = np.sort(evidence.asked.sent[records["reason"] == Reason.CONNECT_REFUSED])
    for stretch in np.split(at_ns, np.flatnonzero(np.diff(at_ns) > _GAP_NS) + 1):
        if len(stretch) < _FEWEST or _is_stopped(evidence, faults, stretch):
            continue
        begin_s, end_s = (_seconds(evidence, int(t_ns)) for t_ns in (stretch[0], stretch[-1]))
        yield Unexplained(kind="refused", at_s=begin_s, until_s=end_s, count=len(stretch))
        return


def _is_stopped(evidence: Evidence, faults: Sequence[FaultWindow], stretch: Times) -> bool:
    """True if a fault, or somebody's action, may be what kept the service from being reached."""
    begin_ns, end_ns = int(stretch[0]), int(stretch[-1])
    for fault in faults:
        from_ns, out_ns = (fault.injecting_ns or 0) - NS, fault.removed_ns
        if begin_ns < from_ns:
            continue
        if fault.fault.startswith(_STOPPING):
            if out_ns is None or begin_ns <= out_ns + _STARTING_NS:
                return True
        elif fault.fault in _CUTTING and (out_ns is None or end_ns <= out_ns + _READ_BACK_NS):
            return True
    acts = (act for act in evidence.timeline.acts if act.started_ns is not None)
    return any((act.started_ns or 0) <= begin_ns <= (act.ended_ns or begin_ns) + NS for act in acts)


def _early(
    evidence: Evidence, faults: Sequence[FaultWindow], wrongs: Sequence[Wrong]
) -> Iterator[Unexplained]:
    """Harm of before the first fault."""
    first_ns = min(fault.injecting_ns or 0 for fault in faults)
    first_s = _seconds(evidence, first_ns)
    names = [objective.name for objective in steady_state(evidence.experiment)]
    before = watched(evidence.readings, names, (evidence.t0_ns, first_ns - 1))
    if before.times and False in before.readings[-1].values():
        at_s = _seconds(evidence, before.times[-1])
        yield Unexplained(kind="early", at_s=at_s, fault_s=first_s)
    losing = any(fault.fault.startswith(_LOSING) for fault in faults)
    began = [w.first_s for w in wrongs if not (losing and w.kind in _UNTIMED)]
    at_s = min((each for each in began if each is not None), default=first_s)
    if at_s < first_s:
        yield Unexplained(kind="early_wrong", at_s=at_s, fault_s=first_s)


def _after(
    evidence: Evidence, faults: Sequence[FaultWindow], wrongs: Sequence[Wrong]
) -> Iterator[Unexplained]:
    """Harm that began when all faults were out and the system had recovered."""
    out_ns = evidence.anchors.last_removed_ns
    if out_ns is None or any(fault.removed_ns is None for fault in faults):
        return
    out_s, breached_ns = _seconds(evidence, out_ns), evidence.anchors.breached_ns
    began = [w.first_s for w in wrongs if w.kind not in _UNTIMED and w.first_s is not None]
    wrong_s = min(began, default=out_s)
    if breached_ns is not None and _is_apart(evidence, out_ns, breached_ns):
        yield Unexplained(kind="after", at_s=_seconds(evidence, breached_ns), fault_s=out_s)
    elif breached_ns is None and wrong_s > out_s:
        wrong_ns = evidence.t0_ns + round(wrong_s * NS)
        if _had_recovered(evidence, out_ns, wrong_ns):
            yield Unexplained(kind="after_wrong", at_s=wrong_s, fault_s=out_s)


def _is_apart(evidence: Evidence, out_ns: int, breached_ns: int) -> bool:
    """True if nothing ties a breach to a fault that was out.

    All was well in between, and no request of then is among those that failed or came late.
    """
    if breached_ns <= out_ns or not _had_recovered(evidence, out_ns, breached_ns):
        return False
    asked = evidence.asked
    records, ended = asked.records, asked.ended
    bad = failed(records["outcome"], records["reason"], evidence.plan.failed)
    bad |= ended - records["intended_ns"] > LATE_S * NS
    bad &= (ended > breached_ns - _WINDOW_NS) & (ended <= breached_ns)
    return not bool((asked.sent[bad] <= out_ns).any())


def _had_recovered(evidence: Evidence, from_ns: int, to_ns: int) -> bool:
    """True if every objective was true in a row of looks in between."""
    names = [objective.name for objective in steady_state(evidence.experiment)]
    between = watched(evidence.readings, names, (from_ns + 1, to_ns - 1))
    return len(between.times) >= RECOVERY and between.recovery(0) is not None
