"""Game days that are over or under way: listed, and reported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.form_file import write_form
from gameday.cli.runs import COLOURS
from gameday.cli.terminal import echo, one_line
from gameday.cli.words import say, word
from gameday.core import settings
from gameday.core.errors import ExitCode, GamedayError, UsageError

if TYPE_CHECKING:
    from gameday.calendar.day_result import ReadDay

FILES: Final = {"html": "day.html", "pdf": "day.pdf", "json": "day.json"}
_VERDICTS: Final = {ExitCode.PASSED: "passed", ExitCode.INVALID: "failed"}


def read(folder: Path) -> "ReadDay":
    """A day directory, with what is known while it is under way. Raises UnknownError."""
    from gameday.calendar.day_presence import is_under_way
    from gameday.calendar.day_result import read_day

    return read_day(folder, under_way=is_under_way(folder))


def as_json(days: Sequence[Path]) -> list[object]:
    """Each day that can be read, as `runs --days --json` has it."""
    told: list[object] = []
    for folder in days:
        try:
            result = read(folder).result
        except (GamedayError, OSError) as error:
            told.append({"day": folder.name, "problem": str(error)})
            continue
        told.append(
            {
                "day": result.day,
                "title": result.title,
                "started_at": result.started_at,
                "ended": result.ended,
                "exit_code": result.exit_code,
                "runs": [each.run for each in result.runs],
            }
        )
    return told


def print_days(days: Sequence[Path]) -> None:
    """A table of the days, below that of the runs."""
    shown = table()
    for name in ("day", "runs", "verdict", "ended", "when"):
        shown.add_column(say(f"col_{name}"), no_wrap=name == "day")
    for folder in days:
        try:
            result = read(folder).result
        except (GamedayError, OSError) as error:
            shown.add_row(one_line(folder.name), "", "", one_line(str(error)), "")
            continue
        over = result.ended != "under_way"
        code = next((each for each in _VERDICTS if each == result.exit_code), None)
        verdict = ("unknown" if code is None else _VERDICTS[code]) if over else "under way"
        ended = word(result.ended) if over else ""
        begun = result.started_at[:16].replace("T", " ")
        count, coloured = str(len(result.runs)), styled(word(verdict), COLOURS[verdict])
        shown.add_row(one_line(folder.name), count, coloured, one_line(ended), one_line(begun))
    SafeConsole().print(shown)


def report_day(
    folder: Path, form: str, output: str | None, *, status: str | None, owner: str | None
) -> None:
    """Write the report of a day in a form, or set its head. Raises UsageError, UnknownError."""
    from gameday.calendar.day_presence import is_under_way
    from gameday.calendar.day_report import FILE, write_day_report
    from gameday.cli.report import change_head

    if is_under_way(folder):
        problem = f"the game day {folder.name} is under way: it writes its own report when it ends"
        raise UsageError(problem, help="gameday stop ends it")
    day, language = read(folder), settings.language()
    if status is not None or owner is not None:
        path = folder / FILE
        if not path.exists() and not path.is_symlink():
            write_day_report(day, language)
        change_head(path, status, owner)
    elif form == "md":
        echo(str(write_day_report(day, language)))
    else:
        write_form(_made(day, form, language), form, output, folder / FILES[form])


def _made(day: "ReadDay", form: str, language: str) -> bytes:
    """The report in a form that nobody edits. Raises UsageError."""
    import os

    from gameday.calendar.day_page import day_page
    from gameday.report.html.pdf import printed

    if form == "junit":
        cure = "gameday report RUN --format junit, for each of its runs"
        raise UsageError("a game day has no junit.xml of its own", help=cure)
    if form == "json":
        return day.result.to_bytes()
    page = day_page(day, language)
    return printed(page, os.environ) if form == "pdf" else page
