"""Questions that only people can answer, each with the evidence beside it.

A machine knows what happened, not why it could: so nothing here is a conclusion. Each prompt is
raised by a rule over the result (an alert that was missed, a step that failed) and carries the
figures that raised it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gameday.evidence.events import FaultDosed, ResponderStarted
from gameday.evidence.journal import every
from gameday.judge.result import AlertOutcome, CheckLine, StepLine
from gameday.report import format
from gameday.report.causes import failures
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code
from gameday.report.messages import Messages
from gameday.report.sections.detection import delays
from gameday.report.sections.impact import last_sample, outcome_count
from gameday.report.sections.names import broke, broken, claim, names
from gameday.report.sections.response import dose, step_records

_LONG_PENDING: Final = 0.5  # more than half of the detection was the rule's own `for:`
# An alert that outlives the recovery by more keeps people awake for nothing.
_SLOW_END_S: Final = 5.0
_BAD_STEPS: Final = {"failed", "placebo"}
_PREVENTION: Final = {"short": 4, "mid": 4, "long": 2}

Prompt = tuple[Markup, Markup]


def factors(m: Material, say: Messages) -> list[Markup]:
    """Questions about what contributed, each with the evidence that raised it."""
    prompts = [*_design(m, say), *_alert_factors(m, say), *_other_factors(m, say)]
    shown = [
        Markup(
            say("factors.prompt", question=question) + "\n" + say("factors.evidence", evidence=e)
        )
        for question, e in prompts
    ]
    return [say("factors.head"), say("factors.about"), *shown]


def _design(m: Material, say: Messages) -> Iterator[Prompt]:
    faults = [fault for fault in m.result.faults if fault.injected_at is not None]
    by_a_fault = m.origin.known or m.origin.partly
    if not faults or m.result.clocks.damage_at is None or not by_a_fault:
        return
    evidence = [
        say(
            "evidence.faults",
            fault=code(fault.fault),
            target=code(str(fault.target or "–")),
            dose=dose(fault, say),
            ref=format.of_records(*m.of_fault(fault.id, FaultDosed)),
        )
        for fault in faults
    ]
    yield say("factors.always"), Markup("; ".join(evidence))


def _alert_factors(m: Material, say: Messages) -> Iterator[Prompt]:
    told = [alert for failure in failures(m.result, m.wrongs) for alert in failure.alerts]
    for i, alert in enumerate(m.result.alerts):
        name, evidence = code(alert.alert), alert_evidence(alert, i, say)
        if alert.status == "false" and alert not in told:
            yield say("factors.false_alert", alert=name), evidence
        elif alert.expected and alert.status in {"missed", "late"}:
            status = say.word(alert.status)
            yield say("factors.missed", alert=name, status=status), evidence
    yield from _pending_factor(m, say)


def _pending_factor(m: Material, say: Messages) -> Iterator[Prompt]:
    """One question for all the alerts that spent most of their way pending."""
    found = []
    for i, alert in enumerate(m.result.alerts):
        parts = delays(m, alert)
        pending, total = parts["pending"], parts["total"]
        if alert.expected and pending and total and pending > _LONG_PENDING * total:
            found.append(
                (i, alert, {"pending": format.length(pending), "total": format.length(total)})
            )
    if found:
        alerts = names(alert.alert for _, alert, _ in found)
        evidence = "; ".join(alert_evidence(alert, i, say) for i, alert, _ in found)
        yield say("factors.pending", alerts=alerts, **found[0][2]), Markup(evidence)


def _other_factors(m: Material, say: Messages) -> Iterator[Prompt]:
    for failure in failures(m.result, m.wrongs):
        evidence = Markup("; ".join(_summary(check, say) for check in failure.checks))
        name = failure.first.name
        known = f"factors.why_{name}" in say.by_id
        question = say(f"factors.why_{name}") if known else _how_come(name, say)
        yield question, evidence
    for step in bad_steps(m):
        question = say("factors.step", step=step.step, status=say.word(step.status))
        yield question, step_evidence(m, step, say)
    unknown = outcome_count(m, "unknown")
    if unknown:
        yield say("factors.unknown"), say("evidence.count", count=unknown, ref=last_sample(m))
    yield from _traffic_factors(m, say)
    mitigated, recovered = m.result.clocks.mitigated_after_s, m.result.clocks.recovered_after_s
    lag = format.difference(recovered, mitigated)
    if lag is not None and lag > _SLOW_END_S:
        times = {"mitigated": format.length(mitigated), "recovered": format.length(recovered)}
        evidence = say("evidence.clocks", **times, ref=format.of_result("clocks"))
        yield say("factors.slow_end"), evidence


def _how_come(check: str, say: Messages) -> Markup:
    return say("factors.check", broke=broken(check, say))


def _traffic_factors(m: Material, say: Messages) -> Iterator[Prompt]:
    traffic = m.result.traffic
    if traffic is None:
        return
    if traffic.dropped:
        ref = format.of_result("traffic.dropped")
        yield say("factors.saturated"), say("evidence.count", count=traffic.dropped, ref=ref)
    generator = traffic.generator
    if generator and generator.status in {"degraded", "limited"}:
        reasons = ", ".join(say.lines(generator.messages, generator.reasons))
        ref = format.of_result("traffic.generator")
        evidence = say("evidence.summary", summary=reasons or "–", ref=ref)
        yield say("factors.generator", status=say.word(generator.status)), evidence


def lessons(m: Material, say: Messages) -> list[Markup]:
    """Facts and questions: what went well, what went wrong, where luck helped."""
    blocks = [say("lessons.head")]
    for part, found in learned(m, say).items():
        blocks.append(say(f"lessons.{part}"))
        blocks += [bullets(found)] if found else []
        blocks.append(say(f"lessons.person_{part}"))
    return blocks


def learned(
    m: Material, say: Messages, *, valid_checks: bool = True
) -> Mapping[str, Sequence[Markup]]:
    """Facts that a machine can tell: what went well, what went wrong, where luck helped.

    `valid_checks`: each check that held is a fact of its own.
    """
    well = [*_well(m, say), *(_valid(m, say) if valid_checks else ())]
    return {"well": well, "wrong": [*_wrong(m, say)], "lucky": [*_lucky(m, say)]}


def _well(m: Material, say: Messages) -> Iterator[Markup]:
    for i, alert in enumerate(m.result.alerts):
        if alert.expected and alert.status == "hit":
            fired, ref = format.clock(alert.fired_at), format.of_result(f"alerts[{i}]")
            yield say("lessons.well_alert", alert=code(alert.alert), fired=fired, ref=ref)
    for step in m.result.playbook:
        if step.status == "done" and step.verified:
            ref = format.of_records(*step_records(m, step.step))
            took = format.length(step.took_s)
            yield say("lessons.well_step", step=step.step, took=took, ref=ref)


def _valid(m: Material, say: Messages) -> Iterator[Markup]:
    """The checks that held, but for those whose alerts and steps have been told one by one."""
    told = {"alerts"} if any(a.expected and a.status == "hit" for a in m.result.alerts) else set()
    done = [step for step in m.result.playbook if step.status == "done"]
    if not done or any(step.verified for step in done):
        told |= {"playbook"}  # where no step was done, nothing worked
    for check in _checks(m, "valid"):
        if check.name not in told:
            yield _lesson("well", check, say)


def _wrong(m: Material, say: Messages) -> Iterator[Markup]:
    for check in _checks(m, "invalid"):
        yield _lesson("wrong", check, say)
    for i, alert in enumerate(m.result.alerts):
        if alert.expected and alert.status in {"missed", "late"}:
            status, ref = say.word(alert.status), format.of_result(f"alerts[{i}]")
            yield say("lessons.wrong_alert", alert=code(alert.alert), status=status, ref=ref)
    for step in bad_steps(m):
        status, ref = say.word(step.status), format.of_result("playbook")
        yield say("lessons.wrong_step", step=step.step, status=status, ref=ref)


def _lucky(m: Material, say: Messages) -> Iterator[Markup]:
    unknown = outcome_count(m, "unknown")
    if unknown:
        yield say("lessons.lucky_unknown", count=unknown, ref=last_sample(m))
    started = (record.event.by for record in every(m.records, ResponderStarted))
    if "bot" in started:
        field = "clocks.acknowledged_after_s"
        after = format.length(m.result.clocks.acknowledged_after_s)
        yield say("lessons.lucky_before", after=after, ref=format.of_result(field))


def prevention(_m: Material, say: Messages) -> list[Markup]:
    """A general list, to choose from."""
    blocks = [say("prevention.head"), say("prevention.about")]
    for term, count in _PREVENTION.items():
        items = [say(f"prevention.{term}_{number}") for number in range(1, count + 1)]
        blocks += [say(f"prevention.{term}_head"), bullets(items)]
    return [*blocks, say("prevention.person")]


def _checks(m: Material, verdict: str) -> list[CheckLine]:
    return [check for check in m.result.checks if check.verdict == verdict]


def bad_steps(m: Material) -> list[StepLine]:
    """The steps that did not do what they are for."""
    return [step for step in m.result.playbook if step.status in _BAD_STEPS]


def _lesson(part: str, check: CheckLine, say: Messages) -> Markup:
    return say(
        f"lessons.{part}_check",
        what=(claim if part == "well" else broke)(check.name, say),
        summary=say.line(check.message, check.summary),
        ref=format.of_result(f"checks.{check.name}"),
    )


def _summary(check: CheckLine, say: Messages) -> Markup:
    ref = format.of_result(f"checks.{check.name}")
    return say("evidence.summary", summary=say.line(check.message, check.summary), ref=ref)


def alert_evidence(alert: AlertOutcome, i: int, say: Messages) -> Markup:
    """When the alert's condition was true and when it fired, with the source."""
    active, fired = format.clock(alert.active_at), format.clock(alert.fired_at)
    return say("evidence.alert", active=active, fired=fired, ref=format.of_result(f"alerts[{i}]"))


def step_evidence(m: Material, step: StepLine, say: Messages) -> Markup:
    """Why the step ended as it did, with the source."""
    started, done = step_records(m, step.step)
    why = done and say.line(done.event.message, done.event.why or "")
    ref = format.of_records(started, done)
    return say("evidence.step", why=why or say.word(step.status), ref=ref)
