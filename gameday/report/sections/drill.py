"""Debrief of a drill: what was true and what was believed, and what could have been known when.

It says what happened and asks; it blames nobody. People stand in it by their roles, and by name in
the table of roles alone. A draft of an ordinary run has no such section.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from gameday.core import files
from gameday.core.json_objects import read_object
from gameday.evidence import events
from gameday.evidence.journal import Record, RecordOf, every
from gameday.judge.course import Course, PlannedAct
from gameday.judge.response_parts import believes_right, first_right
from gameday.judge.score import Score
from gameday.report import format
from gameday.report.charts.spans import alert_names, alert_spans, objective_names, objective_spans
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code, table, text
from gameday.report.messages import Messages
from gameday.report.sections.timeline import sentence
from gameday.spec.hypotheses import chosen
from gameday.telemetry.catalogue import names as reading_names

MOST_MINUTES: Final = 240
MOST_DONE: Final = 6  # in a minute, before the rest is counted
TWICE: Final = 2.0  # a curve tells something once it is twice what it was at most before the fault
MOST_LOG_BYTES: Final = 64 * files.MIB
_MINUTE: Final = ("minute", "true", "believed", "done", "ref")
_SIGNAL: Final = ("signal", "first", "after", "ref")
_SCORE: Final = ("part", "value", "ref")
_HARM: Final = ("who", "harm", "failed", "slow", "wrong", "made")
_LOUD: Final = frozenset({"WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"})


@dataclass(frozen=True, slots=True)
class _Signal:
    """Something that could be seen, from `at_s` on."""

    at_s: float
    what: Markup
    ref: Markup


@dataclass(frozen=True, slots=True)
class _LogLine:
    """A line of a log that is JSON."""

    time: str
    level: str
    logger: str = ""


def drill(m: Material, say: Messages) -> list[Markup]:
    """The debrief, nothing for a run that was no drill."""
    if m.drill is None:
        return []
    course, score = m.drill.course, m.drill.score
    blocks = [say("debrief.head"), say("debrief.about"), *_truth(m, course, say)]
    blocks += [*_minutes(m, course, say), *_right(course, score, say), *_signals(m, course, say)]
    blocks += [*_perfect(m, course, say), *_score(score, say), *_questions(m, say)]
    return [*blocks, *_roles(m, say)]


def _planned(m: Material) -> RecordOf[events.DrillPlanned] | None:
    return m.first(events.DrillPlanned)


def _truth(m: Material, course: Course, say: Messages) -> list[Markup]:
    """The plan of the session in a sentence."""
    planned = _planned(m)
    if planned is None:
        return [say("debrief.no_plan")]
    shown = {
        "title": planned.event.title,
        "experiment": code(planned.event.experiment),
        "ref": format.of_record(planned),
        "mode": say.word(course.mode),
    }
    if course.fault_at_s is None:
        return [say("debrief.nothing_came", **shown)]
    at = format.clock(course.fault_at_s)
    right = "; ".join(planned.event.right) or None
    return [say("debrief.truth", at=at, right=right, **shown)]


def _minutes(m: Material, course: Course, say: Messages) -> list[Markup]:
    """Truth against belief, minute by minute."""
    last_s = max(course.end_s, 0.0)
    minutes = range(min(int(last_s // 60) + 1, MOST_MINUTES))
    head = [say(f"debrief.col_{name}") for name in _MINUTE]
    rows = [_minute(m, course, minute, say) for minute in minutes]
    return [say("debrief.minutes_head"), say("debrief.minutes"), table(head, rows)]


def _minute(m: Material, course: Course, minute: int, say: Messages) -> list[Markup]:
    """One minute: what was so in it, what was believed at its end, and what was done in it."""
    begin_s, end_s = minute * 60.0, minute * 60.0 + 60.0
    inside = [r for r in m.records if begin_s <= m.at_s(r.t_ns) < end_s and _is_deed(r)]
    done = [sentence(record, say) for record in inside[:MOST_DONE]]
    if len(inside) > MOST_DONE:
        done.append(say("debrief.more", n=len(inside) - MOST_DONE))
    true, of_truth = _so(m, course, begin_s, end_s, say)
    belief, declared = _belief(m, course, end_s, say)
    shown = dict.fromkeys([*of_truth, *declared, *map(format.of_record, inside[:MOST_DONE])])
    return [
        Markup(minute),
        Markup("; ".join(true)),
        belief,
        Markup("; ".join(done) or "–"),
        Markup(" ".join(shown) or "–"),
    ]


def _is_deed(record: Record) -> bool:
    kinds = (
        events.OrderGiven,
        events.AlertAcknowledged,
        events.StepDone,
        events.ActionDone,
        events.DrillHint,
        events.DrillInject,
    )
    return isinstance(record.event, kinds)


def _so(
    m: Material, course: Course, begin_s: float, end_s: float, say: Messages
) -> tuple[list[Markup], list[Markup]]:
    """The truth of a span of time: the faults that were in, and whether customers were hurt."""
    found, refs = [], []
    for fault in m.result.faults:
        inside = fault.injected_at is not None and fault.injected_at < end_s
        if inside and (fault.removed_at is None or fault.removed_at >= begin_s):
            found.append(
                say("debrief.fault_in", fault=code(fault.fault), target=code(fault.target))
            )
            refs.append(format.of_records(*m.of_fault(fault.id, events.FaultInjected)))
    for record in every(m.records, events.DrillTruth):
        if begin_s <= m.at_s(record.t_ns) < end_s:
            what, of = say.word(record.event.what), record.event.text or record.event.fault
            found.append(say("debrief.told", what=what, text=of) if of else what)
            refs.append(format.of_record(record))
    damage_s, recovered_s = course.damage_at_s, course.recovered_at_s
    if damage_s is not None and damage_s < end_s:
        hurt = recovered_s is None or recovered_s >= begin_s
        found.append(say("debrief.hurt" if hurt else "debrief.well"))
        refs.append(format.of_sample(damage_s if hurt else recovered_s))
    return found or [say("debrief.calm")], refs


def _belief(
    m: Material, course: Course, until_s: float, say: Messages
) -> tuple[Markup, list[Markup]]:
    """The last hypothesis that was declared, and the last severity."""
    orders = [r for r in every(m.records, events.OrderGiven) if m.at_s(r.t_ns) < until_s]
    declared = next((r for r in reversed(orders) if r.event.order == "declare"), None)
    severity = next((r for r in reversed(orders) if r.event.order == "severity"), None)
    told, refs = [], []
    if declared is None:
        told.append(say("debrief.no_belief"))
    else:
        said = declared.event.text or ""
        said = chosen(said, course.offered) or said
        right = believes_right(course, said)
        told.append(say("debrief.belief_right" if right else "debrief.belief", text=said))
        refs.append(format.of_record(declared))
    if severity is not None:
        told.append(text(severity.event.severity or ""))
        refs.append(format.of_record(severity))
    return Markup(", ".join(told)), refs


def _right(course: Course, score: Score, say: Messages) -> list[Markup]:
    """The time to the right hypothesis."""
    part, found = score.part("hypothesis"), first_right(course)
    shown = text(say.line(part.message, part.summary))
    ref = Markup("–") if found is None else code(f"#{found.seq}")
    return [say("debrief.to_right", how=shown, ref=ref)]


def _signals(m: Material, course: Course, say: Messages) -> list[Markup]:
    """Alerts, charts and logs that could have told, and when."""
    since_s = course.fault_at_s
    blocks = [say("debrief.signals_head")]
    if since_s is None:
        return [*blocks, say("debrief.nothing_to_see")]
    found = [
        *_alerts(m, say),
        *_objectives(m, since_s, say),
        *_curves(m, since_s, say),
        *_logs(m, say),
    ]
    after = sorted((each for each in found if each.at_s >= since_s), key=lambda each: each.at_s)
    head = [say(f"debrief.col_{name}") for name in _SIGNAL]
    rows = [
        [each.what, say.value(format.clock(each.at_s)), _after(each.at_s - since_s, say), each.ref]
        for each in after
    ]
    return (
        [*blocks, say("debrief.signals"), table(head, rows)]
        if rows
        else [
            *blocks,
            say("debrief.nothing_to_see"),
        ]
    )


def _after(seconds: float, say: Messages) -> Markup:
    return say.value(format.length(seconds))


def _alerts(m: Material, say: Messages) -> Iterator[_Signal]:
    for name in alert_names(m.evaluations):
        for state in ("pending", "firing"):
            spans = [s for s in alert_spans(m.evaluations, name) if s.state == state]
            for span in spans[:1]:
                at_s = m.at_s(span.start_ns)
                what = say(f"debrief.alert_{state}", alert=code(name))
                yield _Signal(at_s, what, format.of_sample(at_s))


def _objectives(m: Material, since_s: float, say: Messages) -> Iterator[_Signal]:
    for name in objective_names(m.evaluations):
        false = [s for s in objective_spans(m.in_traffic, name) if s.state == "false"]
        for span in [s for s in false if m.at_s(s.start_ns) >= since_s][:1]:
            at_s = m.at_s(span.start_ns)
            what = say("debrief.objective", objective=code(name))
            yield _Signal(at_s, what, format.of_sample(at_s))


def _curves(m: Material, since_s: float, say: Messages) -> Iterator[_Signal]:
    """When the figure of each dependency and objective was first twice its most of before."""
    keys = dict.fromkeys(key for each in m.evaluations for key in each.figures)
    for kind in ("dependency", "objective"):
        for name in reading_names(kind, keys):
            series = [
                (m.at_s(each.t_ns), value)
                for each in m.evaluations
                for value in [each.figures.get(f"{kind}:{name}")]
                if value is not None and np.isfinite(value)
            ]
            before = [(value, at_s) for at_s, value in series if at_s < since_s]
            most, most_at_s = max(before, default=(0.0, 0.0))
            if most <= 0:
                continue
            high = ((t, v) for t, v in series if t >= since_s and v > TWICE * most)
            for at_s, value in [first for first in [next(high, None)] if first is not None]:
                shown = {"value": say.figure(value), "most": say.figure(most)}
                what = say("debrief.curve", name=code(f"{kind} {name}"), **shown)
                refs = f"{format.of_sample(most_at_s)} {format.of_sample(at_s)}"
                yield _Signal(at_s, what, Markup(refs))


def _logs(m: Material, say: Messages) -> Iterator[_Signal]:
    """The first loud line of each log, where its lines are JSON with a time and a level.

    Its text is not shown: nobody has looked whether it may be.
    """
    start = m.wall(0.0)
    for path in sorted((m.run_dir / "logs").glob("*.log")) if start is not None else ():
        for number, line in _loud_lines(path):
            when = _time_of(line)
            since_s = m.drill.course.fault_at_s if m.drill else None
            if when is None or start is None or since_s is None:
                continue
            at_s = (when - start).total_seconds()
            if at_s >= since_s:
                shown = {"level": text(line.level), "logger": code(line.logger or path.stem)}
                ref = code(f"logs/{path.name}:{number}")
                yield _Signal(at_s, say("debrief.log", **shown), ref)
                break


def _loud_lines(path: Path) -> Iterator[tuple[int, _LogLine]]:
    try:
        raw = files.read_bytes(path, MOST_LOG_BYTES)
    except OSError:
        return
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.startswith(b"{"):
            continue
        try:
            found = read_object(_LogLine, json.loads(line))
        except (ValueError, RecursionError):
            continue
        if found.level.upper() in _LOUD:
            yield number, found


def _time_of(line: _LogLine) -> datetime | None:
    try:
        when = datetime.fromisoformat(line.time)
    except ValueError:
        return None
    return when if when.tzinfo is not None else None


def _perfect(m: Material, course: Course, say: Messages) -> list[Markup]:
    """The acts of a perfect responder."""
    blocks, planned = [say("debrief.perfect_head")], _planned(m)
    if course.fault_at_s is None:
        return [*blocks, say("debrief.perfect_nothing")]
    first_s = course.paged_at_s if course.paged_at_s is not None else course.fault_at_s
    at = {"at": format.clock(first_s), "ref": format.of_sample(first_s)}
    right = "; ".join(course.right) or None
    lines = [say("debrief.perfect_ack", **at), say("debrief.perfect_declare", right=right)]
    if course.severity is not None:
        lines.append(say("debrief.perfect_severity", severity=course.severity))
    lines += [_perfect_step(m, step, say) for step in course.planned if step.needed]
    if course.updates_every_s is not None:
        lines.append(say("debrief.perfect_updates", every=format.length(course.updates_every_s)))
    lines.append(say("debrief.perfect_clear"))
    of_plan = say("debrief.perfect", ref=format.of_record(planned))
    return [*blocks, of_plan, bullets(lines), say("debrief.person_perfect")]


def _perfect_step(m: Material, step: PlannedAct, say: Messages) -> Markup:
    steps = m.effective.steps if m.effective else ()
    intent = next((each.text for each in steps if each.number == step.number), "")
    return say("debrief.perfect_step", step=step.number, text=intent)


def _score(score: Score, say: Messages) -> list[Markup]:
    """The score, and its parts beside it."""
    value = say.word(score.status) if score.score is None else Markup(f"{score.score:.2f}")
    why = text(say.line(score.message, score.summary))
    head = [say(f"debrief.col_{name}") for name in _SCORE]
    rows = [
        [
            say(f"score.{part.name}.title"),
            text(say.line(part.message, part.summary)),
            Markup(" ".join(map(code, part.refs)) or "–"),
        ]
        for part in score.parts
    ]
    blocks = [
        say("debrief.score_head"),
        say("debrief.score", value=value, why=why),
        table(head, rows),
    ]
    return [*blocks, *_harms(score, say), say("debrief.no_rank")]


def _harms(score: Score, say: Messages) -> list[Markup]:
    if not score.harm:
        return []
    head = [say(f"debrief.col_{name}") for name in _HARM]
    rows = [
        [
            say(f"debrief.harm_{name}"),
            Markup(f"{line.harm:,.2f}".rstrip("0").rstrip(".")),
            *(say.value(number) for number in (line.failed, line.slow, line.wrong)),
            text(line.how or line.made),
        ]
        for name, line in score.harm.items()
    ]
    weights = {name: f"{weight:g}" for name, weight in score.weights.items()}
    slow = None if score.slow_ms is None else f"{score.slow_ms:g} ms"
    return [
        say("debrief.harm", slow=slow, **{f"w_{k}": v for k, v in weights.items()}),
        table(head, rows),
    ]


def _questions(m: Material, say: Messages) -> list[Markup]:
    """The questions of the scenario, and those that are always asked."""
    planned = _planned(m)
    asked: Sequence[str] = planned.event.debrief if planned else ()
    lines = [say("debrief.question", question=question) for question in asked]
    lines = lines or [
        say("debrief.question_knew"),
        say("debrief.question_helped"),
        say("debrief.question_next"),
    ]
    return [say("debrief.questions_head"), say("debrief.questions"), bullets(lines)]


def _roles(m: Material, say: Messages) -> list[Markup]:
    """Who took part: the one place with names."""
    if m.drill is None or not m.drill.roles:
        return []
    head = [say("debrief.col_role"), say("debrief.col_name")]
    rows = [[text(role), text(name)] for name, role in m.drill.roles.items()]
    return [say("debrief.roles_head"), say("debrief.roles"), table(head, rows)]
