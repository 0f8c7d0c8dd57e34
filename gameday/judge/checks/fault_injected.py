"""Every fault was really there: its dose was seen, and the service felt it.

A fault that cannot be shown to have been there proves nothing about the service, so the answer is
unknown, never invalid.
"""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import FaultWindow
from gameday.judge.verdict import NotApplicable, Validity, Verdict, count, lacking


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every planned fault was measured as injected."""
    faults = evidence.planned_faults
    if not faults:
        return lacking("lacks.faults")
    missing = [fault for fault in faults if fault.injected != "yes"]
    shown = [
        {"id": fault.id, "injected": fault.injected, "at": evidence.seconds(fault.injected_ns)}
        for fault in faults
        if fault.begun
    ]
    if not missing:
        return Verdict(
            Validity.VALID,
            Message("check.fault_injected.all_in", faults=count(len(faults), "fault")),
            shown,
        )
    return Verdict(Validity.UNKNOWN, Message("check.all", parts=list(map(_why, missing))), shown)


def _why(fault: FaultWindow) -> Message:
    if not fault.begun:
        return Message("check.fault_injected.never_begun", fault=fault.id)
    if fault.injected == "unknown" and not fault.dose and not fault.why:
        return Message("check.fault_injected.not_verified", fault=fault.id)
    verdict = Message("check.fault_injected.verdict", fault=fault.id, injected=fault.injected)
    return Message("check.because", what=verdict, why=fault.why) if fault.why else verdict
