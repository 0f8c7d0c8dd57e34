"""Detection of the incident: each alert, and the time that passed until it fired."""

from dataclasses import replace
from typing import Final

from gameday.judge.result import AlertOutcome, LogOutcome
from gameday.report import format
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, code, table, text
from gameday.report.messages import Messages
from gameday.report.sections.names import names

_COLUMNS: Final = ("alert", "expected", "status", "active", "fired", "resolved", "from")
_LOGS: Final = ("log", "status", "count", "at", "why", "from")
_LINES: Final = ("log", "at", "line", "place", "from")
_PARTS: Final = ("impact", "expression", "pending", "routing", "total")


def detection(m: Material, say: Messages) -> list[Markup]:
    """The alerts, the delays of the expected ones, what was missed and what was noise; the logs."""
    alerts = m.result.alerts
    blocks = [say("detection.head")]
    if not alerts:
        return [*blocks, say("detection.none"), *_logs(m, say), say("detection.person_plain")]
    head = [say(f"detection.col_{name}") for name in _COLUMNS]
    rows = [_row(alert, i, say) for i, alert in enumerate(alerts)]
    blocks += [say("detection.times"), table(head, rows), *_delays(m, say)]
    missed = [a.alert for a in alerts if a.expected and a.status in {"missed", "late"}]
    noise = [a.alert for a in alerts if a.status == "false"]
    blocks += [say("detection.missed", alerts=names(missed))] if missed else []
    blocks += [say("detection.false", alerts=names(noise))] if noise else []
    blocks += _causes(m, say)
    return [*blocks, *_logs(m, say), _prompt(m, say)]


def first_injection_s(m: Material) -> float | None:
    """When the first fault was in place."""
    times = [fault.injected_at for fault in m.result.faults]
    return min((at for at in times if at is not None), default=None)


def delays(m: Material, alert: AlertOutcome) -> dict[str, float | None]:
    """Seconds of each part of the way from the fault to people; None where it is not known."""
    if alert.injected_at is None:  # a result of before has none
        alert = replace(alert, injected_at=first_injection_s(m))
    return dict(alert.delays(m.result.clocks.damage_at))


def _row(alert: AlertOutcome, i: int, say: Messages) -> list[Markup]:
    # "false" is a status of an alert here, and a truth value elsewhere in a page.
    status = say.word("unexpected") if alert.status == "false" else say.word(alert.status)
    seen = [format.clock(at) for at in (alert.active_at, alert.fired_at, alert.resolved_at)]
    times = [say.word("not_seen") if at is None else at for at in seen]
    expected = say.word(bool(alert.expected))
    return [code(alert.alert), expected, status, *times, format.of_result(f"alerts[{i}]")]


def _logs(m: Material, say: Messages) -> list[Markup]:
    """What was expected of the service's logs, and the lines that show it, as they stand."""
    logs = m.result.logs
    if not logs:
        return []
    head = [say(f"detection.col_{name}") for name in _LOGS]
    rows = [_log(each, i, say) for i, each in enumerate(logs)]
    blocks = [say("detection.logs"), table(head, rows)]
    lines = [
        [code(each.name), say.value(format.clock(line.at)), code(line.text), code(line.place), ref]
        for i, each in enumerate(logs)
        for line in each.lines
        for ref in (format.of_result(f"logs[{i}]"),)
    ]
    if lines:
        head = [say(f"detection.col_{name}") for name in _LINES]
        blocks += [say("detection.log_lines"), table(head, lines)]
    return blocks


def _log(log: LogOutcome, i: int, say: Messages) -> list[Markup]:
    status = say.word("unexpected") if log.status == "false" else say.word(log.status)
    at = format.clock(log.at)
    seen = say.word("not_seen") if at is None else at
    why = text(say.line(log.message, log.why))
    return [code(log.name), status, say.value(log.count), seen, why, format.of_result(f"logs[{i}]")]


def _fired(m: Material) -> list[tuple[int, AlertOutcome]]:
    return [
        (i, alert)
        for i, alert in enumerate(m.result.alerts)
        if alert.expected and alert.fired_at is not None
    ]


def _delays(m: Material, say: Messages) -> list[Markup]:
    fired = _fired(m)
    if not fired:
        return []
    found = [(i, alert, delays(m, alert)) for i, alert in fired]
    # Who was notified is known where a receiver is: elsewhere it would be a column of nothing.
    is_routed = any(parts["routing"] is not None for _, _, parts in found)
    names = [name for name in _PARTS if name != "routing" or is_routed]
    rows = []
    for i, alert, parts in found:
        lengths = [say.value(format.length(parts[name])) for name in names]
        source = format.of_result(f"alerts[{i}]") + " " + format.of_result("clocks.damage_at")
        rows.append([code(alert.alert), *lengths, Markup(source)])
    head = [say(f"detection.col_{name}") for name in ("alert", *names, "from")]
    return [say("detection.delays"), table(head, rows)]


def _causes(m: Material, say: Messages) -> list[Markup]:
    """For each alert that broke its promise: the defect of its rule, and the cure."""
    return [
        say("detection.cause", alert=code(alert.alert), cause=say.line(alert.cause, ""), ref=source)
        for i, alert in enumerate(m.result.alerts)
        if alert.cause is not None and (source := format.of_result(f"alerts[{i}]"))
    ]


def _prompt(m: Material, say: Messages) -> Markup:
    """Asks about the longest part of the first alert's way."""
    fired = _fired(m)
    if not fired:
        return say("detection.person_plain")
    _, first = min(fired, key=lambda each: each[1].fired_at or 0.0)
    parts = {k: v for k, v in delays(m, first).items() if k != "total" and v is not None}
    if not parts:
        return say("detection.person_plain")
    longest = max(parts, key=lambda name: parts[name])
    name, length = say(f"detection.col_{longest}"), format.length(parts[longest])
    return say("detection.person", part=name, length=length)
