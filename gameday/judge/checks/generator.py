"""The traffic kept its schedule, or the run says nothing about the system's performance."""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """The workers kept, or nearly kept, their schedule; otherwise unknown."""
    status = evidence.generator
    limited = status.status == "limited"
    figures = Message(
        "check.generator.limited" if limited else "check.generator.kept",
        status=status.status,
        per_s=status.speaks_up_to_per_s,
        p95_ms=status.lag_p95_ms,
        p99_ms=status.lag_p99_ms,
    )
    told = Message("check.all", parts=[figures, *status.reasons])
    return Verdict(Validity.UNKNOWN if limited else Validity.VALID, told)
