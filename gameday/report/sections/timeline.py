"""Timeline: the journal, and the changes of alerts and objectives, as one list."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gameday.core.stack_registry import is_owned
from gameday.evidence.events import (
    ActionDone,
    ActionStarted,
    Event,
    FaultDosed,
    FaultProbed,
    FaultProven,
    FaultRemoved,
    OrderAnswered,
    OrderGiven,
    Phase,
    ResponderStarted,
    StepDone,
    StepStarted,
)
from gameday.evidence.journal import Record
from gameday.report import format
from gameday.report.charts.spans import (
    Span,
    alert_names,
    alert_spans,
    objective_names,
    objective_spans,
)
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, code, table, text
from gameday.report.messages import Messages, Value

# Of each sort; a page that is still read: a whole journal of an hour has thousands.
MOST: Final = 500
_WORDS: Final = {"ok", "injected", "gone", "removed", "status", "verified", "by", "cut", "ended"}
_PROSE: Final = {"text", "to", "why", "unit"}
_OF_A_VERDICT: Final = (StepDone, ActionDone, FaultProbed, FaultDosed, FaultRemoved, FaultProven)
_NOT_DONE: Final = {"refused", "answered", "interrupted"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, what, and where it is recorded.

    Lines of one `sort` cut none of another: nothing that is said hides what happened.
    """

    t_ns: int
    what: Markup
    ref: Markup
    sort: str = ""


def timeline(m: Material, say: Messages) -> list[Markup]:
    """The table of everything that happened."""
    entries = sorted([*_done(m, say), *_seen(m, say)], key=lambda entry: entry.t_ns)
    if not entries:
        return [say("timeline.head"), say("timeline.empty")]
    head = [say(f"timeline.col_{name}") for name in ("at", "wall", "what", "ref")]
    seen: Counter[str] = Counter()
    rows = []
    for entry in entries:
        seen[entry.sort] += 1
        if seen[entry.sort] <= MOST:
            rows.append(_row(m, entry))
    blocks = [say("timeline.head"), table(head, rows)]
    cut = [say("timeline.cut", shown=len(rows), all=len(entries))]
    return blocks + (cut if len(rows) < len(entries) else [])


def _row(m: Material, entry: Entry) -> list[Markup]:
    at_s = m.at_s(entry.t_ns)
    wall = m.wall(at_s)
    day_time = Markup("–" if wall is None else wall.strftime("%H:%M:%S"))
    return [Markup(f"{at_s:.3f}"), day_time, entry.what, entry.ref]


def _done(m: Material, say: Messages) -> Iterator[Entry]:
    """Entries of the journal; records for the facilitator alone belong to a debrief, not here."""
    for record in m.records:
        if record.audience == "all" and _is_news(record):
            ref = format.of_record(record)
            what = sentence(record, say)
            if _looks_for_others(record.event) and not is_owned(m.result.stack):
                what = say("event.phase_found")
            yield Entry(record.t_ns, what, ref, _sort(record.event))


def _looks_for_others(event: Event) -> bool:
    """True for the phase in which a stack is started, or one of others is looked for."""
    return isinstance(event, Phase) and event.phase == "stack" and not event.problem


def _sort(event: Event) -> str:
    """Sort of what is told: what people order, what a program orders, what is done, all else."""
    match event:
        case OrderGiven(through=through):
            return "ordered" if through == "person" else "ordered elsewhere"
        case OrderAnswered():
            return "answered"
        case StepStarted() | StepDone() | ActionStarted() | ActionDone():
            return "done"
        case _:
            return ""


def _is_news(record: Record) -> bool:
    """False for the end of an act, which the step or the action tells by itself."""
    event = record.event
    return not isinstance(event, OrderAnswered) or event.status in _NOT_DONE


def sentence(record: Record, say: Messages) -> Markup:
    """One record of the journal as a sentence."""
    message = _message(record, say)
    wanted = say.placeholders(message)
    data = {**record.data}
    data["text"] = data.get("text") or data.get("do")
    values = {name: _value(name, data.get(name), say) for name in wanted - {"event"}}
    if "witness" in wanted:
        values["witness"] = witness(str(data.get("witness")), say)
    for name in wanted & {"measured", "asked"}:
        values[name] = quantity(data.get(name), str(data.get("unit") or ""), say)
    if "event" in wanted:
        values["event"] = code(record.event.kind)
    what = say(message, **values)
    english = str(data.get("why") or data.get("problem") or "")
    if _says_it_all(record.event):
        return what
    if isinstance(record.event, OrderGiven) and "text" not in wanted:
        english = record.event.text or ""
    why = say.line(getattr(record.event, "message", None), english)
    if not why:
        return what
    if isinstance(record.event, _OF_A_VERDICT):
        return say("timeline.because", what=what, why=why)
    return say("timeline.why", what=what, why=why)


