"""Old game days are removed with their runs, and none that somebody may still need.

The report of a day names its runs, so they stay as long as it does. A day stays while it is young
or under way, while its report was edited or has open action items, and while any of its runs stays
for a reason of its own. A day that cannot be read stays, and all runs that its journal may name.
"""

import os
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.calendar.day_journal import runs_named
from gameday.calendar.day_presence import is_under_way
from gameday.calendar.day_report import FILE as REPORT
from gameday.calendar.day_result import read_day
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.report.postmortem import unedited
from gameday.run.prune import REMOVING, PruneLine, PruneRule, World, age_of, needed, size_of

MOST_REPORTS: Final = 100
LONGEST_DAY_S: Final = 7 * 86_400  # and to spare: what a day may have begun that cannot be read
OpenItems = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class DayLines:
    """Days that go and stay, and the runs that stay because a day does, each with the reason."""

    days: Sequence[PruneLine]
    runs: Sequence[PruneLine]
    runs_of: Mapping[str, frozenset[str]]

    def why_day_stays(self, day: Path, world: World) -> Message | None:
        """The reason why a day stays after all: one of its runs is needed meanwhile."""
        names = self.runs_of[day.name]
        for line in self.runs:
            if line.goes and line.dir.name in names and needed(line.dir, world) is not None:
                return Message("prune.why_run_stays", run=line.dir.name)
        return None

    def why_run_stays(self, run: Path, stayed: Container[str]) -> Message | None:
        """The reason why a run stays after all: one of the days that stayed names it."""
        days = (day for day, names in self.runs_of.items() if day in stayed and run.name in names)
        day = next(days, None)
        return None if day is None else Message("prune.why_day", day=day)


def look_at_days(
    day_dirs: Sequence[Path],
    run_lines: Sequence[PruneLine],
    rule: PruneRule,
    has_open_items: OpenItems,
) -> DayLines:
    """Tell which days go, and keep the runs of those that stay. Reads, and changes nothing."""
    own = {line.dir.name: line for line in run_lines}
    found, kept, runs_of = [], dict[str, Message](), dict[str, frozenset[str]]()
    for folder in day_dirs:
        known, why = _runs_of(folder)
        runs = _begun_with(folder, run_lines, rule) if known is None else known
        runs_of[folder.name] = runs
        why = why or why_needed(folder, rule, has_open_items)
        if why is None:
            stays = sorted(name for name in runs if name in own and not own[name].goes)
            why = Message("prune.why_run_stays", run=stays[0]) if stays else None
        gone = Message("prune.why_old_day", age=rule.age)
        found.append(PruneLine(folder, why is None, why or gone, size_of(folder)))
        if why is not None:
            named = Message("prune.why_day", day=folder.name)
            kept |= dict.fromkeys(runs, named)
    return DayLines(found, _with_kept(run_lines, kept), runs_of)


def _begun_with(folder: Path, lines: Sequence[PruneLine], rule: PruneRule) -> frozenset[str]:
    """Every run that may be of a day, by when it began."""
    age_s = age_of(folder, rule.now_ns)
    names = set()
    for line in lines:
        run_age_s = age_of(line.dir, rule.now_ns)
        if age_s is None or run_age_s is None or 0 <= age_s - run_age_s <= LONGEST_DAY_S:
            names.add(line.dir.name)
    return frozenset(names)


def _with_kept(lines: Sequence[PruneLine], kept: Mapping[str, Message]) -> list[PruneLine]:
    return [
        replace(line, goes=False, why=kept[line.dir.name])
        if line.goes and line.dir.name in kept
        else line
        for line in lines
    ]


def why_needed(folder: Path, rule: PruneRule, has_open_items: OpenItems) -> Message | None:
    """The reason why a day stays, by itself; None where there is none."""
    age_s = age_of(folder, rule.now_ns)
    if age_s is None:
        return Message("prune.why_date")
    if age_s <= rule.older_than_s:
        return Message("prune.why_young", age=rule.age)
    if is_under_way(folder):
        return Message("prune.why_under_way")
    try:
        if any(not unedited(path) for path in _reports(folder)):
            return Message("prune.why_edited_day")
    except OSError as error:
        return Message("prune.why_unknown", why=str(error.strerror))
    return Message("prune.why_items") if has_open_items(folder) else None


def _reports(folder: Path) -> Sequence[Path]:
    """Every report in the folder as Markdown, a link too: somebody put it there."""
    stem = REPORT.removesuffix(".md")
    names = [name for name in os.listdir(folder) if name.startswith(stem) and name.endswith(".md")]
    return [folder / name for name in sorted(names)[:MOST_REPORTS]]


def _runs_of(folder: Path) -> tuple[frozenset[str] | None, Message | None]:
    """The runs that a day names, and the reason why it stays where it cannot be read.

    None for the runs where not all of them can be known.
    """
    try:
        runs = runs_named(folder)
    except OSError as error:
        return None, Message("prune.why_unknown", why=str(error.strerror))
    try:
        damage = read_day(folder).result.damage
    except (GamedayError, OSError) as error:
        return runs, Message("prune.why_unknown", why=str(error)[:200])
    return runs, Message("prune.why_unknown", why=damage[:200]) if damage else None


def remove_day(line: PruneLine, rule: PruneRule, has_open_items: OpenItems) -> Message | None:
    """Remove one day; the reason where it stays after all. Raises OSError."""
    if line.dir.is_symlink():
        return Message("prune.why_link")
    why = why_needed(line.dir, rule, has_open_items)
    if why is not None:
        return why
    aside = line.dir.with_name(f".{line.dir.name}{REMOVING}")
    os.rename(line.dir, aside)
    shutil.rmtree(aside)
    return None
