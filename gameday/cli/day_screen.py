"""The screen of a game day: where it is on its agenda, and in the end how it went."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.terminal import echo, one_line
from gameday.cli.words import duration, line, spoken
from gameday.core.messages import Message
from gameday.core.units import format_duration

if TYPE_CHECKING:
    from gameday.calendar.day_journal import DayEntry, DayPlan, PlannedItem
    from gameday.calendar.day_result import DayResult, ItemOutcome

_COLOURS = {"passed": "green", "failed": "red", "unknown": "yellow"}


def lines_of(entry: "DayEntry", plan: "DayPlan") -> Iterator[str]:
    """Lines for people about a line of the journal."""
    language = spoken()

    def say(id_: str, **values: str | int) -> str:
        return Message(f"day.screen.{id_}", **values).text(language)

    if entry.event == "condition":
        why = line(entry.message, entry.why)
        yield say("condition_yes" if entry.go else "condition_no", name=entry.name, why=why)
    if entry.event == "day.ended":
        yield say("ended", how=ending(entry.ended, entry.why))
    if entry.item is None or entry.event not in ("item.started", "item.left_out"):
        return
    item = plan.agenda[entry.item]
    where = {"number": entry.item + 1, "count": len(plan.agenda)}
    if entry.event == "item.left_out":
        why = Message(f"day.status.{entry.why}").text(language)
        yield say("left_out", **where, what=what(item), why=why)
        return
    if item.experiment:
        yield say("item", **where, what=what(item))
    else:
        length = timedelta(seconds=item.planned_s)
        until = datetime.fromisoformat(entry.at).astimezone() + length
        yield say("break", **where, length=format_duration(length), until=f"{until:%H:%M:%S}")
    if item.note:
        yield say("note", note=item.note)


def what(item: "PlannedItem | ItemOutcome") -> str:
    """An item in a few words."""
    language = spoken()
    if not item.experiment:
        return Message("day.agenda.break").text(language)
    marks = [name for name in ("short", "optional") if getattr(item, name)]
    shown = ", ".join(Message(f"day.agenda.{name}").text(language) for name in marks)
    return f"{item.experiment} ({shown})" if shown else item.experiment


def ending(ended: str, why: str) -> str:
    """The end of a day, in words."""
    return Message(f"day.ended.{ended}", why=why).text(spoken())


def show_day(result: "DayResult") -> None:
    """Print the agenda as it went."""
    language = spoken()
    heads = ("at", "item", "took", "outcome", "run")
    drawn = table(*(Message(f"day.agenda.{head}").text(language) for head in heads))
    for item in result.agenda:
        begun, took = local(item.started_at), took_text(item)
        outcome = (
            Message(f"word.{item.verdict}").text(language)
            if item.verdict
            else Message(f"day.status.{_status(item)}", why=item.why).text(language)
        )
        shown = styled(one_line(outcome.replace("**", "")), _COLOURS.get(item.verdict, ""))
        drawn.add_row(begun, one_line(what(item)), took, shown, one_line(item.run))
    SafeConsole().print(drawn)
    echo()
    echo(Message("day.screen.ended", how=ending(result.ended, result.why)).text(language))


def _status(item: "ItemOutcome") -> str:
    return (
        item.why if item.status == "left_out" and item.why in ("asked", "no_time") else item.status
    )


def local(at: str) -> str:
    """The time of day here, "–" for one that is not known."""
    try:
        return f"{datetime.fromisoformat(at).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError):
        return "–"


def took_text(item: "ItemOutcome") -> str:
    """The time that it took, "–" where that is not known."""
    try:
        begun, ended = (
            datetime.fromisoformat(at).astimezone(UTC) for at in (item.started_at, item.ended_at)
        )
    except (ValueError, OverflowError):
        return "–"
    return duration(timedelta(seconds=max(0, round((ended - begun).total_seconds()))))