def _says_it_all(event: Event) -> bool:
    """True for a fault that was seen to be in effect: the numbers stand there already."""
    if isinstance(event, FaultProbed):
        return event.ok is True and event.measured is not None
    return isinstance(event, FaultDosed) and event.injected == "yes"


def witness(name: str, say: Messages) -> Markup:
    """Words for the witness of a fault."""
    known = f"witness.{name.lower()}" in say.by_id
    return say(f"witness.{name.lower()}") if known else code(name)


def quantity(value: Any, unit: str, say: Messages) -> Markup:
    """A measured value with its unit."""
    if isinstance(value, (int, float)) and unit == "share":
        return format.unit(f"{value * 100:.0f}", "percent")
    if format.has_unit(unit):
        return format.unit(say.figure(value), unit)
    return Markup(f"{say.figure(value)} {text(unit)}".rstrip())


def _message(record: Record, say: Messages) -> str:
    kind = record.event.kind
    match record.event:
        case StepStarted(undoing=True) | StepDone(undoing=True):
            kind = kind.replace("step", "undo")
        case FaultProbed(asked=None):
            kind = "fault.felt"
        case Phase(service=str()):
            kind = "measured.before"
        case Phase(phase=phase) if f"event.phase_{phase}" in say.by_id and not record.data.get(
            "problem"
        ):
            kind = f"phase.{phase}"
        case ActionStarted(undoing=True) | ActionDone(undoing=True):
            kind = kind.replace("action", "action_undo")
        case ResponderStarted(alert=""):
            kind = "responder.early"
        case OrderGiven() as given:
            kind = f"order.{_order(given)}"
        case _:
            pass
    message = f"event.{kind.replace('.', '_')}"
    return message if message in say.by_id else "event.other"


def _order(given: OrderGiven) -> str:
    """An order as the id of its sentence has it."""
    if given.step is None and given.action is None:
        return given.order.replace("-", "_")
    what = "step" if given.action is None else "action"
    return f"{'undo' if given.undo else 'act'}_{what}"


def _value(name: str, value: Any, say: Messages) -> Value:
    if name == "verified" and value is None:
        return say.word("unverified")
    if value is None:
        return None
    if name in _WORDS or isinstance(value, bool):
        return say.word(value)
    if isinstance(value, (int, float)):
        return say.figure(value)
    if isinstance(value, str):
        return say.text(value) if name in _PROSE else code(value)
    names = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return text(", ".join(value) or "–") if names else code(json.dumps(value))


def _seen(m: Material, say: Messages) -> Iterator[Entry]:
    """Entries from the evaluations: each change of an alert or an objective."""
    for alert in alert_names(m.evaluations):
        spans = alert_spans(m.evaluations, alert)
        for i, span in enumerate(spans):
            yield _entry(m, span.start_ns, say(f"event.alert_{span.state}", alert=code(alert)))
            ends = span.end_ns is not None and span.end_ns not in {s.start_ns for s in spans[i:]}
            if ends and span.end_ns is not None:
                ended = "alert_inactive" if _fired(spans[: i + 1]) else "alert_calm"
                yield _entry(m, span.end_ns, say(f"event.{ended}", alert=code(alert)))
    for objective in objective_names(m.evaluations):
        for span in objective_spans(m.in_traffic, objective)[1:]:
            what = say(f"event.objective_{span.state}", objective=code(objective))
            yield _entry(m, span.start_ns, what)


def _fired(spans: Sequence[Span]) -> bool:
    """True if the alert fired since it last was inactive, at the end of these spans."""
    for span, before in zip(reversed(spans), [*reversed(spans[:-1]), None], strict=True):
        if span.state == "firing":
            return True
        if before is None or before.end_ns != span.start_ns:
            break
    return False


def _entry(m: Material, t_ns: int, what: Markup) -> Entry:
    return Entry(t_ns, what, format.of_sample(m.at_s(t_ns)))
