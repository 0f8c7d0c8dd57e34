"""Game days on the site: read from their journals, with the report of each and links to its runs.

A day directory is `<runs>/days/<name>/`; `day.jsonl` in it has one JSON object a line, each with
`event`, and `plan`, `run`, `exit_code`, `ended` or `why` as they come. What cannot be read of it
costs that day alone.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.errors import ExitCode
from gameday.report.comparison import plain_word
from gameday.report.messages import Messages
from gameday.report.site.draft import LARGEST_BYTES, draft_html
from gameday.report.site.html import Html, badge, element, joined, table
from gameday.report.site.pages import INDEX, DayLine, page

FOLDER: Final = "days"
MOST_DAYS: Final = 300
_JOURNAL: Final = "day.jsonl"
_REPORT: Final = "day.md"
_LARGEST_JOURNAL: Final = 8 * files.MIB
_MOST_ITEMS: Final = 500
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_VERDICTS: Final = {ExitCode.PASSED: "passed", ExitCode.INVALID: "failed"}


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
    entries = list(_entries(raw))
    plan = next((e["plan"] for e in entries if isinstance(e.get("plan"), dict)), None)
    if plan is None:
        raise ValueError("its journal has no plan")
    ends = [each for each in entries if each.get("event") == "day.ended"]
    last: Mapping[str, Any] = ends[-1] if ends else {}
    code = last.get("exit_code")
    runs: dict[str, int | None] = {}
    for each in entries:
        run = each.get("run")
        if isinstance(run, str) and run:
            code_of_run = each.get("exit_code")
            runs[run] = code_of_run if type(code_of_run) is int else runs.get(run)
    return PastDay(
        dir=folder,
        title=str(plan.get("title") or plan.get("name") or folder.name),
        started_at=str(entries[0].get("at", "")),
        verdict=_VERDICTS.get(code, "unknown") if type(code) is int else "unknown",  # type: ignore[call-overload]
        ended=str(last.get("ended") or "interrupted"),
        runs=list(runs.items())[:_MOST_ITEMS],
    )


def _entries(raw: bytes) -> Iterator[dict[str, Any]]:
    """The lines up to the first that makes no sense."""
    for line in raw.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(entry, dict):
            yield entry


def day_page(day: PastDay, known: Collection[str], say: Messages) -> bytes:
    """One day: how it ended, its runs, and its report as it stands now."""
    ended = say.by_id.get(f"ended.{day.ended}", day.ended)
    about = element("p", badge(plain_word(day.verdict, say), day.verdict), f" – {ended}")
    rows = []
    for run, code in day.runs:
        name: str = run
        if run in known:
            name = element("a", run, href=f"../../runs/{run}/{INDEX}")
        word = "unknown" if code is None else _VERDICTS.get(code, "unknown")  # type: ignore[call-overload]
        rows.append((name, badge(plain_word(word, say), word)))
    heads = [say.plain(f"site.column_{each}") for each in ("run", "verdict")]
    parts = [
        about,
        element("h2", say.plain("site.runs")),
        table(say.plain("site.runs"), heads, rows),
    ]
    report = _report(day.dir / _REPORT)
    if report is not None:
        parts += [element("h2", say.plain("site.report")), element("article", report)]
    return page(day.title, joined(parts), say, up="../../")


def _report(path: Path) -> Html | None:
    if path.is_symlink():
        return None
    try:
        raw = files.read_bytes(path, LARGEST_BYTES)
    except OSError:
        return None
    return draft_html(raw.decode("utf-8", "replace"), ())
