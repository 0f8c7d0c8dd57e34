"""The alerts did their part: the expected ones fired and resolved in time, no other one fired.

From the recorded evaluations of a run the episodes of each alert are rebuilt, and each promise of
the experiment gets a status. What the record cannot show, because a deadline lies after the end of
the traffic or nothing was evaluated then, is unknown, never missed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, cast

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, valid, worst
from gameday.spec.experiment import ExpectedAlert
from gameday.telemetry.samples import AlertLine
from gameday.telemetry.sources.choice import prometheus_of

Line = tuple[int, Sequence[AlertLine]]
Status = Literal["hit", "late", "missed", "false", "truthful", "unknown"]
Policy = Literal["forbidden", "allowed"] | Collection[str]
LONGEST_GAP_NS = 5 * NS  # five scrapes in a row may be missing before what they show is unknown
VALIDITY = {
    "hit": Validity.VALID,
    "truthful": Validity.VALID,
    "unknown": Validity.UNKNOWN,
}  # all others: invalid


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that an alert was on, whatever its labels; it may never have fired."""

    alert: str
    active_at_ns: int
    fired_at_ns: int | None = None
    resolved_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """A promise: `alert` fires within so long of the injection of fault `of`, and resolves.

    With `from_damage` it counts from the first damage instead. Only alerts with all of `labels`
    are meant.
    """

    alert: str
    of: str
    fires_within_s: float
    resolves_within_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    from_damage: bool = False
    not_before_s: float | None = None
    count: int | None = None

    def means(self, alert: AlertLine) -> bool:
        """The alert has the labels of the promise."""
        return all(alert.labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """When a fault was in place, None where it never was or never left."""

    injected_at_ns: int | None
    removed_at_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The anchors of a run, in the clock of the lines."""

    traffic_start_ns: int
    traffic_end_ns: int | None
    faults: Mapping[str, FaultTimes] = field(default_factory=dict)
    breached_at_ns: int | None = None
    recovered_at_ns: int | None = None
    damage_at_ns: int | None = None

    @property
    def origin_ns(self) -> int:
        """From when on alerts count: the first injection, else the start of the traffic."""
        injected = [f.injected_at_ns for f in self.faults.values() if f.injected_at_ns is not None]
        return min(injected, default=self.traffic_start_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStatus:
    """The outcome of one alert in a run. Instants are ns of the run's clock.

    `cause` is the defect of the rules for which it broke its promise, with the cure.
    """

    alert: str
    expected: bool
    status: Status
    why: Message
    active_at_ns: int | None = None
    fired_at_ns: int | None = None
    resolved_at_ns: int | None = None
    cause: Message | None = None

    @property
    def explanation(self) -> Message:
        """Why it has the status, and which defect of the rules that is, where it was seen."""
        if self.cause is None:
            return self.why
        return Message("alert.because", why=self.why, cause=self.cause)


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
            "why": one.explanation.text(),
            "fired_at": evidence.seconds(one.fired_at_ns),
        }
        for one in found
    ]
    if not found:
        return valid("check.alerts.none")
    told = [one for one in found if VALIDITY.get(one.status, Validity.INVALID) is validity]
    whys = [Message("check.alerts.one", alert=one.alert, why=one.explanation) for one in told]
    return Verdict(validity, Message("check.all", parts=whys), shown)


def has_rules(evidence: Evidence) -> bool:
    """Somebody evaluates alert rules in this run."""
    own, system = evidence.experiment.rules, evidence.plan.system
    if prometheus_of(evidence.experiment, system) is not None:
        # Runs of before named a Prometheus, and were not read from it.
        return any(each.sampled is not None for each in evidence.readings)
    return bool(system.rules if own is None else own)


def statuses(evidence: Evidence) -> list[AlertStatus]:
    """Status of each expected alert, and of every other that must not have fired.

    More than one part of a result asks for it: it is made once for an evidence.
    """
    if not has_rules(evidence):
        return []
    if AlertStatus not in evidence.derived:
        evidence.derived[AlertStatus] = tuple(_diagnosed(evidence))
    return list(cast("Sequence[AlertStatus]", evidence.derived[AlertStatus]))


def _diagnosed(evidence: Evidence) -> list[AlertStatus]:
    from gameday.judge.alert_diagnosis import diagnosed  # which replays runs, and so reads this

    return diagnosed(evidence, statuses_by(evidence, recorded_lines(evidence)))


def recorded_lines(evidence: Evidence) -> list[Line]:
    """The alerts of each evaluation at which it is known which there were."""
    return [(e.t_ns, e.alerts) for e in evidence.readings if not e.alerts_problem]


def statuses_by(evidence: Evidence, lines: Sequence[Line]) -> list[AlertStatus]:
    """The statuses, had these been the alerts of the run."""
    expect = evidence.experiment.expect
    expected = [_promise(evidence, alert) for alert in expect.alerts]
    found = judge_alerts(lines, expected, expect.other_alerts, _times(evidence))
    return [_truthful(evidence, one) if one.status == "false" else one for one in found]


def _truthful(evidence: Evidence, alert: AlertStatus) -> AlertStatus:
    """The status of an alert that was not expected: truthful where the check it tells of failed.

    The check's own verdict is the finding then; the alert that told of it is no second one.
    """
    from gameday.judge.checks import CHECKS, run  # which list this module, too

    name = evidence.plan.system.alert_tells.get(alert.alert)
    if alert.expected or name is None:
        return alert
    verdict = run(name, CHECKS[name], evidence)
    if isinstance(verdict, NotApplicable) or verdict.validity is Validity.VALID:
        return alert
    return replace(alert, status="truthful", why=Message("alert.truthful", check=name))


def injected_ns(evidence: Evidence, alert: ExpectedAlert) -> int | None:
    """When the fault was in place that an expected alert is about."""
    return evidence.fault(_fault_of(evidence, alert)).injected_ns


def _fault_of(evidence: Evidence, alert: ExpectedAlert) -> str:
    first = min(evidence.experiment.method, key=lambda fault: fault.at, default=None)
    return alert.of or (first.id if first and first.id else "")


def _promise(evidence: Evidence, alert: ExpectedAlert) -> Expected:
    resolves = alert.resolves_within
    return Expected(
        alert=alert.alert,
        of=_fault_of(evidence, alert),
        fires_within_s=alert.fires_within.total_seconds(),
        resolves_within_s=None if resolves is None else resolves.total_seconds(),
        labels=alert.labels,
        from_damage=alert.from_ == "damage",
        not_before_s=None if alert.not_before is None else alert.not_before.total_seconds(),
        count=alert.count,
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
        damage_at_ns=evidence.anchors.damage_ns,
    )


def episodes(lines: Sequence[Line]) -> list[Episode]:
    """The episodes of every alert in the order of their beginning.

    An alert is firing while any of its label sets is. When the last firing one is gone the
    episode is over; one that is still pending then begins another.
    """
    names = sorted({a.name for _, alerts in lines for a in alerts})
    found = [episode for name in names for episode in _episodes_of(name, lines)]
    return sorted(found, key=lambda e: (e.active_at_ns, e.alert))


def _episodes_of(name: str, lines: Sequence[Line]) -> list[Episode]:
    done: list[Episode] = []
    current: Episode | None = None
    for t_ns, alerts in lines:
        mine = [a for a in alerts if a.name == name]
        firing = [a.active_at_ns for a in mine if a.state == "firing"]
        if current is not None and current.fired_at_ns is not None and not firing:
            done.append(Episode(name, current.active_at_ns, current.fired_at_ns, t_ns))
            current = None
        if not mine:
            done += [current] if current is not None else []
            current = None
        elif firing and (current is None or current.fired_at_ns is None):
            current = Episode(name, min(firing), t_ns)
        elif current is None:
            current = Episode(name, min(a.active_at_ns for a in mine))
    return done if current is None else [*done, current]


def judge_alerts(
    lines: Sequence[Line],
    expected: Sequence[Expected],
    others: Policy,
    times: Times,
    baseline: Collection[str] = (),
) -> list[AlertStatus]:
    """The status of every expected alert, then of every other that fired and should not have.

    Alerts of `baseline`, and those that fired before the first injection, are left out, as is
    what fires after the end of the traffic.
    """
    known = episodes(lines)
    before = {
        e.alert for e in known if e.fired_at_ns is not None and e.fired_at_ns < times.origin_ns
    }
    ignored = before | set(baseline)
    promised = [
        AlertStatus(
            alert=promise.alert, expected=True, status="unknown", why=Message("alert.was_firing")
        )
        if promise.alert in ignored
        else _judge_promise(promise, known, lines, times)
        for promise in expected
    ]
    spared = ignored | {promise.alert for promise in expected}
    return promised + _judge_others(known, others, times, spared)


def _judge_others(
    known: Sequence[Episode], others: Policy, times: Times, spared: Collection[str]
) -> list[AlertStatus]:
    if others == "allowed":
        return []
    allowed = set(spared) if isinstance(others, str) else {*spared, *others}
    first: dict[str, Episode] = {}
    for episode in known:
        if episode.alert not in allowed and _counts(episode, times):
            first.setdefault(episode.alert, episode)
    return [
        _status(e, "false", Message("alert.not_expected"), expected=False) for e in first.values()
    ]


def _counts(episode: Episode, times: Times) -> bool:
    fired = episode.fired_at_ns
    if fired is None or fired < times.origin_ns:
        return False
    return times.traffic_end_ns is None or fired <= times.traffic_end_ns


def _status(
    episode: Episode, status: Status, why: Message, *, expected: bool = True
) -> AlertStatus:
    return AlertStatus(
        alert=episode.alert,
        expected=expected,
        status=status,
        why=why,
        active_at_ns=episode.active_at_ns,
        fired_at_ns=episode.fired_at_ns,
        resolved_at_ns=episode.resolved_at_ns,
    )


def _judge_promise(
    promise: Expected, known: Sequence[Episode], lines: Sequence[Line], times: Times
) -> AlertStatus:
    """The status of a promise, with what it says of labels, of firing too soon and too often."""
    mine = known
    if promise.labels:
        mine = episodes([(t_ns, [a for a in al if promise.means(a)]) for t_ns, al in lines])
    found = _judge(promise, mine, lines, times)
    if found.status == "missed" and promise.labels:
        return _of_other_labels(found, promise, known, lines, times)
    if found.status not in ("hit", "late") or found.fired_at_ns is None:
        return found
    start = _start_of(promise, times)
    if promise.not_before_s is not None and start is not None:
        early_s = promise.not_before_s - (found.fired_at_ns - start) / NS
        if early_s > 0:
            return replace(found, status="false", why=Message("alert.early", early_s=early_s))
    if promise.count is None:
        return found
    times_fired = len([e for e in mine if e.alert == promise.alert and _counts(e, times)])
    if times_fired == promise.count:
        return found
    why = Message("alert.count", times=times_fired, expected=promise.count)
    return replace(found, status="false" if times_fired > promise.count else "missed", why=why)


def _of_other_labels(
    found: AlertStatus,
    promise: Expected,
    known: Sequence[Episode],
    lines: Sequence[Line],
    times: Times,
) -> AlertStatus:
    """The same where the alert did fire, with labels that are not those of the promise."""
    if not any(e.alert == promise.alert and _counts(e, times) for e in known):
        return found
    had = next(
        alert.labels
        for _, alerts in lines
        for alert in alerts
        if alert.name == promise.alert and alert.state == "firing"
    )
    wrong = [f"{key}={had.get(key, '')!r}" for key in promise.labels]
    return replace(found, why=Message("alert.other_labels", labels=", ".join(wrong)))


def _start_of(promise: Expected, times: Times) -> int | None:
    """The instant that a promise counts from, None where it never came."""
    if promise.from_damage:
        return times.damage_at_ns
    fault = times.faults.get(promise.of)
    return None if fault is None else fault.injected_at_ns


def _judge(
    promise: Expected, known: Sequence[Episode], lines: Sequence[Line], times: Times
) -> AlertStatus:
    def nothing(status: Status, why: Message) -> AlertStatus:
        return AlertStatus(alert=promise.alert, expected=True, status=status, why=why)

    fault = times.faults.get(promise.of)
    if fault is None or fault.injected_at_ns is None:
        return nothing("unknown", Message("alert.no_fault", fault=repr(promise.of)))
    start = _start_of(promise, times)
    if start is None:
        return nothing("unknown", Message("alert.no_damage"))
    deadline = start + int(promise.fires_within_s * NS)
    mine = [e for e in known if e.alert == promise.alert]
    mine = [e for e in mine if e.resolved_at_ns is None or e.resolved_at_ns > start]
    fired = [e for e in mine if _counts(e, times)]
    if fired and (fired[0].fired_at_ns or 0) < start:  # an earlier fault's, perhaps
        return _status(fired[0], "unknown", Message("alert.was_firing"))
    if fired and (fired[0].fired_at_ns or 0) <= deadline:
        return _judge_end(promise, fired, lines, times)
    shown = (fired or mine or [Episode(promise.alert, start)])[0]
    status, why = _why_not(fired, deadline, start, lines, times)
    if fired or mine:
        return _status(shown, status, why)
    return nothing(status, why)


def _why_not(
    fired: Sequence[Episode], deadline: int, start: int, lines: Sequence[Line], times: Times
) -> tuple[Status, Message]:
    """Why an alert is not known to have fired in time."""
    if times.traffic_end_ns is not None and deadline > times.traffic_end_ns:
        return "unknown", Message("alert.deadline_after_end")
    if not covers([t_ns for t_ns, _ in lines], start, deadline):
        return "unknown", Message("alert.not_evaluated")
    if not fired:
        return "missed", Message("alert.missed")
    late_s = ((fired[0].fired_at_ns or 0) - deadline) / NS
    return "late", Message("alert.late", late_s=late_s)


def covers(times: Sequence[int], start: int, end: int) -> bool:
    """Looks at these instants reach the end, one at least between, and no gap is over 5 s."""
    inside = [t_ns for t_ns in times if start <= t_ns <= end]
    edges = [start, *inside, end]
    reaches = bool(times) and times[-1] >= end and (bool(inside) or start >= end)
    return reaches and all(b - a <= LONGEST_GAP_NS for a, b in pairwise(edges))


def _judge_end(
    promise: Expected, fired: Sequence[Episode], lines: Sequence[Line], times: Times
) -> AlertStatus:
    """Judge the resolving of an alert that fired in time."""
    first = fired[0]
    if promise.resolves_within_s is None:
        return _status(first, "hit", Message("alert.in_time"))
    anchor = _resolve_anchor(promise, times)
    if anchor is None:
        return _status(first, "unknown", Message("alert.no_removal"))
    deadline = anchor + int(promise.resolves_within_s * NS)
    last = [e for e in fired if (e.fired_at_ns or 0) <= deadline][-1]
    whole = Episode(first.alert, first.active_at_ns, first.fired_at_ns, last.resolved_at_ns)
    end = last.resolved_at_ns
    limit = deadline if times.traffic_end_ns is None else min(deadline, times.traffic_end_ns)
    if end is not None and end <= limit:
        return _status(whole, "hit", Message("alert.resolved_in_time"))
    if deadline > limit:
        return _status(whole, "unknown", Message("alert.resolve_deadline_after_end"))
    if not covers([t_ns for t_ns, _ in lines], first.fired_at_ns or 0, deadline):
        return _status(whole, "unknown", Message("alert.resolving_not_evaluated"))
    late = Message("alert.never_resolved")
    if end is not None:
        late = Message("alert.resolved_late", late_s=(end - deadline) / NS)
    return _status(whole, "late", late)


def _resolve_anchor(promise: Expected, times: Times) -> int | None:
    """The later of the fault's removal and the recovery, None where one is owed and not known."""
    removed = times.faults[promise.of].removed_at_ns
    if removed is None or (times.breached_at_ns is not None and times.recovered_at_ns is None):
        return None
    return max(removed, times.recovered_at_ns or removed)
