"""The alerts did their part: the expected ones fired and resolved in time, no other one fired.

The contract itself is in `gameday.telemetry.alerts.contract`; the run's times are brought to it
here.
"""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, valid, worst
from gameday.spec.experiment import ExpectedAlert
from gameday.telemetry.alerts.contract import AlertStatus, Expected, FaultTimes, Times, judge_alerts
from gameday.telemetry.sources.choice import prometheus_of

VALIDITY = {"hit": Validity.VALID, "unknown": Validity.UNKNOWN}  # all others: invalid


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Each expected alert is a hit, and no other fired that must not."""
    expect = evidence.experiment.expect
    if not has_rules(evidence):
        return lacking("lacks.rules")
    if not expect.alerts and expect.other_alerts == "allowed":
        return lacking("lacks.alerts")
    found = statuses(evidence)
    validity = worst([VALIDITY.get(one.status, Validity.INVALID) for one in found])
    shown = [
        {
            "alert": one.alert,
            "status": one.status,
            "why": one.why.text(),
            "fired_at": evidence.seconds(one.fired_at_ns),
        }
        for one in found
    ]
    if not found:
        return valid("check.alerts.none")
    told = [one for one in found if VALIDITY.get(one.status, Validity.INVALID) is validity]
    whys = [Message("check.alerts.one", alert=one.alert, why=one.why) for one in told]
    return Verdict(validity, Message("check.all", parts=whys), shown)


def has_rules(evidence: Evidence) -> bool:
    """Somebody evaluates alert rules in this run."""
    own, system = evidence.experiment.rules, evidence.plan.system
    if prometheus_of(evidence.experiment, system) is not None:
        # Runs of before named a Prometheus, and were not read from it.
        return any(each.sampled is not None for each in evidence.readings)
    return bool(system.rules if own is None else own)


def statuses(evidence: Evidence) -> list[AlertStatus]:
    """Status of each expected alert, and of every other that must not have fired."""
    if not has_rules(evidence):
        return []
    lines = [(e.t_ns, e.alerts) for e in evidence.readings if not e.alerts_problem]
    expect = evidence.experiment.expect
    expected = [_promise(evidence, alert) for alert in expect.alerts]
    return judge_alerts(lines, expected, expect.other_alerts, _times(evidence))


def _promise(evidence: Evidence, alert: ExpectedAlert) -> Expected:
    first = min(evidence.experiment.method, key=lambda fault: fault.at, default=None)
    resolves = alert.resolves_within
    return Expected(
        alert=alert.alert,
        of=alert.of or (first.id if first and first.id else ""),
        fires_within_s=alert.fires_within.total_seconds(),
        resolves_within_s=None if resolves is None else resolves.total_seconds(),
    )


def _times(evidence: Evidence) -> Times:
    """The anchors, a fault's removal only where it was read back."""
    faults = {
        fault.id: FaultTimes(fault.injected_ns, fault.removed_ns if fault.gone else None)
        for fault in evidence.planned_faults
    }
    return Times(
        traffic_start_ns=evidence.t0_ns,
        traffic_end_ns=evidence.traffic_end_ns,
        faults=faults,
        breached_at_ns=evidence.anchors.breached_ns,
        recovered_at_ns=evidence.anchors.recovered_ns,
    )
