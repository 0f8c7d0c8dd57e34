"""Entries: the game days with a `schedule:`, as their files say now.

A scheduler reads them again at every look, so an edited file counts from then on; one that cannot
be used any more is an entry with its problem, and what was planned of it is left out with that.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gameday.calendar.freezes import Freezes
from gameday.core import settings
from gameday.core.errors import GamedayError, UsageError, excerpt
from gameday.core.files import shown_path
from gameday.core.locks import is_locked
from gameday.core.messages import Message
from gameday.core.stack_registry import is_owned
from gameday.plan import commands
from gameday.run.locks import in_use, running, target_file
from gameday.spec.day import Day
from gameday.spec.day_files import LoadedDay, day_system, load_day
from gameday.spec.inputs import LoadedSystem, find_system, load_system
from gameday.spec.schedule import Schedule, SkipWhen
from gameday.spec.shipped import DAYS, all_days
from gameday.spec.system import System

THIS_MACHINE: Final = "this machine"


@dataclass(frozen=True, slots=True)
class ScheduledDay:
    """A scheduled day. `path` is what it is known by; `target` is what it breaks."""

    path: Path
    name: str
    title: str
    schedule: Schedule
    freezes: Freezes
    target: str
    system: System | None = None
    experiments: Sequence[str] = ()
    day: Day | None = field(default=None, repr=False)
    unagreed: Message | None = None
    """Why it cannot begin: nobody has agreed to the commands of its system, nor could then."""

    @property
    def key(self) -> str:
        return str(self.path)

    def in_use_by(self) -> str:
        """Name what else of gameday uses its target now, as `gameday run` does; "" if nothing."""
        if self.target == THIS_MACHINE:
            return next((each.run for each in running()), "")
        if self.system is None:
            return ""
        path = target_file(self.system.base_url, self.system.toxiproxy)
        return in_use(path).message if is_locked(path) else ""


@dataclass(frozen=True, slots=True)
class BrokenDay:
    """A file that was scheduled and cannot be used."""

    path: Path
    problem: str

    @property
    def key(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Entries:
    """Days that are scheduled now, and files that cannot be read."""

    good: Sequence[ScheduledDay] = ()
    broken: Sequence[BrokenDay] = ()


def load_entries(
    refs: Sequence[str] = (), known: Sequence[str] = (), *, strict: bool = True
) -> Entries:
    """Load those of the files named, else all of `gamedays/` here; and those already `known`.

    `strict`: one that is named and cannot be used, or has no `schedule:`, is an error.
    """
    good: list[ScheduledDay] = []
    broken: list[BrokenDay] = []
    for ref in refs or [str(path) for path in _own_days()]:
        try:
            loaded = load_day(ref)
            entry = entry_of(loaded)
        except (GamedayError, OSError) as error:
            if refs and strict:
                raise
            broken.append(BrokenDay(Path(ref).resolve(), str(error)))
            continue
        if entry is not None:
            good.append(entry)
        elif refs and strict:
            cure = "add `schedule:` to it, as docs/schedule.md shows"
            raise UsageError(f"{loaded.path}: this day has no `schedule`", help=cure)
    met = {each.key for each in good} | {each.key for each in broken}
    gone = [each for each in known if each not in met]
    broken += [BrokenDay(Path(each), _gone(Path(each))) for each in gone]
    return Entries(good, broken)


def _own_days() -> list[Path]:
    """The days of the folder here: one that is merely shipped is nobody's to begin."""
    here = Path(DAYS).absolute()
    return [path for path in all_days() if path.absolute().parent == here]


def _gone(path: Path) -> str:
    return f"{path}: has no `schedule` any more" if path.exists() else f"{path}: is not there"


def entry_of(loaded: LoadedDay) -> ScheduledDay | None:
    """The entry of a day, None where it has no schedule. Raises GamedayError."""
    day = loaded.day
    if day.schedule is None:
        return None
    path = loaded.path.resolve()
    loaded_system = _system_of(loaded)
    system = loaded_system.system if loaded_system is not None else None
    _can_be_asked(loaded, day.schedule.skip_when, system)
    stack = day.stack or settings.current()["stack"]
    return ScheduledDay(
        path=path,
        name=day.name,
        title=loaded.title,
        schedule=day.schedule,
        freezes=Freezes.load(day.schedule, path.parent),
        target=THIS_MACHINE if is_owned(stack) or system is None else system.base_url,
        system=system,
        experiments=[each.experiment for each in day.experiments],
        day=day,
        unagreed=_unagreed(loaded, loaded_system),
    )


def _unagreed(loaded: LoadedDay, system: LoadedSystem | None) -> Message | None:
    """Why a day that begins by itself would be refused: there is nobody to ask at that hour."""
    if system is None or not (asked := commands.unagreed(system)):
        return None
    told = {
        "command": excerpt(f"{asked[0].key}: {shlex.join(asked[0].argv)}"),
        "day": shown_path(loaded.path),
    }
    return Message("schedule.left_out.commands", system=shown_path(system.path.resolve()), **told)


def _can_be_asked(loaded: LoadedDay, asked: SkipWhen, system: System | None) -> None:
    """Raise FileError for a question that nobody is there to answer: no day would ever begin."""
    has_prometheus = system is not None and system.prometheus is not None
    has_manager = system is not None and system.alertmanager is not None
    where = ("schedule", "skip_when")
    if asked.expr is not None and not has_prometheus:
        cure = "name `prometheus` in the system file"
        raise loaded.document.error(where, "the system has no Prometheus to ask", help=cure)
    if asked.alerts is not None and not (has_prometheus or has_manager):
        cure = "name `prometheus` or `alertmanager` in the system file"
        raise loaded.document.error(where, "the system has no Prometheus to ask", help=cure)


def _system_of(loaded: LoadedDay) -> LoadedSystem | None:
    try:
        path = day_system(loaded) if loaded.day.system else find_system(None)
    except UsageError:
        if loaded.day.system:
            raise
        return None
    return load_system(path)
