"""The summary of a run on the page of a GitHub Actions job: Markdown, appended to a file.

GitHub names the file in `GITHUB_STEP_SUMMARY` and nobody else sets that, so a run in a job writes
it without being asked. What a run met is escaped as in a postmortem. A check that holds is counted;
one that does not is a line.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gameday.judge.result import CheckLine, Result
from gameday.report.markdown import Markup, code, table
from gameday.report.messages import Messages

MOST_CHECKS: Final = 50  # GitHub takes 1 MiB of a step and drops what is more; this is 50 KB
_MARKS: Final = {"passed": "✅", "failed": "❌"}
_CLOCKS: Final = ("detected", "acknowledged", "mitigated", "recovered")


def append(path: Path, result: Result, title: str = "", language: str = "en") -> None:
    """Append the summary of a run to the file of the step. Raises OSError."""
    raw = (step_summary(result, title, language) + "\n\n").encode("utf-8", "replace")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
    try:
        os.write(file, raw)
    finally:
        os.close(file)


def step_summary(result: Result, title: str = "", language: str = "en") -> Markup:
    """A heading with the verdict, what does not hold, and the clocks."""
    say = Messages(language)
    return Markup("\n\n".join(part for part in _parts(result, title, say) if part))


def _parts(result: Result, title: str, say: Messages) -> Iterator[Markup]:
    yield say(
        "github.head",
        mark=Markup(_MARKS.get(result.verdict, "❔")),
        experiment=code(result.experiment),
        verdict=say.word(result.verdict),
    )
    yield say.value(title)
    known = f"exit.{result.exit_code}"
    meaning = say(known) if known in say.by_id else None
    yield say("github.exit", code=result.exit_code, meaning=meaning)
    wrong = [each for each in result.checks if each.verdict != "valid"]
    yield say("github.valid", valid=len(result.checks) - len(wrong), all=len(result.checks))
    if wrong:
        head = [say("github.verdict"), say("github.check"), say("github.found")]
        yield table(head, [_row(each, say) for each in wrong[:MOST_CHECKS]])
    if len(wrong) > MOST_CHECKS:
        yield say("github.more", count=len(wrong) - MOST_CHECKS)
    yield _clocks(result, say)
    yield say("github.evidence", run=code(result.run), command=code(f"gameday report {result.run}"))


def _row(check: CheckLine, say: Messages) -> list[Markup]:
    found = say.value(say.line(check.message, check.summary))
    return [say.word(check.verdict), code(check.name), found]


def _clocks(result: Result, say: Messages) -> Markup:
    """How long it took from the damage on; nothing where there was none."""
    if result.clocks.damage_at is None:
        return Markup("")
    after_s = [getattr(result.clocks, f"{name}_after_s") for name in _CLOCKS]
    shown = [
        say.word("unknown") if s is None else say("github.seconds", s=say.figure(s))
        for s in after_s
    ]
    return table([say(f"github.{name}") for name in _CLOCKS], [shown])
