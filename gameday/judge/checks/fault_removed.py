"""Every fault that was begun is out again: its state was read back as gone, and it shows."""

from gameday.evidence import Evidence, FaultWindow
from gameday.judge.verdict import NotApplicable, Validity, Verdict, count

NAME = "fault_removed"


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every fault that was begun was measured as removed. One still there is invalid."""
    begun = [fault for fault in evidence.timeline.faults if fault.begun]
    if not begun:
        if evidence.experiment.method:
            return Verdict(NAME, Validity.UNKNOWN, "no fault was begun")
        return NotApplicable(NAME, "faults (method)")
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
        return Verdict(NAME, Validity.INVALID, f"still there: {names}", shown, shown)
    doubtful = [fault for fault in begun if fault.removed != "yes"]
    if doubtful:
        return Verdict(NAME, Validity.UNKNOWN, "; ".join(map(_why, doubtful)), shown)
    return Verdict(NAME, Validity.VALID, f"{count(len(begun), 'fault')} out", shown)


def _why(fault: FaultWindow) -> str:
    if fault.gone is None:
        return f"{fault.id}: its state was not read back"
    return f"{fault.id} removed: {fault.removed}" + (f" ({fault.why})" if fault.why else "")
