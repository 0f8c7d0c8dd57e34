"""The report of a game day as a page of its own: what stands in `day.md`, a person's words too."""

import re
from pathlib import Path
from typing import Final

from gameday.calendar.day_report import FILE as REPORT
from gameday.calendar.day_report import compose
from gameday.calendar.day_result import ReadDay
from gameday.core import files
from gameday.core.errors import ExitCode
from gameday.report import format
from gameday.report.draft_file import LARGEST_BYTES
from gameday.report.html.text_page import TextPage, text_page
from gameday.report.messages import Messages
from gameday.report.postmortem import unedited

FILE: Final = "day.html"
_LINK: Final = re.compile(r"\(\.\./\.\./([A-Za-z0-9][A-Za-z0-9._-]*)/postmortem\.md\) ([^<>()]*)")
_VERDICTS: Final = {ExitCode.PASSED: "passed", ExitCode.INVALID: "failed"}


def day_page(read: ReadDay, language: str) -> bytes:
    """The whole file."""
    say = Messages(language)
    result = read.result
    verdict = next(
        (word for code, word in _VERDICTS.items() if code == result.exit_code), "unknown"
    )
    about = TextPage(
        verdict=verdict,
        names=f"{result.day} · {result.stack}",
        note=say.plain("html.to_do_day"),
        made=say.plain("html.made_day"),
        linked=lambda made: _LINK.sub(lambda found: _to_draft(read, found), made),
    )
    with format.in_language(language):
        return text_page(_text(read, say), about, say)


def _text(read: ReadDay, say: Messages) -> str:
    """What a person has made of the report, else the report made anew."""
    path = read.folder / REPORT
    if path.is_file() and not path.is_symlink() and not unedited(path):
        try:
            return files.read_bytes(path, LARGEST_BYTES).decode("utf-8", "replace")
        except OSError:
            pass
    return compose(read, say)


def _to_draft(read: ReadDay, found: re.Match[str]) -> str:
    """A link to the page of a run of this day, or to its draft; any other stays text."""
    run, words = found[1], found[2]
    if run not in {each.run for each in read.result.runs}:
        return found[0]
    name = next((n for n in ("postmortem.html", "postmortem.md") if _is_there(read, run, n)), "")
    return f'<a href="../../{run}/{name}">{words}</a>' if name else words


def _is_there(read: ReadDay, run: str, name: str) -> bool:
    return Path(read.runs_dir, run, name).is_file()
