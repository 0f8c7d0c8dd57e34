"""Every fault that was begun is out again: its state was read back as gone, and it shows."""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import FaultWindow
from gameday.judge.verdict import NotApplicable, Validity, Verdict, count, lacking, unknown


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every fault that was begun was measured as removed. One still there is invalid."""
    begun = [fault for fault in evidence.timeline.faults if fault.begun]
    if not begun:
        if evidence.experiment.method:
            return unknown("check.no_fault_begun")
        return lacking("lacks.faults")
    shown = [
        {
            "id": fault.id,
            "removed": fault.removed,
            "gone": fault.gone,
            "at": evidence.seconds(fault.removed_ns),
        }
        for fault in begun
    ]
    still = [fault for fault in begun if fault.gone is False]
    if still:
        names = ", ".join(fault.id for fault in still)
        return Verdict(
            Validity.INVALID, Message("check.fault_removed.still_there", faults=names), shown, shown
        )
    doubtful = [fault for fault in begun if fault.removed != "yes"]
    if doubtful:
        return Verdict(
            Validity.UNKNOWN, Message("check.all", parts=list(map(_why, doubtful))), shown
        )
    return Verdict(
        Validity.VALID,
        Message("check.fault_removed.all_out", faults=count(len(begun), "fault")),
        shown,
    )


def _why(fault: FaultWindow) -> Message:
    if fault.gone is None:
        return Message("check.fault_removed.not_read_back", fault=fault.id)
    if fault.removed == "unknown" and not fault.why:
        return Message("check.fault_removed.not_compared", fault=fault.id)
    verdict = Message("check.fault_removed.verdict", fault=fault.id, removed=fault.removed)
    return Message("check.because", what=verdict, why=fault.why) if fault.why else verdict
