"""The traffic kept its schedule, or the run says nothing about the system's performance."""

from gameday.core.messages import Message
from gameday.evidence import Evidence, MissingEvidenceError
from gameday.judge.verdict import NotApplicable, Validity, Verdict
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic import metrics


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """The workers kept, or nearly kept, their schedule; otherwise unknown."""
    status = generator_status(evidence)
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


def generator_status(evidence: Evidence) -> metrics.GeneratorStatus:
    """Status of the traffic generator: how well the workers kept their schedule."""
    if not len(evidence.asked):
        raise MissingEvidenceError("nothing was asked")
    if "generator" not in evidence.reckoned:
        bound_ms = tightest_bound_ms(evidence.experiment)
        until_ns, known = evidence.anchors.traffic_end_ns, evidence.effective
        evidence.reckoned["generator"] = metrics.generator(
            evidence.attempts.records,
            bound_ms,
            until_ns=until_ns,
            vitals=evidence.vitals,
            rule=None if known is None else metrics.Rule(**known.generator),
        )
    status: metrics.GeneratorStatus = evidence.reckoned["generator"]
    return status
