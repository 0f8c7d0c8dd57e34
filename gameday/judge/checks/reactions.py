"""Reactions: what the system was to do by itself, and when: to scale out and in, to open a breaker.

Each is an expression that is false before its fault, true within its time of the injection, and
false again within its time of the removal.
"""

from collections.abc import Sequence

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import FaultWindow
from gameday.judge.checks.alerts import covers
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, unknown, worst
from gameday.spec.experiment import Reaction
from gameday.telemetry import catalogue
from gameday.telemetry.samples import Evaluation

BEFORE_S = 5.0  # as long as the steady state is looked at


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every reaction came in its time, and went again in its time."""
    wanted = evidence.experiment.expect.reactions
    if not wanted:
        return lacking("lacks.reactions")
    if not evidence.readings or evidence.anchors.first_injecting_ns is None:
        return unknown("check.no_fault_begun")
    found = [_judge(each, evidence) for each in wanted]
    parts = [
        Message("check.reactions.one", name=each.name, why=why)
        for each, (_, why) in zip(wanted, found, strict=True)
    ]
    return Verdict(worst([validity for validity, _ in found]), Message("check.all", parts=parts))


def _judge(reaction: Reaction, evidence: Evidence) -> tuple[Validity, Message]:
    fault = _fault(reaction, evidence)
    if fault is None or fault.injected_ns is None:
        return Validity.UNKNOWN, Message("check.reactions.no_fault")
    injected_ns = fault.injected_ns
    name = catalogue.key("reaction", reaction.name)
    before_ns = injected_ns - int(BEFORE_S * NS)
    if any(e.readings.get(name) for e in evidence.readings if before_ns < e.t_ns <= injected_ns):
        return Validity.UNKNOWN, Message("check.reactions.before")
    limit_s = reaction.within.total_seconds()
    due = (injected_ns, injected_ns + round(limit_s * NS))
    came = _first(evidence.readings, name, injected_ns, wanted=True)
    if came is None:
        return _missed(evidence, name, due, Message("check.reactions.not_come", limit_s=limit_s))
    after_s = (came - injected_ns) / NS
    if came > due[1]:
        late = Message("check.reactions.late", after_s=after_s, limit_s=limit_s)
        return _missed(evidence, name, due, late)
    if reaction.back_within is None:
        return Validity.VALID, Message("check.reactions.came", after_s=after_s, limit_s=limit_s)
    return _back(reaction, evidence, fault, came)


def _back(
    reaction: Reaction, evidence: Evidence, fault: FaultWindow, came_ns: int
) -> tuple[Validity, Message]:
    """The way back, which is counted from the removal; one that went before it went in time."""
    assert reaction.back_within is not None and fault.injected_ns is not None
    name, limit_s = catalogue.key("reaction", reaction.name), reaction.back_within.total_seconds()
    if fault.removed_ns is None:
        return Validity.UNKNOWN, Message("check.reactions.not_removed")
    since_ns = max(came_ns, fault.removed_ns)
    due = (since_ns, fault.removed_ns + round(limit_s * NS))
    went = _first(evidence.readings, name, since_ns, wanted=False)
    if went is None:
        return _missed(evidence, name, due, Message("check.reactions.not_back", limit_s=limit_s))
    back_s = (went - fault.removed_ns) / NS
    told = {"after_s": (came_ns - fault.injected_ns) / NS, "back_s": back_s, "limit_s": limit_s}
    if went > due[1]:
        return _missed(evidence, name, due, Message("check.reactions.late_back", **told))
    return Validity.VALID, Message("check.reactions.both", **told)


def _fault(reaction: Reaction, evidence: Evidence) -> FaultWindow | None:
    """The fault that it answers: the one with that id, or the one injected first."""
    faults = [each for each in evidence.timeline.faults if each.injected_ns is not None]
    if reaction.of is not None:
        return next((each for each in faults if each.id == reaction.of), None)
    return min(faults, key=lambda each: each.injected_ns or 0, default=None)


def _first(readings: Sequence[Evaluation], name: str, after_ns: int, *, wanted: bool) -> int | None:
    found = (e.t_ns for e in readings if e.t_ns > after_ns and e.readings.get(name) is wanted)
    return next(found, None)


def _missed(
    evidence: Evidence, name: str, due: tuple[int, int], missed: Message
) -> tuple[Validity, Message]:
    """Invalid if it was looked at for all the time that it had, unknown if it was not."""
    after = [e for e in evidence.readings if e.t_ns > due[0]]
    known = [e.t_ns for e in after if e.readings.get(name) is not None]
    if not known:
        return Validity.UNKNOWN, Message("check.reactions.no_data")
    limit_s = missed.values["limit_s"]
    if known[-1] < due[1]:
        return Validity.UNKNOWN, Message("check.reactions.too_short", limit_s=limit_s)
    if not covers(known, *due):
        return Validity.UNKNOWN, Message("check.reactions.blind", limit_s=limit_s)
    return Validity.INVALID, missed
