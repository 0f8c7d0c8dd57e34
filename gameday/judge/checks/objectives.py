"""The steady state held: before the faults and at the end, or, without faults, all along."""

from collections.abc import Sequence
from itertools import pairwise

from gameday.core.clock import NS
from gameday.evidence import Evidence
from gameday.evidence.outages import WARM_UP_S
from gameday.judge.checks.generator import generator_status
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, count, worst
from gameday.spec.experiment import Experiment
from gameday.telemetry import catalogue
from gameday.telemetry.latency_bounds import objective_bounds_ms
from gameday.telemetry.samples import Evaluation

NAME = "objectives"
STEADY_S = 5
LAST_S = 5
FEWEST = 3  # evaluations of those five seconds; a late tick is skipped, not made up


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """With faults, true in the steady state and in the last 5 s; without, never breached."""
    objectives = evidence.experiment.objectives
    if not objectives:
        return NotApplicable(NAME, "objectives")
    if not evidence.experiment.method:
        return _all_along(evidence)
    first = evidence.anchors.first_injecting_ns
    if first is None:
        return Verdict(NAME, Validity.UNKNOWN, "no fault was begun")
    end = evidence.traffic_end_ns
    before = _inside(evidence, first - STEADY_S * NS, first - 1)
    after = _inside(evidence, end - LAST_S * NS + 1, end)
    found = [
        _true_in_span(evidence, objective.name, where, span)
        for objective in objectives
        for where, span in (("before the faults", before), (f"in the last {LAST_S} s", after))
    ]
    return _together(found)


def _inside(evidence: Evidence, from_ns: int, to_ns: int) -> list[Evaluation]:
    return [e for e in evidence.readings if from_ns <= e.t_ns <= to_ns]


def _true_in_span(evidence: Evidence, name: str, where: str, span: Sequence[Evaluation]) -> Verdict:
    """One objective, true at every evaluation of one span."""
    key = catalogue.key("objective", name)
    false = [evidence.seconds(e.t_ns) for e in span if e.readings.get(key) is False]
    if false:
        shown = [{"objective": name, "false_at": at} for at in false[:SHOWN]]
        summary = f"{name}: false at {false[0]} s, {where}"
        return _unless_lagging(
            evidence, name, span, Verdict(NAME, Validity.INVALID, summary, shown)
        )
    if len(span) < FEWEST or any(e.readings.get(key) is None for e in span):
        return Verdict(NAME, Validity.UNKNOWN, f"{name}: no data {where}{_why_blind(span, key)}")
    valid = Verdict(NAME, Validity.VALID, f"{name}: true {where}")
    return _unless_lagging(evidence, name, span, valid)


def _unless_lagging(
    evidence: Evidence, name: str, span: Sequence[Evaluation], verdict: Verdict
) -> Verdict:
    """Unknown where a latency was closer to its bound than a degraded generator lagged."""
    bound_ms = objective_bounds_ms(evidence.experiment).get(name)
    if bound_ms is None:
        return verdict
    status = generator_status(evidence)
    if status.status != "degraded":
        return verdict
    figures = [e.figures.get(catalogue.key("objective", name)) for e in span]
    margins = [abs(figure * 1000 - bound_ms) for figure in figures if figure is not None]
    if min(margins, default=0.0) >= status.lag_p99_ms:
        return verdict
    summary = f"{name}: closer to its bound than the generator's lag, {status.lag_p99_ms:.1f} ms"
    return Verdict(NAME, Validity.UNKNOWN, summary, verdict.evidence)


def _together(found: Sequence[Verdict]) -> Verdict:
    validity = worst([verdict.validity for verdict in found])
    told = [verdict for verdict in found if verdict.validity is validity]
    shown = [item for verdict in told for item in verdict.evidence]
    return Verdict(NAME, validity, "; ".join(verdict.summary for verdict in told), shown)


def _all_along(evidence: Evidence) -> Verdict:
    outages = evidence.anchors.outages
    if outages:
        shown = [
            {"objectives": list(o.objectives), "false_from": evidence.seconds(o.breached_ns)}
            for o in outages[:SHOWN]
        ]
        first = outages[0]
        names = ", ".join(first.objectives)
        summary = f"breached {count(len(outages), 'time')}, {names} at {shown[0]['false_from']} s"
        return Verdict(NAME, Validity.INVALID, summary, shown)
    span = _inside(evidence, evidence.t0_ns + WARM_UP_S * NS, evidence.traffic_end_ns)
    if unseen := unread(evidence.experiment, span):
        why = _why_blind(span, *(catalogue.key("objective", name) for name in unseen))
        return Verdict(NAME, Validity.UNKNOWN, f"no data for {', '.join(unseen)}{why}")
    return Verdict(NAME, Validity.VALID, f"never breached in {count(len(span), 'evaluation')}")


def _why_blind(span: Sequence[Evaluation], *keys: str) -> str:
    """The collector's reason for the first gap, "" if it gave none."""
    gaps = (e for e in span if any(e.readings.get(key) is None for key in keys))
    return next((e.why_blind for e in gaps if e.why_blind), "")


def unread(experiment: Experiment, span: Sequence[Evaluation]) -> list[str]:
    """Objectives without data at all, or twice in a row: a breach could have hidden there."""
    found = []
    for objective in experiment.objectives:
        key = catalogue.key("objective", objective.name)
        gaps = [e.readings.get(key) is None for e in span]
        if all(gaps) or any(gap and after for gap, after in pairwise(gaps)):
            found.append(objective.name)
    return found
