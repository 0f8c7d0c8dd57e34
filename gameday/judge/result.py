"""The result of a run, and its bytes (`result.json`): the same evidence gives the same bytes.

Nothing about the judging is in it, no path, version or time of day. Times are seconds from t = 0
with 3 decimals; other fractions are rounded to 6, so that no float noise is written. Fields with
a default came later, or are left out where a run did not get that far.

Its tables (faults, alerts, traffic, playbook, clocks) say only what the evidence carries; what it
lacks is null, or no line at all, and the check of the same name says why.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from gameday.core.errors import UnknownError
from gameday.core.json_objects import Json
from gameday.core.messages import Message
from gameday.evidence.events import Observation
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import FaultWindow, StepRun
from gameday.judge.answers import AnswersLine, answers
from gameday.judge.beside import Beside, asked_again, beside
from gameday.judge.checks import alerts as alert_check
from gameday.judge.checks import logs as log_check
from gameday.judge.checks import routing
from gameday.judge.checks.alerts import AlertStatus
from gameday.judge.verdict import NotApplicable
from gameday.telemetry.latency_bounds import failed_bound, p95_bound_ms
from gameday.traffic import metrics
from gameday.traffic.metrics.vu_occupancy import Occupancy

VerdictName = Literal["passed", "failed", "unknown"]
T = TypeVar("T")
_HALF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """The verdict of a check; `evidence` and `certificate` are JSON of the check's own.

    `summary` is the message in English; a result of schema 1 has that alone.
    """

    name: str
    verdict: str
    summary: str
    message: Message | None = None
    evidence: Sequence[Any] = ()
    certificate: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """How much of a fault was there; the first versions wrote figures by name instead."""

    witnesses: Sequence[Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLine:
    """A fault: when it was there, whether that was measured, and how much of it (`dose`)."""

    id: str
    fault: str
    target: str = ""
    injected_at: float | None = None
    removed_at: float | None = None
    injected: str | None = None
    removed: str | None = None
    dose: Dose | Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOutcome:
    """An alert that was expected or fired.

    `injected_at` is when the fault was in place that it is about, `notified_at` when a receiver
    heard that it fires; of an alert that nobody expected, neither is known. `cause` is the defect
    for which it broke its promise.
    """

    alert: str
    expected: bool
    status: str
    active_at: float | None = None
    fired_at: float | None = None
    resolved_at: float | None = None
    cause: Message | None = None
    injected_at: float | None = None
    notified_at: float | None = None

    def delays(self, damage_at: float | None) -> Mapping[str, float | None]:
        """Seconds of each part of the way from the fault to people; None where it is not known.

        The parts that are known add up to `total`. Without a damage the impact lag is not known,
        and the expression lag counts from the injection. A real Prometheus is read once a second:
        a notification may come before the reading that shows the alert firing, and says it sooner.
        """
        since = self.injected_at if damage_at is None else damage_at
        fired, notified = self.fired_at, self.notified_at
        if fired is not None and notified is not None:
            fired = min(fired, notified)
        return {
            "impact": _between(self.injected_at, damage_at),
            "expression": _between(since, self.active_at),
            "pending": _between(self.active_at, fired),
            "routing": _between(fired, notified),
            "total": _between(self.injected_at, fired if notified is None else notified),
        }


def _between(earlier: float | None, later: float | None) -> float | None:
    return None if earlier is None or later is None else later - earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLineShown:
    """A line of a log as it was written, at `at`; `place` is its file and line."""

    at: float | None
    place: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOutcome:
    """An expectation of the logs: when the line came that decided it, and how many there were."""

    name: str
    status: str
    why: str
    message: Message | None = None
    at: float | None = None
    count: int = 0
    lines: Sequence[LogLineShown] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """The system's own limit (`traffic.metrics.SystemLimit`); `reached` when it has a rate."""

    reached: bool
    per_s: float | None
    carried_per_s: float
    p95_ms: float | None
    not_carried_s: int
    why: str = ""
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorLine:
    """Status of the generator, and how busy its virtual users were; `messages` are the reasons."""

    status: str
    reasons: Sequence[str] = ()
    messages: Sequence[Message] = ()
    speaks_up_to_per_s: float | None = None
    virtual_users: Sequence[Occupancy] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficLine:
    """The requests of a run: the accounting, and k6's metrics by name and figure."""

    scheduled: int | None = None
    started: int | None = None
    dropped: int | None = None
    never_started: int | None = None
    completed: int | None = None
    failed: int | None = None
    interrupted: int | None = None
    asked_again: int = 0
    beside: Beside | None = None
    answers: AnswersLine | None = None
    closed: Sequence[str] = ()
    limit: LimitLine | None = None
    metrics: Mapping[str, Mapping[str, float | None]]
    generator: GeneratorLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """A step of the playbook, whether it was worked or not."""

    step: int
    by: str | None = None
    status: str
    started_at: float | None = None
    took_s: float | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """When the damage began, and how long after it each turn came; None without damage."""

    damage_at: float | None = None
    detected_after_s: float | None = None
    acknowledged_after_s: float | None = None
    mitigated_after_s: float | None = None
    recovered_after_s: float | None = None

    def after_s(self, turn: str) -> float | None:
        """Seconds from the damage to `detected`, `acknowledged`, `mitigated` or `recovered`."""
        found: float | None = getattr(self, f"{turn}_after_s")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPart:
    """A part of the run directory that is missing or damaged, and the reason."""

    part: str
    why: str
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that is said about a run; the fields of result.json, in its order."""

    schema: Literal[1, 2] = 2
    run: str
    experiment: str
    stack: str
    seed: int | None
    started_at: str | None
    ended_at: str | None
    verdict: VerdictName
    ended: str
    exit_code: int
    checks: Sequence[CheckLine]
    not_applicable: Sequence[NotApplicable] = ()
    faults: Sequence[FaultLine]
    alerts: Sequence[AlertOutcome]
    traffic: TrafficLine | None
    playbook: Sequence[StepLine]
    clocks: Clocks
    missing: Sequence[MissingPart] = ()
    logs: Sequence[LogOutcome] = ()

    @property
    def issuance_unchecked(self) -> bool:
        """True if the system could not be asked what it has issued."""
        return any(each.is_without_audit for each in self.not_applicable)

    def to_bytes(self, schema: int = 2) -> bytes:
        """result.json, byte for byte; half a surrogate pair is escaped as JSON does it."""
        content = _plain(self)
        for line in content["alerts"]:
            if line["cause"] is None or schema == 1:
                del line["cause"]
        for name in ("beside", "answers"):
            if content["traffic"] and content["traffic"][name] is None:  # as results ever were
                del content["traffic"][name]
        if schema == 1:
            content["schema"] = 1
            traffic = [(content["traffic"] or {}).get(name) for name in ("generator", "limit")]
            named = ("checks", "not_applicable", "missing", "logs")
            parts = [content[name] for name in named]
            for line in [*chain(*parts), *filter(None, traffic)]:
                line.pop("message", None)
                line.pop("messages", None)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Result":
        """A result as `to_bytes` wrote it. Raises ValueError with the place that is wrong."""
        text = json.dumps(json.loads(raw), ensure_ascii=False, allow_nan=False)
        try:  # half a surrogate pair is text here, as pydantic takes none
            whole = _HALF_PAIR.sub(lambda half: f"\\\\u{ord(half[0]):x}", text)
            return TypeAdapter(cls).validate_json(whole, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _plain(value: Any) -> Any:
    """A value as JSON holds it: no NaN, no noise in fractions, no tuple."""
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return round(value, 6) + 0.0  # -0.0 becomes 0.0


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
    """A line per alert that was expected or fired; those that are expected come first."""
    found = _statuses(evidence)
    expected = evidence.experiment.expect.alerts if found else []
    return [
        AlertOutcome(
            alert=one.alert,
            expected=one.expected,
            status=one.status,
            active_at=_at(evidence, one.active_at_ns),
            fired_at=_at(evidence, one.fired_at_ns),
            resolved_at=_at(evidence, one.resolved_at_ns),
            cause=one.cause,
            injected_at=_at(evidence, alert_check.injected_ns(evidence, expected[i]))
            if one.expected
            else None,
            notified_at=_at(evidence, routing.notified_ns(evidence, one, expected[i].receiver))
            if one.expected
            else None,
        )
        for i, one in enumerate(found)
    ]


def _statuses(evidence: Evidence) -> Sequence[AlertStatus]:
    return known(lambda: alert_check.statuses(evidence), [])


def logs(evidence: Evidence) -> list[LogOutcome]:
    """A line per expectation of the service's logs."""
    return [
        LogOutcome(
            name=one.expected.name,
            status=one.status,
            why=one.why.text(),
            message=one.why,
            at=_at(evidence, one.at_ns),
            count=one.count,
            lines=[
                LogLineShown(at=_at(evidence, each.at_ns), place=each.place, text=each.text)
                for each in one.lines
            ],
        )
        for one in _log_statuses(evidence)
    ]


