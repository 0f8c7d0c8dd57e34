"""The tables of a result: faults, alerts, traffic, playbook, clocks.

Each says only what the evidence carries; what it lacks is null, or no line at all, and the check
of the same name says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

import numpy as np

from gameday.core.errors import UnknownError
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import FaultWindow, StepRun
from gameday.judge.checks import alerts as alert_check
from gameday.judge.result import (
    AlertOutcome,
    Clocks,
    FaultLine,
    GeneratorLine,
    LimitLine,
    StepLine,
    TrafficLine,
)
from gameday.telemetry.alerts.contract import AlertStatus
from gameday.telemetry.latency_bounds import failed_bound, p95_bound_ms
from gameday.traffic import metrics

T = TypeVar("T")


def known(tell: Callable[[], T], otherwise: T) -> T:
    """The result of `read`, or `otherwise` when the evidence does not carry it."""
    try:
        return tell()
    except UnknownError:
        return otherwise


def _at(evidence: Evidence, t_ns: int | None) -> float | None:
    return known(lambda: evidence.seconds(t_ns), None)


def faults(evidence: Evidence) -> list[FaultLine]:
    """A line per fault: when it was there, whether that was measured, and how much of it."""
    if evidence.effective is None:
        return [_fault(evidence, w, w.fault, w.target) for w in evidence.timeline.faults]
    return [
        _fault(evidence, evidence.fault(fault.id or ""), fault.fault, fault.on)
        for fault in evidence.effective.experiment.method
    ]


def _fault(evidence: Evidence, window: FaultWindow, name: str, target: str) -> FaultLine:
    return FaultLine(
        id=window.id,
        fault=name,
        target=target,
        injected_at=_at(evidence, window.injected_ns),
        removed_at=_at(evidence, window.removed_ns),
        injected=window.injected,
        removed=window.removed,
        dose=dict(window.dose) or None,
    )


def alerts(evidence: Evidence) -> list[AlertOutcome]:
    """A line per alert that was expected or fired."""
    return [
        AlertOutcome(
            alert=one.alert,
            expected=one.expected,
            status=one.status,
            active_at=_at(evidence, one.active_at_ns),
            fired_at=_at(evidence, one.fired_at_ns),
            resolved_at=_at(evidence, one.resolved_at_ns),
        )
        for one in _statuses(evidence)
    ]


def _statuses(evidence: Evidence) -> Sequence[AlertStatus]:
    return known(lambda: alert_check.statuses(evidence), [])


def traffic(evidence: Evidence) -> TrafficLine | None:
    """The books and k6's metrics of all requests; None when there is no history."""
    return known(lambda: _traffic(evidence), None)


def _traffic(evidence: Evidence) -> TrafficLine:
    starts = evidence.asked.records
    told = metrics.summary(starts, evidence.plan.planned, about=evidence.about)
    status = evidence.generator
    return TrafficLine(
        scheduled=told.scheduled,
        started=told.started,
        dropped=told.dropped,
        never_started=told.never_started,
        completed=told.completed,
        failed=told.failed,
        interrupted=told.interrupted,
        asked_again=_asked_again(starts),
        closed=list(told.closed),
        limit=_own_limit(evidence, starts),
        metrics={name: dict(told.metrics[name]) for name in sorted(told.metrics)},
        generator=GeneratorLine(
            status=status.status,
            reasons=list(map(str, status.reasons)),
            messages=status.reasons,
            speaks_up_to_per_s=status.speaks_up_to_per_s,
            virtual_users=[asdict(one) for one in status.occupancy],
        ),
    )


def _own_limit(evidence: Evidence, starts: metrics.Starts) -> LimitLine | None:
    """The system's own limit, where nothing was broken and the system did not set the rate."""
    experiment = evidence.experiment
    if experiment.method or starts.closed:
        return None
    bounds = metrics.Bounds(p95_ms=p95_bound_ms(experiment), failed=failed_bound(experiment))
    limit = metrics.system_limit(starts, bounds)
    if limit is None:
        return None
    return LimitLine(
        reached=limit.per_s is not None,
        per_s=limit.per_s,
        carried_per_s=limit.carried_per_s,
        p95_ms=limit.p95_ms,
        not_carried_s=limit.not_carried_s,
        why=str(limit.why or ""),
        message=limit.why,
    )


def _asked_again(starts: metrics.Starts) -> int:
    """The number of retries after a timeout: all attempts but the first one of each start."""
    return int(np.maximum(starts["attempts"], 1).sum(dtype=np.int64)) - len(starts)


def playbook(evidence: Evidence) -> list[StepLine]:
    """A line per step of the playbook, whether it was worked or not."""
    if evidence.effective is None:
        return []
    worked = {run.step: run for run in evidence.timeline.steps if not run.undoing}
    steps = [
        worked.get(step.number, StepRun(step=step.number, status="not_started"))
        for step in evidence.plan.steps
    ]
    return [
        StepLine(
            step=step.step,
            by=step.by,
            status=step.status,
            started_at=_at(evidence, step.started_ns),
            took_s=step.took_s,
            verified=step.verified,
        )
        for step in steps
    ]


def clocks(evidence: Evidence) -> Clocks:
    """When the damage began, and how long after it each turn came; null without damage."""
    anchors = evidence.anchors
    return Clocks(
        damage_at=_at(evidence, anchors.damage_ns),
        detected_after_s=_after_damage(evidence, _detected_ns(evidence)),
        acknowledged_after_s=_after_damage(evidence, evidence.timeline.responder_ns),
        mitigated_after_s=_after_damage(evidence, _mitigated_ns(evidence)),
        recovered_after_s=_after_damage(evidence, anchors.recovered_ns),
    )


def _after_damage(evidence: Evidence, t_ns: int | None) -> float | None:
    damage_ns = evidence.anchors.damage_ns
    if damage_ns is None or t_ns is None:
        return None
    return round((t_ns - damage_ns) / 1e9, 3)


def _detected_ns(evidence: Evidence) -> int | None:
    """When the first expected alert fired."""
    expected = [one for one in _statuses(evidence) if one.expected]
    return min((one.fired_at_ns for one in expected if one.fired_at_ns is not None), default=None)


def _mitigated_ns(evidence: Evidence) -> int | None:
    """When the first step was done."""
    steps = evidence.timeline.steps
    done = [step.ended_ns for step in steps if step.status == "done" and not step.undoing]
    return min((t for t in done if t is not None), default=None)
