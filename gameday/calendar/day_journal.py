"""The journal of a game day: what was planned, and what came of it, line by line.

A day directory is `<runs>/days/<UTC time>-<name>-<4 characters>/`. `day.jsonl` has a line for each
thing that happened, written and synced before the next one is begun, so that a killed day can be
read: what has an end was done, what has none was interrupted, and nothing is begun again. The runs
themselves are ordinary run directories, which the journal names; `day.json` and `day.md` are made
of it and of them.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from gameday.core import files
from gameday.core.clock import utc_now
from gameday.core.errors import UnknownError
from gameday.core.files.private import make_folder
from gameday.core.json_objects import json_object, plain, read_object
from gameday.core.messages import Message, is_message

FILE: Final = "day.jsonl"
LARGEST_BYTES: Final = 8 * files.MIB  # a day of 50 items has some 50 KB
MOST_LINES: Final = 10_000
LONGEST_WHY: Final = 2000
_RUN: Final = re.compile(rb'"run": ?"([A-Za-z0-9._-]{0,200})"')
DAYS: Final = "days"
"""The folder of the day directories, beside the run directories."""

Event = Literal[
    "day.started",
    "condition",
    "announced",
    "item.started",
    "run.begun",
    "item.ended",
    "item.left_out",
    "day.ended",
]
DayEnded = Literal[
    "completed", "no_go", "stop_on", "operator", "signal", "hold", "stuck", "error", "interrupted"
]
"""The end of a day; `interrupted` is one whose journal has no end."""
LeftOut = Literal["asked", "no_time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """An item of the agenda as it was planned: an experiment, or a break where there is none."""

    experiment: str = ""
    title: str = ""
    short: bool = False
    optional: bool = False
    stop_on: str = ""
    planned_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRoles:
    """Who had which role, "" where the file names nobody."""

    owner: str = ""
    coordinator: str = ""
    reporter: str = ""
    observers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPlan:
    """The day as it was to be."""

    name: str
    title: str
    stack: str
    agenda: tuple[PlannedItem, ...]
    roles: DayRoles = DayRoles()
    questions: tuple[str, ...] = ()
    file: str = ""


def _message(raw: object) -> Message:
    """A sentence as it stands in the journal. Raises ValueError."""
    if not is_message(raw):
        raise ValueError(raw)
    return Message.from_json(json_object(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayEntry:
    """One line. `at` is the time of day (RFC 3339, UTC), `item` the index of an item.

    `message` is `why` by its id, so that it can be read in any language; the values that others
    have brought are masked already where they come from.
    """

    at: str
    event: Event
    plan: DayPlan | None = None
    item: int | None = None
    name: str = ""
    run: str = ""
    exit_code: int | None = None
    go: bool | None = None
    why: str = ""
    message: Annotated[Message, _message] | None = None
    ended: str = ""


def now_text() -> str:
    """The time of day as the journal has it."""
    return utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


class DayJournal:
    """The one writer of a day's journal. `hide` masks secrets in texts of others."""

    def __init__(self, folder: Path, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self.problem = ""
        """Reason why a line could not be written: then nothing more may begin."""
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(folder / FILE, how, 0o600)

    def write(self, entry: DayEntry) -> DayEntry:
        """Write one line, and wait until it is on the disk; the entry as it was written.

        It never raises OSError: see `problem`.
        """
        written = replace(entry, why=self._hide(entry.why)[:LONGEST_WHY])
        raw = (json.dumps(plain(written)) + "\n").encode()
        try:
            while raw:
                raw = raw[os.write(self._file, raw) :]
            os.fsync(self._file)
        except OSError as error:
            self.problem = self.problem or f"{FILE} cannot be written: {error.strerror}"
        return written

    def close(self) -> None:
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """The lines that can be read, and what cannot."""

    entries: Sequence[DayEntry]
    damage: str = ""


def new_day_dir(runs_dir: Path, name: str) -> Path:
    """The directory of a day that begins now, named as runs are. Raises OSError."""
    from gameday.run.run_dir import new_run_id  # reading a day needs nothing of a run

    return make_folder(runs_dir / DAYS / new_run_id(name))


def is_day_dir(path: Path) -> bool:
    """True if the folder has the journal of a day."""
    return os.path.lexists(path / FILE)


def read_journal(folder: Path) -> ReadJournal:
    """The journal of a day directory, up to the first line that makes no sense.

    Raises UnknownError where there is none, or it does not say what the day was to be.
    """
    path = folder / FILE
    try:
        raw = files.read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        cure = "name the directory of a day, as runs/days/…"
        raise UnknownError(f"{path}: {error.strerror}", help=cure) from error
    entries: list[DayEntry] = []
    damage = ""
    for number, line in enumerate(raw.splitlines()[:MOST_LINES], 1):
        try:
            entries.append(read_object(DayEntry, json.loads(line)))
        except (ValueError, RecursionError) as error:
            damage = f"line {number}: {str(error)[:200]}"
            break
    if not entries or entries[0].plan is None:
        why = damage or "it does not begin with what was planned"
        raise UnknownError(f"{path}: {why}", help="is it the journal of a game day?")
    return ReadJournal(entries, damage)


def runs_named(folder: Path) -> frozenset[str] | None:
    """Every run that the journal of a day names, in the lines that make no sense, too.

    None where one of those does not say whether it names a run. Raises OSError.
    """
    named = set()
    for line in files.read_bytes(folder / FILE, LARGEST_BYTES).splitlines():
        try:
            named.add(read_object(DayEntry, json.loads(line)).run)
        except (ValueError, RecursionError):
            found = _RUN.findall(line)
            if not found:
                return None
            named |= {each.decode() for each in found}
    return frozenset(named - {""})
