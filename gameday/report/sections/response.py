"""Response to the incident: the steps, the recovery, and the fault that caused it all."""

import json
from collections.abc import Collection, Iterable, Mapping
from types import UnionType
from typing import Final

from gameday.evidence import events
from gameday.evidence.effective import dump
from gameday.evidence.journal import Record, RecordOf, every
from gameday.judge.result import CheckLine, Dose, FaultLine, StepLine
from gameday.report import format
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code, table, text
from gameday.report.messages import Messages
from gameday.report.sections.names import CLOCKS, broke, claim, describe_fault, whether
from gameday.report.sections.timeline import quantity, sentence, witness

MOST_ORDERS: Final = 200  # of people, and of all others; a program may give thousands
_STEP: Final = ("step", "what", "by", "status", "started", "took", "verified", "ref")
_ORDER: Final = ("at", "order", "came", "ref")
_TRIGGER: Final = ("fault", "target", "asked", "dose", "injected", "window", "removed", "ref")
_NOT_ASKED: Final = {"fault", "target", "id"}


def response(m: Material, say: Messages) -> list[Markup]:
    """The steps, by whom, when, and whether their effect was seen."""
    blocks = [say("response.head")]
    starts = [_started(m, start, say) for start in every(m.records, events.ResponderStarted)]
    blocks += starts or [_nobody(m, say)]
    steps = m.result.playbook
    if steps:
        head = [say(f"response.col_{name}") for name in _STEP]
        blocks.append(table(head, [_step(m, step, say) for step in steps]))
    for status in ("placebo", "needs_person"):
        found = [str(step.step) for step in steps if step.status == status]
        blocks += [say(f"response.{status}", steps=", ".join(found))] if found else []
    blocks += _orders(m, say)
    ends = events.StepDone | events.ActionDone
    undone = [r for r in m.records if isinstance(r.event, ends) and r.event.undoing]
    if undone:
        lines = [
            Markup(f"{sentence(record, say)} ({format.of_record(record)})") for record in undone
        ]
        blocks += [say("response.undone"), bullets(lines)]
    return [*blocks, say("response.person")]


def step_records(
    m: Material, number: object
) -> tuple[RecordOf[events.StepStarted] | None, RecordOf[events.StepDone] | None]:
    """The journal's records of a step's begin and end, its undo not among them."""
    latest = m.records[::-1]  # it may have been worked before
    begun, over = every(latest, events.StepStarted), every(latest, events.StepDone)
    return (
        next((r for r in begun if r.event.step == number and not r.event.undoing), None),
        next((r for r in over if r.event.step == number and not r.event.undoing), None),
    )


def _nobody(m: Material, say: Messages) -> Markup:
    """The reason why nobody has taken the incident."""
    if m.effective is None or not (m.effective.no_responder or m.effective.responder):
        return say("response.none")
    if m.effective.no_responder:
        return say("response.off")
    return say("response.none" if m.effective.responder == "bot" else "response.nobody")


def _orders(m: Material, say: Messages) -> list[Markup]:
    """The orders, by whom, and what came of each."""
    given = list(every(m.records, events.OrderGiven))
    if not given:
        return []
    head = [say(f"response.col_{name}") for name in _ORDER]
    people = [record for record in given if record.event.through == "person"]
    others = [record for record in given if record.event.through != "person"]
    shown = sorted([*people[:MOST_ORDERS], *others[:MOST_ORDERS]], key=lambda each: each.seq)
    rows = [_order(m, record, say) for record in shown]
    cut = [say("response.orders_cut", shown=len(shown), all=len(given))]
    return [say("response.orders"), table(head, rows), *(cut if len(shown) < len(given) else [])]


def _order(m: Material, given: RecordOf[events.OrderGiven], say: Messages) -> list[Markup]:
    answers = every(m.records, events.OrderAnswered)
    answer = next((each for each in answers if each.event.given == given.seq), None)
    return [
        _or_dash(format.clock(m.at_s(given.t_ns))),
        sentence(given, say),
        Markup("–") if answer is None else _came_of(m, given, answer, say),
        format.of_records(given, answer),
    ]


def _came_of(
    m: Material,
    given: RecordOf[events.OrderGiven],
    answer: RecordOf[events.OrderAnswered],
    say: Messages,
) -> Markup:
    """The answer to an order, and the readings that were others after it."""
    why = text(say.line(answer.event.message, answer.event.why or ""))
    parts = [say("timeline.why", what=say.word(answer.event.status), why=why)]
    between = [each for each in m.records if given.seq < each.seq < answer.seq]
    before = _readings(between, events.StepStarted | events.ActionStarted)
    after = _readings(between, events.StepDone | events.ActionDone)
    for name, value in after.items():
        if name in before and before[name] is not value:
            shown = {"before": say.word(before[name]), "after": say.word(value)}
            parts.append(say("response.changed", name=code(name), **shown))
    return Markup("; ".join(parts))


def _readings(records: Iterable[Record], kind: type | UnionType) -> Mapping[str, bool | None]:
    """The last readings that were journaled with an event of a kind."""
    found: Mapping[str, bool | None] = {}
    for record in records:
        if isinstance(record.event, kind):
            found = getattr(record.event, "readings", None) or {}
    return found


def _started(m: Material, record: RecordOf[events.ResponderStarted], say: Messages) -> Markup:
    shown = {
        "by": say.word(record.event.by),
        "at": format.clock(m.at_s(record.t_ns)),
        "ref": format.of_record(record),
    }
    if not record.event.alert:
        return say("response.started_early", **shown)
    return say("response.started", alert=code(record.event.alert), **shown)


