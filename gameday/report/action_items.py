"""Action items of all runs: which are open, and which a later run has closed.

An item that names an experiment and an expectation is a claim that can be tested: it is closed when
a later run of that experiment finds the expectation valid, and open again when a still later one
finds it invalid. That is derived from the results each time it is asked for; the file that people
edit is only read. A run that could not tell says nothing either way.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

from gameday.core import files
from gameday.core.errors import FileError, GamedayError
from gameday.judge.result import Result
from gameday.report.draft_file import DRAFT, ActionItem, Head, read_draft

State = Literal["open", "done", "closed", "broken again"]
DAY_REPORT: Final = "day.md"
_RESULT: Final = "result.json"
_LARGEST_BYTES: Final = 64 * files.MIB
_ALERT: Final = "alerts."
_STEP: Final = "playbook."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunItem:
    """An action item with its run and what became of it.

    `by` is the run that closed it, or that broke it again; "" where a person ticked it off.
    """

    run: str
    path: Path
    item: ActionItem
    state: State
    by: str = ""

    @property
    def is_open(self) -> bool:
        """True while somebody has to do something."""
        return self.state in {"open", "broken again"}

    def is_overdue(self, today: date) -> bool:
        """True if it is open and was due before today."""
        return self.is_open and self.item.due is not None and self.item.due < today


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The items of all runs, newest run first, and what could not be read, in words."""

    items: Sequence[RunItem]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Findings of one run about its expectations: valid, invalid, or nothing."""

    run: str
    began: datetime
    experiment: str
    verdicts: dict[str, str]


def collect(run_dirs: Sequence[Path]) -> Collected:
    """The action items of the runs. A draft that cannot be read is a problem, not the end.

    A day directory among them has those of its own report: what people wrote there.
    """
    problems: list[str] = []
    outcomes = sorted(_outcomes(run_dirs, problems), key=lambda each: (each.began, each.run))
    items = []
    for run_dir in run_dirs:
        own = next((each for each in outcomes if each.run == run_dir.name), None)
        began = own.began if own else _stamp(run_dir)
        later = [each for each in outcomes if began is not None and each.began > began]
        for item, path in _items(run_dir, problems):
            state, by = _state(item, later)
            items.append(RunItem(run=run_dir.name, path=path, item=item, state=state, by=by))
    return Collected(items=items, problems=problems)


def _items(run_dir: Path, problems: list[str]) -> Iterator[tuple[ActionItem, Path]]:
    path = next((p for p in (run_dir / DRAFT, run_dir / DAY_REPORT) if os.path.lexists(p)), None)
    if path is None:
        return  # no draft, so nothing to do
    try:
        draft = read_draft(path)
    except GamedayError as error:
        problems.append(error.message)
        return
    # Reports of days had no head at first: its lack, which is told first, is nobody's mistake.
    is_old = path.name == DAY_REPORT and draft.head == Head()
    problems += [_text_of(each) for each in draft.problems[is_old:]]
    for item in draft.items:
        yield item, path


def _text_of(problem: FileError) -> str:
    return f"{problem.message} ({problem.help})" if problem.help else problem.message


def _state(item: ActionItem, later: Sequence[_Outcome]) -> tuple[State, str]:
    """State of an item, and the run that says so."""
    if item.done:
        return "done", ""
    if not item.experiment or not item.expect:
        return "open", ""
    told = [(_found(item, each), each.run) for each in later if each.experiment == item.experiment]
    told = [each for each in told if each[0] != "unknown"]
    words = [found for found, _ in told]
    if "valid" not in words:
        return "open", ""
    if words[-1] == "invalid":
        return "broken again", told[-1][1]
    since = max((i for i, found in enumerate(words, 1) if found == "invalid"), default=0)
    return "closed", told[since][1]  # the first that found it valid, and none found it broken since


def _found(item: ActionItem, outcome: _Outcome) -> str:
    """Verdict of a run on all that the item expects, taken together."""
    found = {outcome.verdicts.get(name, "unknown") for name in item.expect}
    if "invalid" in found:
        return "invalid"
    return "valid" if found == {"valid"} else "unknown"


def _outcomes(run_dirs: Sequence[Path], problems: list[str]) -> Iterator[_Outcome]:
    for run_dir in run_dirs:
        path = run_dir / _RESULT
        try:
            result = Result.from_bytes(files.read_bytes(path, _LARGEST_BYTES))
        except FileNotFoundError:
            continue  # it was not judged, or is under way
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{files.shown_path(path)}: {why}")
            continue
        began = _began(result, run_dir)
        if began is not None:
            yield _Outcome(
                run=run_dir.name,
                began=began,
                experiment=result.experiment,
                verdicts=verdicts_of(result),
            )


def verdicts_of(result: Result) -> dict[str, str]:
    """The verdict of each expectation by its name.

    A check has its own name, an expected alert is `alerts.<name>`, a step `playbook.<number>`.
    """
    found = {check.name: check.verdict for check in result.checks}
    for alert in result.alerts:
        if alert.expected:
            words = {"hit": "valid", "missed": "invalid", "late": "invalid"}
            found[f"{_ALERT}{alert.alert}"] = words.get(alert.status, "unknown")
    for step in result.playbook:
        worked = step.status == "done" and step.verified is True
        bad = step.status in {"failed", "placebo"}
        found[f"{_STEP}{step.step}"] = "valid" if worked else "invalid" if bad else "unknown"
    return found


def _began(result: Result, run_dir: Path) -> datetime | None:
    """Begin of the run, by its result, else by its name."""
    try:
        if result.started_at:
            at = datetime.fromisoformat(result.started_at)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    except ValueError:
        pass
    return _stamp(run_dir)


def _stamp(run_dir: Path) -> datetime | None:
    """The time that the name of the run begins with; None where it is none."""
    try:
        return datetime.strptime(run_dir.name.partition("-")[0], "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None
