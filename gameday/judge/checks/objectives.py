"""The steady state held: before the faults and at the end, or, without faults, all along."""

from collections.abc import Sequence
from itertools import pairwise

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.outages import WARM_UP_S
from gameday.judge.verdict import (
    SHOWN,
    NotApplicable,
    Validity,
    Verdict,
    count,
    lacking,
    unknown,
    valid,
    worst,
)
from gameday.spec.experiment import STEADY_S, Experiment
from gameday.telemetry import catalogue
from gameday.telemetry.failures import steady_state
from gameday.telemetry.latency_bounds import objective_bounds_ms
from gameday.telemetry.samples import Evaluation

LAST_S = 5  # seconds: the window of the usual objectives, and as long as the steady state
FEWEST = 3  # evaluations of those five seconds; a late tick is skipped, not made up


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """With faults, true in the steady state and in the last 5 s; without, never breached."""
    objectives = steady_state(evidence.experiment)
    if not objectives:
        return lacking("lacks.objectives")
    if not evidence.experiment.method:
        return _all_along(evidence)
    first = evidence.anchors.first_injecting_ns
    if first is None:
        return unknown("check.no_fault_begun")
    end = evidence.traffic_end_ns
    # A file that writes no objective may break something before the steady state can be seen.
    begin = evidence.t0_ns + 1 if not evidence.experiment.objectives else 0
    before = _inside(evidence, max(begin, first - STEADY_S * NS), first - 1)
    after = _inside(evidence, end - LAST_S * NS + 1, end)
    spans = (
        (Message("check.objectives.before"), before),
        (Message("check.objectives.last", seconds=LAST_S), after),
    )
    found = [
        _true_in_span(evidence, objective.name, where, span)
        for objective in objectives
        for where, span in spans
        if len(span) >= FEWEST or objective in evidence.experiment.objectives
    ]
    return _together(found) if found else lacking("lacks.objectives")


def _inside(evidence: Evidence, from_ns: int, to_ns: int) -> list[Evaluation]:
    return [e for e in evidence.readings if from_ns <= e.t_ns <= to_ns]


def _true_in_span(
    evidence: Evidence, name: str, where: Message, span: Sequence[Evaluation]
) -> Verdict:
    """One objective, true at every evaluation of one span."""
    key = catalogue.key("objective", name)
    false = [evidence.seconds(e.t_ns) for e in span if e.readings.get(key) is False]
    if false:
        shown = [{"objective": name, "false_at": at} for at in false[:SHOWN]]
        told = Message("check.objectives.false", objective=name, at_s=false[0], where=where)
        return _unless_lagging(evidence, name, span, Verdict(Validity.INVALID, told, shown))
    if len(span) < FEWEST or any(e.readings.get(key) is None for e in span):
        why = _why_blind(span, key)
        return unknown("check.objectives.no_data", objective=name, where=where, why=why)
    told = Message("check.objectives.true", objective=name, where=where)
    return _unless_lagging(evidence, name, span, Verdict(Validity.VALID, told))


def _unless_lagging(
    evidence: Evidence, name: str, span: Sequence[Evaluation], verdict: Verdict
) -> Verdict:
    """Unknown where a latency was closer to its bound than a degraded generator lagged."""
    bound_ms = objective_bounds_ms(evidence.experiment).get(name)
    if bound_ms is None:
        return verdict
    status = evidence.generator
    if status.status != "degraded":
        return verdict
    figures = [e.figures.get(catalogue.key("objective", name)) for e in span]
    margins = [abs(figure * 1000 - bound_ms) for figure in figures if figure is not None]
    if min(margins, default=0.0) >= status.lag_p99_ms:
        return verdict
    told = Message("check.objectives.close", objective=name, lag_ms=status.lag_p99_ms)
    return Verdict(Validity.UNKNOWN, told, verdict.evidence)


def _together(found: Sequence[Verdict]) -> Verdict:
    validity = worst([verdict.validity for verdict in found])
    told = [verdict for verdict in found if verdict.validity is validity]
    shown = [item for verdict in told for item in verdict.evidence]
    return Verdict(validity, Message("check.all", parts=[v.message for v in told]), shown)


def _all_along(evidence: Evidence) -> Verdict | NotApplicable:
    outages = evidence.anchors.outages
    if outages:
        shown = [
            {"objectives": list(o.objectives), "false_from": evidence.seconds(o.breached_ns)}
            for o in outages[:SHOWN]
        ]
        told = Message(
            "check.objectives.breached",
            times=count(len(outages), "time"),
            objectives=", ".join(outages[0].objectives),
            at_s=evidence.seconds(outages[0].breached_ns),
        )
        return Verdict(Validity.INVALID, told, shown)
    span = _inside(evidence, evidence.t0_ns + WARM_UP_S * NS, evidence.traffic_end_ns)
    if not span and not evidence.experiment.objectives:
        return lacking("lacks.objectives")
    if unseen := unread(evidence.experiment, span):
        why = _why_blind(span, *(catalogue.key("objective", name) for name in unseen))
        return unknown("check.objectives.unseen", objectives=", ".join(unseen), why=why)
    return valid("check.objectives.never", evaluations=count(len(span), "evaluation"))


def _why_blind(span: Sequence[Evaluation], *keys: str) -> str:
    """The collector's reason for the first gap, "" if it gave none."""
    gaps = (e for e in span if any(e.readings.get(key) is None for key in keys))
    return next((e.why_blind for e in gaps if e.why_blind), "")


def unread(experiment: Experiment, span: Sequence[Evaluation]) -> list[str]:
    """Objectives without data at all, or where a breach could have hidden: beside a gap, not true.

    Two readings in a row that are missing, or one missing and one false, may both have been false.
    """
    found = []
    for objective in steady_state(experiment):
        key = catalogue.key("objective", objective.name)
        seen = [e.readings.get(key) for e in span]
        hiding = any(None in pair and True not in pair for pair in pairwise(seen))
        if hiding or all(each is None for each in seen):
            found.append(objective.name)
    return found
