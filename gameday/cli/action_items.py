"""`gameday action-items`: what is still to be done, over all runs."""

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.options import runs_option
from gameday.cli.terminal import echo, emit, one_line, warn
from gameday.cli.words import sentence

if TYPE_CHECKING:
    from rich.text import Text

    from gameday.report.action_items import RunItem

COLOURS = {"open": "yellow", "broken again": "red", "closed": "green", "done": "green"}
_ID = 24  # letters of an id that a person chose
_LONGEST = 160  # letters of a title in the table; --json has all of it


@click.command("action-items")
@runs_option
@click.option("--open/--all", "only_open", default=True, help="Those to do (default), or all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def action_items(runs_dir: Path, *, only_open: bool, as_json: bool) -> None:
    """List the action items of all drafts, and of the reports of game days: who does what by when.

    An item that names an experiment and an expectation is closed when a later run of that
    experiment finds the expectation valid; the drafts themselves are not changed.
    """
    from gameday.cli.find_run import list_days, list_runs
    from gameday.core.clock import wall_time_ns
    from gameday.report.action_items import collect
    from gameday.report.result_json import item_line

    found = collect([*list_runs(runs_dir), *list_days(runs_dir)])
    for problem in found.problems:
        warn(problem)
    items = [each for each in found.items if each.is_open or not only_open]
    if as_json:
        emit(json.dumps([asdict(item_line(each)) for each in items], indent=1) + "\n")
        return
    if not items:
        echo(sentence("items.none_open" if only_open else "items.none", runs=str(runs_dir)))
        return
    today = datetime.fromtimestamp(wall_time_ns() / 1e9, UTC).date()
    heads = ("item", "state", "due", "owner", "type", "what")
    told = table(*(sentence(f"items.{head}") for head in heads))
    for each in items:
        told.add_row(*_row(each, today))
    SafeConsole().print(told)


def _row(each: "RunItem", today: date) -> "list[str | Text]":
    item = each.item
    due = "-" if item.due is None else item.due.isoformat()
    late = each.is_overdue(today)
    state = sentence(f"items_state.{each.state.replace(' ', '_')}")
    if each.by:
        state = sentence("items.by", state=state, run=each.by[-4:])
    title = one_line(item.title)
    if item.experiment and item.expect:
        test = sentence("items.test", experiment=item.experiment, expect=", ".join(item.expect))
        title = f"{title[:_LONGEST]} {one_line(test)[:_LONGEST]}"
    return [
        one_line(item.id)[:_ID] or one_line(each.run)[-4:],
        styled(state, COLOURS[each.state]),
        styled(sentence("items.overdue", due=due) if late else due, "red" if late else ""),
        one_line(item.owner)[:40] or "-",
        item.type or "-",
        title[: 2 * _LONGEST],
    ]
