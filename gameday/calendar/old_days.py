"""Old game days are removed with their runs, and none that somebody may still need.

The report of a day names its runs, so they stay as long as it does. A day stays while it is young
or under way, while its report was edited or has open action items, and while any of its runs stays
for a reason of its own. A day that cannot be read stays, and all runs that its journal may name.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.calendar.day_presence import is_under_way
from gameday.calendar.day_report import FILE as REPORT
from gameday.calendar.day_result import read_day
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.report.postmortem import unedited
from gameday.run.prune import REMOVING, PruneLine, PruneRule, age_of, size_of

MOST_REPORTS: Final = 100
OpenItems = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class DayLines:
    """Days that go and stay, and the runs that stay because a day does, each with the reason."""

    days: Sequence[PruneLine]
    runs: Sequence[PruneLine]


def look_at_days(
    day_dirs: Sequence[Path],
    run_lines: Sequence[PruneLine],
    rule: PruneRule,
    has_open_items: OpenItems,
) -> DayLines:
    """Tell which days go, and keep the runs of those that stay. Reads, and changes nothing."""
    own = {line.dir.name: line for line in run_lines}
    found, kept = [], dict[str, Message]()
    for folder in day_dirs:
        runs, why = _runs_of(folder)
        why = why or why_needed(folder, rule, has_open_items)
        if why is None:
            stays = [name for name in runs if name in own and not own[name].goes]
            why = Message("prune.why_run_stays", run=stays[0]) if stays else None
        gone = Message("prune.why_old_day", age=rule.age)
        found.append(PruneLine(folder, why is None, why or gone, size_of(folder)))
        if why is not None:
            named = Message("prune.why_day", day=folder.name)
            kept |= dict.fromkeys(runs, named)
    return DayLines(found, _with_kept(run_lines, kept))


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


def _runs_of(folder: Path) -> tuple[Sequence[str], Message | None]:
    """The runs that a day names, and the reason why it stays where not all can be known."""
    try:
        read = read_day(folder)
    except (GamedayError, OSError) as error:
        return (), Message("prune.why_unknown", why=str(error)[:200])
    damage = read.result.damage
    why = Message("prune.why_unknown", why=damage[:200]) if damage else None
    return [each.run for each in read.result.runs], why


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
