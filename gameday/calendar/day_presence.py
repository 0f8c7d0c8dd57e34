"""Game days that are under way: found by other terminals, and stopped by them.

A day holds a file lock from its first moment to its last, so a killed one holds none. An order to
stop is a file beside it: the day looks for it while it waits, and before it begins anything.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import UnknownError
from gameday.core.files.private import own_folder, state_dir
from gameday.core.json_objects import plain, read_object
from gameday.core.locks import is_locked, try_lock

_LOCK: Final = ".lock"
_STOP: Final = ".stop"


@dataclass(frozen=True, slots=True)
class DayUnderWay:
    """A day that is under way, and its directory."""

    day: str
    dir: Path
    pid: int


@dataclass(frozen=True, slots=True)
class DayStop:
    """An order to end a day, and who gave it."""

    by: str


def _folder() -> Path:
    return own_folder(state_dir() / "days", "remove it")


@contextmanager
def present(folder: Path) -> Iterator[None]:
    """Be under way, as the day of that directory."""
    path, stop = _folder() / f"{folder.name}{_LOCK}", _folder() / f"{folder.name}{_STOP}"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(file):
            raise UnknownError(f"{path}: somebody else holds it", help="begin the day again")
        about = DayUnderWay(folder.name, folder.resolve(), os.getpid())
        os.pwrite(file, json.dumps(plain(about)).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        stop.unlink(missing_ok=True)
        os.close(file)


def days_under_way() -> list[DayUnderWay]:
    """Every day that is under way, oldest first; what killed ones have left is removed."""
    found = []
    for path in sorted(_folder().glob(f"*{_LOCK}")):
        if not is_locked(path):
            path.unlink(missing_ok=True)
            path.with_suffix(_STOP).unlink(missing_ok=True)
            continue
        try:
            raw = json.loads(files.read_bytes(path, files.SETTING_BYTES))
            found.append(read_object(DayUnderWay, raw))
        except (OSError, ValueError):
            continue  # it is just beginning, or just over
    return found


def is_under_way(folder: Path) -> bool:
    """True while the day of that directory is under way."""
    return is_locked(_folder() / f"{folder.name}{_LOCK}")


def order_stop(day: DayUnderWay, by: str) -> None:
    """Order a day to end: nothing more is begun."""
    path = _folder() / f"{day.day}{_STOP}"
    files.replace(path, [json.dumps(plain(DayStop(by))).encode()])


def stop_order(folder: Path) -> DayStop | None:
    """The order to end that day, None where there is none. One that makes no sense counts too."""
    path = _folder() / f"{folder.name}{_STOP}"
    try:
        return read_object(DayStop, json.loads(files.read_bytes(path, files.SETTING_BYTES)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return DayStop("somebody")
