"""The system came back, in time, and stayed.

Counted from the damage: from the first breached objective, or the first wrong coupon if that
came earlier. A later breach is told with what was going on; a long one is a second outage.
Where readings are missing, only what would be so whatever they were is held against a system.
"""

from collections.abc import Sequence
from typing import Any

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.outages import Outage
from gameday.judge.checks.objectives import unread
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, unknown, valid
from gameday.telemetry.catalogue import key
from gameday.telemetry.failures import steady_state

SECOND_OUTAGE_S = (
    10  # seconds; a shorter breach after the recovery is told, and no outage of its own
)


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Objectives were true again within the deadline, without a second outage (I15)."""
    experiment = evidence.experiment
    if not experiment.method or not steady_state(experiment):
        return lacking("lacks.objectives" if experiment.method else "lacks.faults")
    if not evidence.readings or evidence.anchors.first_injecting_ns is None:
        return unknown("check.no_fault_begun")
    outages = evidence.anchors.outages
    if not outages:
        return _never_breached(evidence)
    found = _with_outages(evidence, outages)
    if found.validity is not Validity.INVALID:
        return found
    if _with_outages(evidence, evidence.anchors.at_best).validity is Validity.INVALID:
        return found
    blind = Message("check.recovered.blind", objectives=", ".join(_gaps(evidence, outages[0])))
    return Verdict(Validity.UNKNOWN, blind, found.evidence)


def _gaps(evidence: Evidence, outage: Outage) -> list[str]:
    """The objectives of which a reading is missing from the breach on."""
    span = [e for e in evidence.readings if outage.breached_ns <= e.t_ns <= outage.last_ns]
    names = [objective.name for objective in steady_state(evidence.experiment)]
    return [n for n in names if any(e.readings.get(key("objective", n)) is None for e in span)]


def _with_outages(evidence: Evidence, outages: Sequence[Outage]) -> Verdict:
    """The verdict on a run with these outages."""
    shown = [
        {
            "objectives": list(outage.objectives),
            "breached_at": evidence.seconds(outage.breached_ns),
            "recovered_at": evidence.seconds(outage.recovered_ns),
            "during": list(outage.during),
        }
        for outage in outages
    ]
    again = [outage for outage in outages[1:] if outage.lasted_s >= SECOND_OUTAGE_S]
    if again:
        at_s = evidence.seconds(again[0].breached_ns)
        told = Message("check.recovered.again", at_s=at_s, length_s=again[0].lasted_s)
        return Verdict(Validity.INVALID, told, shown)
    return _first_outage(evidence, outages[0], shown)


def _never_breached(evidence: Evidence) -> Verdict:
    """Nothing was breached, if the objectives could be read at all from the first fault on."""
    first, end = evidence.anchors.first_injecting_ns or 0, evidence.traffic_end_ns
    span = [e for e in evidence.readings if first <= e.t_ns <= end]
    if unseen := unread(evidence.experiment, span):
        return unknown("check.recovered.unseen", objectives=", ".join(unseen))
    return valid("check.recovered.never")


def _first_outage(evidence: Evidence, outage: Outage, shown: Sequence[Any]) -> Verdict:
    damage = evidence.anchors.damage_ns or outage.breached_ns
    limit = evidence.experiment.expect.recovers_within
    if outage.recovered_ns is None:
        late = limit is not None and damage + limit.total_seconds() * NS <= outage.last_ns
        if late or (limit is None and _had_time(evidence, outage)):
            return Verdict(Validity.INVALID, Message("check.recovered.not"), shown)
        return Verdict(Validity.UNKNOWN, Message("check.recovered.too_short"), shown)
    took_s = (outage.recovered_ns - damage) / NS
    if limit is None:
        return Verdict(Validity.VALID, Message("check.recovered.after", took_s=took_s), shown)
    kept = took_s <= limit.total_seconds()
    told = Message("check.recovered.within", took_s=took_s, limit_s=limit.total_seconds())
    return Verdict(Validity.VALID if kept else Validity.INVALID, told, shown)


def _had_time(evidence: Evidence, outage: Outage) -> bool:
    """It was watched for as long after the last fault as makes a second outage."""
    removed = evidence.anchors.last_removed_ns
    return removed is not None and outage.last_ns - removed >= SECOND_OUTAGE_S * NS