def _log_statuses(evidence: Evidence) -> Sequence[log_check.LogStatus]:
    return known(lambda: log_check.statuses(evidence), [])


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
        asked_again=asked_again(starts),
        beside=beside(evidence.step_logs, starts),
        answers=answers(evidence, starts),
        closed=list(told.closed),
        limit=_own_limit(evidence, starts),
        metrics={name: dict(told.metrics[name]) for name in sorted(told.metrics)},
        generator=GeneratorLine(
            status=status.status,
            reasons=list(map(str, status.reasons)),
            messages=status.reasons,
            speaks_up_to_per_s=status.speaks_up_to_per_s,
            virtual_users=status.occupancy,
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


def playbook(evidence: Evidence) -> list[StepLine]:
    """A line per step of the playbook, whether it was worked or not."""
    if evidence.effective is None:
        return []
    worked = {run.step: run for run in evidence.steps if not run.undoing}
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
    """When the first step was done, or what it does outside of the playbook, after the damage."""
    line = evidence.timeline
    done = [step.ended_ns for step in line.steps if step.status == "done" and not step.undoing]
    if line.actions:
        of_steps = {step.block.do for step in evidence.plan.steps}
        known = [run for run in line.actions if run.do in of_steps and not run.undoing]
        done += [run.ended_ns for run in known if run.status == "done"]
    since_ns = evidence.anchors.damage_ns or 0
    return min((t for t in done if t is not None and t >= since_ns), default=None)
