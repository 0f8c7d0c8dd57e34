"""The combined report of a game day: Markdown over all of its runs, made of their files alone.

What the day was to be and what came of it, each experiment's verdict and clocks, the action items
that the runs call for, and what was learned; then questions, which only those who were there can
answer. A report that somebody has edited is left alone, as the draft of a run is.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gameday.calendar.day_result import ConditionOutcome, ItemOutcome, ReadDay
from gameday.core.errors import UnknownError
from gameday.core.messages import Message, duration_text, known
from gameday.core.units import format_duration
from gameday.judge.result import Result
from gameday.report import format
from gameday.report.draft_file import front_matter
from gameday.report.inputs import Material, read_material
from gameday.report.markdown import Markup, bullets, code, table, text
from gameday.report.messages import Messages
from gameday.report.postmortem import write_draft
from gameday.report.sections.actions import proposed
from gameday.report.sections.lessons import learned
from gameday.report.sections.names import CLOCKS, names

FILE: Final = "day.md"
_QUESTIONS: Final = ("surprised", "saw", "missing", "again", "next")
_ROLES: Final = ("owner", "coordinator", "reporter", "observers")
_NONE: Final = Markup("–")


def write_day_report(read: ReadDay, language: str = "en") -> Path:
    """Write the report; where it went, which is beside an edited one. Raises OSError."""
    say = Messages(language)
    with format.in_language(language):
        return write_draft(read.folder, compose(read, say), FILE)


class _Runs:
    """The runs of a day, each read once; what cannot be read is told as such."""

    def __init__(self, read: ReadDay) -> None:
        self.read: list[tuple[ItemOutcome, Material]] = []
        self.unread: list[tuple[ItemOutcome, str]] = []
        for item in read.result.runs:
            try:
                self.read.append((item, read_material(read.runs_dir / item.run)))
            except UnknownError as error:
                self.unread.append((item, os.path.basename(error.message)))
            except (OSError, ValueError) as error:
                self.unread.append((item, str(error)))


def compose(read: ReadDay, say: Messages) -> str:
    """The whole page."""
    runs = _Runs(read)
    blocks = [
        *_title(read, say),
        *_roles(read, say),
        *_conditions(read, say),
        *_agenda(read, say),
        *_verdicts(read, runs, say),
        *_actions(runs, say),
        *_learned(runs, say),
        *_questions(read, say),
    ]
    return "\n\n".join([_head(read, say), *blocks]) + "\n\n"


def _head(read: ReadDay, say: Messages) -> Markup:
    """The front matter, as that of the draft of a run: its status, and who has to see to it."""
    result = read.result
    day = _when(result.started_at, "%Y-%m-%d")
    values = {
        "status": "draft",
        "owner": read.plan.roles.owner,
        "date": "" if day == _NONE else day,
        "day": result.day,
        "language": say.language,
    }
    return Markup(front_matter(values))


def _title(read: ReadDay, say: Messages) -> list[Markup]:
    result = read.result
    values = {
        "day": code(result.day),
        "stack": code(result.stack),
        "started": _when(result.started_at),
        "code": Markup(result.exit_code),
        "how": say(f"day.ended.{result.ended}", why=result.why),
    }
    about = (
        say("day.about", ended=_when(result.ended_at), **values)
        if result.ended_at
        else say("day.about_open", **values)
    )
    blocks = [say("day.page", title=read.plan.title), about]
    if result.damage:
        blocks.append(say("day.damage", damage=result.damage))
    return [*blocks, say("day.people")]


def _roles(read: ReadDay, say: Messages) -> list[Markup]:
    roles = read.plan.roles
    named = {
        "owner": roles.owner,
        "coordinator": roles.coordinator,
        "reporter": roles.reporter,
        "observers": ", ".join(roles.observers),
    }
    rows = [
        [say(f"day.roles.{role}"), text(named[role]) if named[role] else say("day.roles.person")]
        for role in _ROLES
    ]
    return [say("day.roles.head"), table([say("day.roles.role"), say("day.roles.who")], rows)]


def _conditions(read: ReadDay, say: Messages) -> list[Markup]:
    head = [say("day.go.head")]
    if not read.result.conditions:
        return [*head, say("day.go.none")]
    rows = [
        [
            code(each.name),
            _when(each.at, "%H:%M:%S"),
            say("day.go.yes" if each.go else "day.go.no"),
            text(_seen(each, say)),
        ]
        for each in read.result.conditions
    ]
    heads = [say(f"day.go.{name}") for name in ("condition", "at", "answer", "seen")]
    return [*head, table(heads, rows)]


def _seen(condition: ConditionOutcome, say: Messages) -> str:
    """What was seen, in the language of the report where it was journaled by its id."""
    told = known(condition.message, condition.why)
    return told.text(say.language) if isinstance(told, Message) else told


def _agenda(read: ReadDay, say: Messages) -> list[Markup]:
    heads = ("at", "item", "planned", "took", "outcome", "run")
    rows = [
        [
            _when(item.started_at, "%H:%M:%S"),
            _item(item, say),
            _length(timedelta(seconds=round(item.planned_s)), say),
            _took(item, say),
            _outcome(item, say),
            _link(item, say) if item.run else _NONE,
        ]
        for item in read.result.agenda
    ]
    shown = table([say(f"day.agenda.{head}") for head in heads], rows)
    return [say("day.agenda.head"), shown]


def _item(item: ItemOutcome, say: Messages) -> Markup:
    if not item.experiment:
        return say("day.agenda.break")
    marks = [say(f"day.agenda.{name}") for name in ("short", "optional") if getattr(item, name)]
    shown = Markup(f" ({', '.join(marks)})" if marks else "")
    return say("day.agenda.experiment", experiment=code(item.experiment), marks=shown)


def _outcome(item: ItemOutcome, say: Messages) -> Markup:
    if item.status == "left_out":
        known = item.why in ("asked", "no_time")
        return say(f"day.status.{item.why}") if known else say("day.status.left_out")
    if item.verdict and item.status == "done":
        ended = f"ended.{item.ended}"
        how = f" ({say(ended)})" if item.ended != "completed" and ended in say.by_id else ""
        return Markup(f"**{say.word(item.verdict)}**{how}")
    if item.status == "done" and item.experiment:
        why = say("day.status.because", why=item.why) if item.why else Markup("")
        return say("day.status.no_verdict", why=why)
    return say(f"day.status.{item.status}", why=item.why)


def _verdicts(read: ReadDay, runs: _Runs, say: Messages) -> list[Markup]:
    head = [say("day.verdicts.head")]
    if not read.result.runs:
        return [*head, say("day.verdicts.none")]
    heads = [say(f"day.verdicts.{name}") for name in ("experiment", "verdict", *CLOCKS)]
    rows = [
        [
            code(item.experiment),
            say.word(m.result.verdict),
            *(format.length(m.result.clocks.after_s(turn)) or _NONE for turn in CLOCKS),
            _link(item, say),
        ]
        for item, m in runs.read
    ]
    shown = (
        [table([*heads, say("day.agenda.run")], rows), say("day.verdicts.about")] if rows else []
    )
    found = [_findings(item, m.result, say) for item, m in runs.read]
    return [*head, *shown, *([bullets(found)] if found else []), *_unread(runs, say)]


def _findings(item: ItemOutcome, result: Result, say: Messages) -> Markup:
    parts = []
    for verdict in ("invalid", "unknown"):
        found = [check.name for check in result.checks if check.verdict == verdict]
        parts += [say(f"day.verdicts.{verdict}", checks=names(found))] if found else []
    checks = Markup("; ".join(parts)) if parts else say("day.verdicts.nothing")
    return say("day.verdicts.findings", experiment=code(item.experiment), checks=checks)


def _unread(runs: _Runs, say: Messages) -> list[Markup]:
    return [say("day.learned.unread", run=code(item.run), why=why) for item, why in runs.unread]


def _actions(runs: _Runs, say: Messages) -> list[Markup]:
    head, blocks = say("day.actions.head"), list[Markup]()
    for item, m in runs.read:
        found = [*proposed(m, say)]
        if found:
            blocks.append(_of("day.actions.of", item, say))
            shown = [say("day.actions.item", what=e.what, evidence=e.evidence) for e in found]
            blocks.append(Markup("\n".join(shown)))
    return [head, say("day.actions.about"), *blocks] if blocks else [head, say("day.actions.none")]


def _learned(runs: _Runs, say: Messages) -> list[Markup]:
    blocks = [say("day.learned.head")]
    for item, m in runs.read:
        parts = {
            part: found for part, found in learned(m, say, valid_checks=False).items() if found
        }
        if parts:
            blocks.append(_of("day.learned.of", item, say))
        for part, found in parts.items():
            blocks += [say(f"day.learned.{part}"), bullets(found)]
    return blocks if len(blocks) > 1 else [*blocks, say("day.learned.none")]


def _questions(read: ReadDay, say: Messages) -> list[Markup]:
    """Questions of every day, and those of its file; the answers are for people."""
    every: Sequence[str] = [say(f"day.questions.{name}") for name in _QUESTIONS]
    listed = [
        f"{say('day.questions.question', question=question)}\n{say('day.questions.answer')}"
        for question in [*every, *read.plan.questions]
    ]
    about = say("day.questions.about")
    return [say("day.questions.head"), about, Markup("\n".join(listed))]


def _of(id_: str, item: ItemOutcome, say: Messages) -> Markup:
    return say(id_, experiment=code(item.experiment), run=code(item.run))


def _link(item: ItemOutcome, say: Messages) -> Markup:
    """The draft of a run, from the folder of the day; `day_result` knows its name to be plain."""
    return say("day.verdicts.draft", path=Markup(f"../../{item.run}/postmortem.md"))


def _when(at: str, how: str = "%Y-%m-%d %H:%M:%S %Z") -> Markup:
    """A time of day in the zone of this machine, "–" for none."""
    try:
        return Markup(f"{datetime.fromisoformat(at).astimezone():{how}}".strip())
    except (ValueError, OverflowError):
        return _NONE


def _took(item: ItemOutcome, say: Messages) -> Markup:
    try:
        took = datetime.fromisoformat(item.ended_at) - datetime.fromisoformat(item.started_at)
    except (ValueError, TypeError, OverflowError):
        return _NONE
    return _length(timedelta(seconds=max(0, round(took.total_seconds()))), say)


def _length(value: timedelta, say: Messages) -> Markup:
    return Markup(duration_text(format_duration(value), say.language))
