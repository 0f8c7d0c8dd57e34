"""Old runs are removed, and no run that somebody may still need.

A run stays while it is one of the newest, is young, is under way, may have left something behind,
is a drill without its debrief, has a postmortem that somebody edited or that has open action items,
or while a drill is scored by it. What cannot be read stays too: nobody knows what it announces. All
that is looked at is what stands in the folder of runs itself; a link there is never followed.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.core.json import DAMAGED
from gameday.core.messages import Message
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import journal, provenance
from gameday.evidence.drill_events import DrillDebriefed, DrillStarted
from gameday.evidence.events import FaultInjecting, FaultRemoved
from gameday.injection.heal import controller_lives, is_gone_here, left_behind
from gameday.judge.baselines import KINDS, LARGEST_BYTES, path_of
from gameday.report.postmortem import unedited

MOST_DRAFTS: Final = 100
REMOVING: Final = ".removing"
"""The end of the name of what is being removed."""
_LATEST_NS: Final = 2**63 - 1

OpenItems = Callable[[Path], bool]
"""True for a run whose postmortem has open action items."""


@dataclass(frozen=True, slots=True)
class PruneRule:
    """The number of newest runs that stay, and the age up to which all stay."""

    keep: int
    older_than_s: int
    age: str
    now_ns: int


@dataclass(frozen=True, slots=True)
class PruneLine:
    """A run, whether it goes, the reason, and how much room it takes."""

    dir: Path
    goes: bool
    why: Message
    size: int

    def as_json(self) -> object:
        return {
            "run": self.dir.name,
            "remove": self.goes,
            "why": self.why.as_json(),
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class World:
    """Everything beside a run that tells whether it is needed: the user's key and state folder.

    `needed` are runs that something else tells of, by name, with the reason.
    """

    key: SigningKey | None = None
    state: Path | None = None
    has_open_items: OpenItems = lambda run_dir: False
    needed: Mapping[str, Message] = field(default_factory=dict)


def look(run_dirs: Sequence[Path], rule: PruneRule, world: World) -> list[PruneLine]:
    """Tell which runs go and which stay; `run_dirs` are all there are, the newest first."""
    kept_for = {**baselines(run_dirs), **world.needed}
    found = []
    for place, run_dir in enumerate(run_dirs):
        why = _by_rule(run_dir, place, rule) or kept_for.get(run_dir.name) or needed(run_dir, world)
        gone = Message("prune.why_old", age=rule.age, keep=rule.keep)
        found.append(PruneLine(run_dir, why is None, why or gone, size_of(run_dir)))
    return found


def _by_rule(run_dir: Path, place: int, rule: PruneRule) -> Message | None:
    """The reason why a run stays that can be told from outside; None where there is none."""
    if not _is_folder(run_dir):
        return Message("prune.why_link")
    if place < rule.keep:
        return Message("prune.why_newest", keep=rule.keep)
    age_s = age_of(run_dir, rule.now_ns)
    if age_s is None:
        return Message("prune.why_date")
    return Message("prune.why_young", age=rule.age) if age_s <= rule.older_than_s else None


def needed(run_dir: Path, world: World) -> Message | None:
    """The reason why a run is still needed, by what it holds; None where there is none."""
    try:
        return _by_journal(run_dir, world) or _by_draft(run_dir, world)
    except OSError as error:
        return Message("prune.why_unknown", why=str(error.strerror))
    except GamedayError as error:
        return Message("prune.why_unknown", why=error.message)
    except DAMAGED as error:
        return Message("prune.why_unknown", why=str(error)[:200])


def _by_journal(run_dir: Path, world: World) -> Message | None:
    """Whoever signed a record, it keeps a run: only what calms is believed to nobody else."""
    read = provenance.read(run_dir, world.key, world.state)
    records = [*read.journal, *read.foreign]
    everything = [*records, *read.later, *read.foreign_later]
    everything.sort(key=lambda each: each.t_ns)
    if controller_lives(records):
        return Message("prune.why_under_way")
    drill = journal.first(records, DrillStarted)
    if read.sealed or (drill and journal.first(records, DrillDebriefed) is None):
        return Message("prune.why_sealed")
    problems = [read.unknown, *read.notes, "" if records else "no records"]
    if any(problems):
        return Message("prune.why_unknown", why="; ".join(filter(None, problems))[:200])
    return Message("prune.why_open") if _may_be_left(everything) else None


def _may_be_left(records: Sequence[journal.Record]) -> bool:
    """True if a fault or another change was announced, and nobody has seen it gone."""
    announced = {each.event.id for each in journal.every(records, FaultInjecting)}
    removals = journal.every(records, FaultRemoved)
    removed = {each.event.id for each in removals if each.event.gone is True}
    left = left_behind(records)
    return bool(announced - removed) or any(not is_gone_here(each.undo) for each in left)


def _by_draft(run_dir: Path, world: World) -> Message | None:
    if any(not unedited(path) for path in _drafts(run_dir)):
        return Message("prune.why_edited")
    return Message("prune.why_items") if world.has_open_items(run_dir) else None


def _drafts(run_dir: Path) -> Iterator[Path]:
    """Every postmortem in the folder as Markdown, a link too: somebody put it there."""
    names = sorted(name for name in os.listdir(run_dir) if name.startswith("postmortem"))
    yield from (run_dir / name for name in names[:MOST_DRAFTS] if name.endswith(".md"))


def baselines(run_dirs: Sequence[Path]) -> dict[str, Message]:
    """The runs that drills are scored by, with the reason why they stay."""
    found: dict[str, Message] = {}
    for run_dir in run_dirs:
        for kind in KINDS:
            with suppress(OSError, ValueError, RecursionError):
                raw = json.loads(files.read_bytes(path_of(run_dir, kind), LARGEST_BYTES))
                if isinstance(raw, dict) and isinstance(raw.get("run"), str) and raw["run"]:
                    found.setdefault(raw["run"], Message("prune.why_baseline", run=run_dir.name))
    return found


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def age_of(run_dir: Path, now_ns: int) -> int | None:
    """Seconds since it began, by its name; None where the name tells nothing, or the future."""
    try:
        stamp = f"{run_dir.name.partition('-')[0]}+0000"
        began = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return None
    age_s = now_ns // NS - round(began.timestamp())
    return age_s if age_s >= 0 else None


def size_of(folder: Path) -> int:
    """Bytes of all files in it; of a link only the link itself."""
    if not _is_folder(folder):
        return 0
    total = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def remove(line: PruneLine, world: World) -> Message | None:
    """Remove one run; the reason where it stays after all. Raises OSError.

    It is looked at once more, then moved aside in one step: a run that is half removed is none.
    """
    if not _is_folder(line.dir):
        return Message("prune.why_link")
    why = needed(line.dir, world)
    if why is not None:
        return why
    aside = line.dir.with_name(f".{line.dir.name}{REMOVING}")
    os.rename(line.dir, aside)
    shutil.rmtree(aside)  # does not follow links, and holds each folder open while it is emptied
    return None


def finish_removals(runs_dir: Path) -> int:
    """Remove what an earlier removal was killed in the middle of; how many there were."""
    found = [
        each
        for each in runs_dir.glob(f".*{REMOVING}")
        if _is_folder(each) and age_of(Path(each.name[1:]), _LATEST_NS) is not None
    ]
    for each in found:
        shutil.rmtree(each, ignore_errors=True)
    return len(found)