def _step(m: Material, step: StepLine, say: Messages) -> list[Markup]:
    started, done = step_records(m, step.step)
    ref = format.of_records(started, done)
    return [
        Markup(step.step),
        say.text(_intent(m, step.step, started)),
        say.word(step.by) if step.by else Markup("–"),
        say.word(step.status),
        _or_dash(format.clock(step.started_at)),
        _or_dash(format.length(step.took_s)),
        _or_dash(None if step.verified is None else say.word(step.verified)),
        format.of_result("playbook") if started is None and done is None else ref,
    ]


def _intent(m: Material, number: object, started: RecordOf[events.StepStarted] | None) -> str:
    """The purpose of the step, as the playbook says it."""
    steps = m.effective.steps if m.effective else ()
    planned = (step.text for step in steps if step.number == number)
    return next(planned, "") or (started.event.text if started else "")


def _or_dash(value: Markup | None) -> Markup:
    return Markup("–") if value is None else value


def recovery(m: Material, say: Messages) -> list[Markup]:
    """Durations of the recovery, counted from the damage, and whether it is over."""
    blocks = [say("recovery.head")]
    if m.result.clocks.damage_at is None:
        blocks.append(say("recovery.none"))
    else:
        head = [say(f"recovery.col_{name}") for name in ("what", "after", "ref")]
        blocks.append(table(head, [_clock(m, name, say) for name in CLOCKS]))
    removed = [_removed(m, fault, say) for fault in m.result.faults if fault.removed_at]
    verdicts = [
        _verdict(check, say) for check in map(m.check, ("recovered", "objectives")) if check
    ]
    lines = [*removed, *verdicts]
    return [*blocks, bullets(lines)] if lines else blocks


def _clock(m: Material, name: str, say: Messages) -> list[Markup]:
    after = format.length(m.result.clocks.after_s(name))
    value = say.word("not_seen") if after is None else after
    return [say(f"recovery.{name}"), value, format.of_result(f"clocks.{name}_after_s")]


def _removed(m: Material, fault: FaultLine, say: Messages) -> Markup:
    return say(
        "recovery.removed",
        id=code(fault.id),
        at=format.clock(fault.removed_at),
        removed=say.word(fault.removed),
        ref=format.of_records(*m.of_fault(fault.id, events.FaultRemoved, events.FaultProven)),
    )


def _verdict(check: CheckLine, say: Messages) -> Markup:
    shown = {
        "summary": say.line(check.message, check.summary),
        "ref": format.of_result(f"checks.{check.name}"),
    }
    if check.verdict == "unknown":
        return say("recovery.unknown", what=whether(check.name, say), **shown)
    what = (claim if check.verdict == "valid" else broke)(check.name, say)
    return say("recovery.check", what=what, **shown)


def trigger(m: Material, say: Messages) -> list[Markup]:
    """The injected faults with what was asked and what was measured."""
    blocks, faults = [say("trigger.head")], m.result.faults
    if not faults:
        return [*blocks, say("trigger.none")]
    if not any(fault.injected_at is not None for fault in faults):
        never = Markup(", ".join(map(describe_fault, faults)))
        return [*blocks, say("trigger.early", faults=never)]
    head = [say(f"trigger.col_{name}") for name in _TRIGGER]
    rows = [_fault(m, fault, say) for fault in faults]
    there = any(fault.injected == "yes" for fault in faults)
    known = say("trigger.known") if m.origin.known else say("trigger.not_all")
    about = known if there else say("trigger.unproven")
    return [*blocks, about, table(head, rows), say("trigger.person")]


def _fault(m: Material, fault: FaultLine, say: Messages) -> list[Markup]:
    window = f"{_at(fault.injected_at, say)} – {_at(fault.removed_at, say)}"
    kinds = (events.FaultInjected, events.FaultDosed, events.FaultRemoved, events.FaultProven)
    return [
        Markup(f"{code(fault.id)} {code(fault.fault)}"),
        code(fault.target) if fault.target else Markup("–"),
        asked_of(m, fault),
        dose(fault, say),
        say.word(fault.injected),
        Markup(window),
        say.word(fault.removed),
        format.of_records(*m.of_fault(fault.id, *kinds)),
    ]


def _at(at_s: float | None, say: Messages) -> Markup:
    return say.value(format.clock(at_s))


def asked_of(m: Material, fault: FaultLine, without: Collection[str] = ()) -> Markup:
    """The settings of a fault, as the experiment asked for them."""
    method = m.effective.experiment.method if m.effective else ()
    asked = next((dump(each) for each in method if each.id == fault.id), {})
    return pairs((k, v) for k, v in asked.items() if k not in {*_NOT_ASKED, *without})


def dose(fault: FaultLine, say: Messages) -> Markup:
    """Observations of a fault, one for each witness; those of an old run as their fields are."""
    value = fault.dose
    if isinstance(value, Dose):
        return Markup("; ".join(_witness(each, say) for each in value.witnesses))
    return pairs(value.items()) if value else say.value(None)


def _witness(seen: events.Observation, say: Messages) -> Markup:
    measured = quantity(seen.measured, seen.unit, say)
    told = {"witness": witness(seen.witness, say), "measured": measured, "n": say.figure(seen.n)}
    if seen.asked is None:
        return say("trigger.felt", **told)
    return say("trigger.witness", asked=quantity(seen.asked, seen.unit, say), **told)


def pairs(fields: Iterable[tuple[str, object]]) -> Markup:
    """`key: value` for each field."""
    shown = [f"{k}: {v if isinstance(v, str) else json.dumps(v)}" for k, v in fields]
    return code(", ".join(shown)) if shown else Markup("–")
