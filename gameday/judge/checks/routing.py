"""Routing: whoever is to be paged was paged. Every expected alert that fired was notified of.

Alertmanager waits for more of a group (`group_wait`, 30 s by default) before it notifies of it, so
a notification that has not come in that time is missing, and one that still may come is unknown.
"""

from collections.abc import Collection, Sequence

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.checks.alerts import AlertStatus, statuses
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, unknown, worst
from gameday.telemetry.samples import Evaluation, NotificationLine, RoutingLine

GROUP_WAIT_S = 30.0
SHOWN = 5
EARLY_S = 2.0  # a notification may be seen before the evaluation that shows the alert firing


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Each expected alert that fired reached a receiver."""
    if not evidence.evaluations and evidence.plan.system.alertmanager is None:
        return lacking("lacks.alertmanager")
    lines = [each for each in evidence.readings if each.routing is not None]
    if not lines:
        return lacking("lacks.alertmanager")
    expected = [one for one in statuses(evidence) if one.expected]
    if not expected:
        return lacking("lacks.alerts")
    received = _received(lines)
    if received is None:
        return unknown("check.routing.no_receiver")
    to = {each.alert: each.receiver for each in evidence.experiment.expect.alerts}
    found = [_judge(one, lines, received, to.get(one.alert)) for one in expected]
    validity = worst([each for each, _ in found])
    parts = [
        Message("check.routing.one", alert=one.alert, why=why)
        for one, (each, why) in zip(expected, found, strict=True)
        if each is validity
    ]
    shown = [
        {"alert": n.name, "state": n.state, "receiver": n.receiver, "at": evidence.seconds(n.at_ns)}
        for n in received
    ]
    return Verdict(validity, Message("check.all", parts=parts), shown[:10])


def notified_ns(evidence: Evidence, alert: AlertStatus, to: str | None) -> int | None:
    """When a receiver, or the one that is named, first heard that the alert fires."""
    lines = [each for each in evidence.evaluations if each.routing is not None]
    return _first(alert, _received(lines) or [], to)


def _first(alert: AlertStatus, received: list[NotificationLine], to: str | None) -> int | None:
    if alert.fired_at_ns is None:
        return None
    since_ns = alert.fired_at_ns - int(EARLY_S * NS)
    ats = (
        one.at_ns
        for one in received
        if one.name == alert.alert
        and one.state == "firing"
        and one.at_ns >= since_ns
        and to in (None, one.receiver)
    )
    return next(ats, None)


def _received(lines: list[Evaluation]) -> list[NotificationLine] | None:
    """Every notification of the run; None where there was no receiver."""
    told = [each.routing.notified for each in lines if each.routing is not None]
    if all(each is None for each in told):
        return None
    return [one for each in told for one in each or ()]


def _judge(
    alert: AlertStatus,
    lines: list[Evaluation],
    received: list[NotificationLine],
    to: str | None,
) -> tuple[Validity, Message]:
    if alert.fired_at_ns is None:
        return Validity.UNKNOWN, Message("check.routing.not_fired")
    at_ns = _first(alert, received, to)
    if at_ns is not None:
        after_s = max(0.0, (at_ns - alert.fired_at_ns) / NS)
        return Validity.VALID, Message("check.routing.notified", after_s=after_s)
    return _unnotified(alert, lines, received, to)


def _unnotified(
    alert: AlertStatus,
    lines: list[Evaluation],
    received: list[NotificationLine],
    to: str | None,
) -> tuple[Validity, Message]:
    """Why nobody is known to have been notified of an alert that fired."""
    fired_ns = alert.fired_at_ns or 0
    since_ns = fired_ns - int(EARLY_S * NS)
    after = [e.routing for e in lines if e.t_ns >= since_ns and e.routing is not None]
    mine = [n for n in received if n.name == alert.alert and n.state == "firing"]
    others = {n.receiver for n in mine if n.at_ns >= since_ns}
    cause = _cause(alert, after, to)
    if others:
        elsewhere = Message("check.routing.other_receiver", receivers=_joined(others), to=to)
        return Validity.INVALID, _with(elsewhere, cause)
    if any(alert.alert in each.suppressed for each in after):
        return Validity.INVALID, cause or Message("check.routing.suppressed")
    if problem := next((each.problem for each in after if each.problem), ""):
        return Validity.UNKNOWN, Message("check.routing.problem", why=problem)
    shown_s = max(0.0, (lines[-1].t_ns - fired_ns) / NS)
    receivers, wait_s = _waits(alert, after)
    if cause is None and shown_s <= wait_s:
        told = Message("check.routing.may_wait", after_s=shown_s, of=receivers, wait_s=wait_s)
        short = Message("check.routing.too_short", after_s=shown_s)
        return Validity.UNKNOWN, told if receivers else short
    return Validity.INVALID, _with(Message("check.routing.not_notified", after_s=shown_s), cause)


def _with(what: Message, cause: Message | None) -> Message:
    return what if cause is None else Message("check.all", parts=[what, cause])


def _cause(alert: AlertStatus, after: Sequence[RoutingLine], to: str | None) -> Message | None:
    """What in Alertmanager kept the notification from the receiver, and the cure.

    None where it told nothing that explains it: runs of before did not ask it.
    """
    routed = [o for e in after for o in e.routed or () if o.alert == alert.alert]
    if silences := {by for one in routed for by in one.silenced_by}:
        return Message("check.routing.silenced", by=_joined(silences))
    if inhibitors := {by for one in routed for by in one.inhibited_by}:
        return Message("check.routing.inhibited", by=_joined(inhibitors))
    receivers = {name for one in routed for name in one.receivers}
    if to is not None and receivers and to not in receivers:
        return Message("check.routing.routed_to", receivers=_joined(receivers), to=to)
    failed = max((each.failed or 0 for each in after), default=0)
    if failed and receivers:
        return Message("check.routing.undelivered", n=failed, receivers=_joined(receivers))
    names, wait_s = _waits(alert, after)
    if names and alert.resolved_at_ns is not None and alert.fired_at_ns is not None:
        on_s = (alert.resolved_at_ns - alert.fired_at_ns) / NS
        if wait_s >= on_s:  # Alertmanager never tells of what is over by then
            return Message("check.routing.waits", of=names, wait_s=wait_s, on_s=on_s)
    return None


def _waits(alert: AlertStatus, after: Sequence[RoutingLine]) -> tuple[str, float]:
    """The receivers of an alert, and for how long they wait at most; "" and 30 s if not known."""
    routed = [o for e in after for o in e.routed or () if o.alert == alert.alert]
    receivers = {name for one in routed for name in one.receivers}
    waits = {name: wait_s for each in after for name, wait_s in (each.waits or {}).items()}
    known = [wait_s for name in receivers if (wait_s := waits.get(name)) is not None]
    return (_joined(receivers), max(known)) if known else ("", GROUP_WAIT_S)


def _joined(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN])
