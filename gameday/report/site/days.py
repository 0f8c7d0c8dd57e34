"""Game days on the site: read from their journals, with the report of each and links to its runs.

A day directory is `<runs>/days/<name>/`; `day.jsonl` in it has one JSON object a line, each with
`event`, and `plan`, `run`, `exit_code`, `ended` or `why` as they come. What cannot be read of it
costs that day alone.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import ExitCode
from gameday.core.json_objects import read_object
from gameday.report.comparison import plain_word
from gameday.report.messages import Messages
from gameday.report.site.draft import draft_of
from gameday.report.site.html import badge, element, joined, table
from gameday.report.site.pages import INDEX, DayLine, page

FOLDER: Final = "days"
MOST_DAYS: Final = 300
_JOURNAL: Final = "day.jsonl"
_REPORT: Final = "day.md"
_LARGEST_JOURNAL: Final = 8 * files.MIB
_MOST_ITEMS: Final = 500
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayHead:
    """The head of a plan; its other keys belong to whoever runs the day."""

    name: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRecord:
    """One line of the journal of a day, as far as the site shows it."""

    at: str = ""
    event: str = ""
    plan: DayHead | None = None
    run: str = ""
    exit_code: int | None = None
    ended: str = ""


@dataclass(frozen=True, slots=True)
class PastDay:
    """A game day as its journal tells it; `runs` are their names and exit codes."""

    dir: Path
    title: str
    started_at: str
    verdict: str
    ended: str
    runs: Sequence[tuple[str, int | None]]

    @property
    def line(self) -> DayLine:
        return DayLine(self.dir.name, self.title, self.started_at, self.verdict)


def read_days(runs_dir: Path) -> list[PastDay]:
    """The days of a folder of runs, the newest first."""
    try:
        names = sorted(os.listdir(runs_dir / FOLDER), reverse=True)
    except OSError:
        return []
    found = []
    for name in filter(_NAME.fullmatch, names[: 10 * MOST_DAYS]):
        folder = runs_dir / FOLDER / name
        with suppress(OSError, ValueError, RecursionError):
            if not folder.is_symlink():
                found.append(_read(folder))
    return found[:MOST_DAYS]


def _read(folder: Path) -> PastDay:
    """Raises OSError, ValueError for a folder that is none of a day."""
    raw = files.read_bytes(folder / _JOURNAL, _LARGEST_JOURNAL)
    entries = list(_lines(raw))
    plan = next((each.plan for each in entries if each.plan is not None), None)
    if plan is None:
        raise ValueError("its journal has no plan")
    end = next((each for each in reversed(entries) if each.event == "day.ended"), DayRecord())
    runs: dict[str, int | None] = {}
    for each in entries:
        if each.run:
            known = runs.get(each.run)
            runs[each.run] = known if each.exit_code is None else each.exit_code
    return PastDay(
        dir=folder,
        title=plan.title or plan.name or folder.name,
        started_at=entries[0].at,
        verdict=_verdict(end.exit_code),
        ended=end.ended or "interrupted",
        runs=list(runs.items())[:_MOST_ITEMS],
    )


def _lines(raw: bytes) -> Iterator[DayRecord]:
    """The lines up to the first that makes no sense."""
    for line in raw.splitlines():
        try:
            yield read_object(DayRecord, json.loads(line))
        except (ValueError, RecursionError):
            return


def _verdict(code: int | None) -> str:
    """The word for an exit code; all but two of them say that nothing is known."""
    known = {int(ExitCode.PASSED): "passed", int(ExitCode.INVALID): "failed"}
    return "unknown" if code is None else known.get(code, "unknown")


def day_page(day: PastDay, known: Collection[str], say: Messages) -> bytes:
    """One day: how it ended, its runs, and its report as it stands now."""
    ended = say.by_id.get(f"ended.{day.ended}", day.ended)
    about = element("p", badge(plain_word(day.verdict, say), day.verdict), f" – {ended}")
    rows = []
    for run, code in day.runs:
        name: str = run
        if run in known:
            name = element("a", run, href=f"../../runs/{run}/{INDEX}")
        word = _verdict(code)
        rows.append((name, badge(plain_word(word, say), word)))
    heads = [say.plain(f"site.column_{each}") for each in ("run", "verdict")]
    parts = [
        about,
        element("h2", say.plain("site.runs")),
        table(say.plain("site.runs"), heads, rows),
    ]
    report = draft_of(day.dir / _REPORT, ())
    if report is not None:
        parts += [element("h2", say.plain("site.report")), element("article", report)]
    return page(day.title, joined(parts), say, up="../../")
