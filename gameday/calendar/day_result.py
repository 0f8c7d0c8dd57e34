"""A game day in figures: a fold of its journal, and of the results that its runs have left.

Everything in `day.json` is derived, so it can be made again from a day directory at any time: of a
killed day it says what was done until then.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from gameday.calendar.day_journal import (
    DayEnded,
    DayEntry,
    DayPlan,
    PlannedItem,
    ReadJournal,
    read_journal,
)
from gameday.calendar.day_run import worst
from gameday.core import files
from gameday.core.errors import ExitCode
from gameday.core.json_objects import plain
from gameday.core.messages import Message
from gameday.judge.result import Result

FILE: Final = "day.json"
RESULT: Final = "result.json"
LARGEST_BYTES: Final = 64 * files.MIB
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)

ItemStatus = Literal["done", "refused", "interrupted", "left_out", "not_begun", "under_way"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutcome:
    """An item of the agenda, and what came of it. `experiment` is "" for a break."""

    experiment: str
    title: str
    short: bool
    optional: bool
    planned_s: float
    status: ItemStatus
    started_at: str = ""
    ended_at: str = ""
    run: str = ""
    verdict: str = ""
    exit_code: int | None = None
    ended: str = ""
    why: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionOutcome:
    """The answer to a go / no-go condition."""

    name: str
    at: str
    go: bool
    why: str
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """Everything that is said of a day; the fields of day.json, in its order."""

    schema: int = 1
    day: str
    name: str
    title: str
    stack: str
    started_at: str
    ended_at: str
    ended: str
    why: str
    exit_code: int
    agenda: Sequence[ItemOutcome]
    conditions: Sequence[ConditionOutcome]
    damage: str = ""

    @property
    def runs(self) -> Sequence[ItemOutcome]:
        """The items that have a run directory."""
        return [each for each in self.agenda if each.run]

    def to_bytes(self) -> bytes:
        """day.json."""
        return (json.dumps(plain(self), indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True)
class ReadDay:
    """A day directory that was read."""

    folder: Path
    plan: DayPlan
    result: DayResult

    @property
    def runs_dir(self) -> Path:
        """The folder of the run directories, which the folder of the days lies in."""
        return self.folder.absolute().parent.parent


def read_day(folder: Path, *, under_way: bool = False) -> ReadDay:
    """Read a day directory. Raises UnknownError where it is none."""
    read = read_journal(folder)
    plan = read.entries[0].plan
    assert plan is not None  # `read_journal` has looked
    return ReadDay(folder, plan, _result(folder, plan, read, under_way=under_way))


def _result(folder: Path, plan: DayPlan, read: ReadJournal, *, under_way: bool) -> DayResult:
    entries, start = read.entries, read.entries[0]
    end = next((each for each in reversed(entries) if each.event == "day.ended"), None)
    over = end is not None or not under_way
    agenda = [
        _item(index, item, entries, folder, over=over) for index, item in enumerate(plan.agenda)
    ]
    codes = [code for each in agenda for code in _codes(each.exit_code)]
    if end is None:
        codes.append(ExitCode.ABORTED)
    else:
        codes += _codes(end.exit_code)
    ended: str = "under_way" if not over else "interrupted"
    if end is not None and end.ended in get_args(DayEnded):
        ended = end.ended
    return DayResult(
        day=folder.absolute().name,
        name=plan.name,
        title=plan.title,
        stack=plan.stack,
        started_at=start.at,
        ended_at="" if end is None else end.at,
        ended=ended,
        why="" if end is None else end.why,
        exit_code=int(worst(codes)),
        agenda=agenda,
        conditions=list(_conditions(entries)),
        damage=read.damage,
    )


def _codes(number: int | None) -> Sequence[ExitCode]:
    """The exit code of that number, none where there is no such code."""
    return [code for code in ExitCode if code == number]


def _conditions(entries: Sequence[DayEntry]) -> Iterator[ConditionOutcome]:
    for each in entries:
        if each.event == "condition":
            yield ConditionOutcome(
                name=each.name, at=each.at, go=each.go is True, why=each.why, message=each.message
            )


def _item(
    index: int, item: PlannedItem, entries: Sequence[DayEntry], folder: Path, *, over: bool
) -> ItemOutcome:
    mine = {each.event: each for each in entries if each.item == index}
    outcome = ItemOutcome(
        experiment=item.experiment,
        title=item.title,
        short=item.short,
        optional=item.optional,
        planned_s=item.planned_s,
        status="not_begun",
        note=item.note,
    )
    if left := mine.get("item.left_out"):
        return replace(outcome, status="left_out", why=left.why)
    start, begun, end = (mine.get(e) for e in ("item.started", "run.begun", "item.ended"))
    if start is None:
        return outcome
    run = next((each.run for each in (end, begun) if each and _RUN.fullmatch(each.run)), "")
    outcome = replace(outcome, started_at=start.at, run=run)
    if end is None:
        status: ItemStatus = "interrupted" if over else "under_way"
        return _with_verdict(replace(outcome, status=status), folder)
    known = end.exit_code in set(ExitCode)
    if not item.experiment and end.ended != "completed":
        return replace(outcome, status="interrupted", ended_at=end.at, ended=end.ended)
    refused = bool(item.experiment) and not run
    return _with_verdict(
        replace(
            outcome,
            status="refused" if refused else "done",
            ended_at=end.at,
            exit_code=end.exit_code if known else None,
            ended=end.ended,
            why=end.why,
        ),
        folder,
    )


def _with_verdict(outcome: ItemOutcome, folder: Path) -> ItemOutcome:
    """The item with the verdict of its result, where it has left one that can be read."""
    result = result_of(folder.absolute().parent.parent, outcome.run) if outcome.run else None
    if result is None:
        return outcome
    code = outcome.exit_code
    return replace(
        outcome,
        verdict=result.verdict,
        exit_code=result.exit_code if code is None and result.exit_code in set(ExitCode) else code,
        ended=result.ended,
    )


def result_of(runs_dir: Path, run: str) -> Result | None:
    """The result of a run of the day, None where there is none that can be read."""
    try:
        return Result.from_bytes(files.read_bytes(runs_dir / run / RESULT, LARGEST_BYTES))
    except (OSError, ValueError):
        return None
