"""The run, or the game day, that a command is about.

A path, a name, the last 4 characters of one, or, of runs, `last`.
"""

import difflib
import os
from pathlib import Path

import click

from gameday.cli.completion import complete_run
from gameday.core.errors import UsageError

RESULT = "result.json"
TAIL = 4  # so many last characters of a run's name are enough to mean it

run_argument = click.argument("ref", metavar="[RUN]", default="last", shell_complete=complete_run)


def list_runs(runs_dir: Path) -> list[Path]:
    """Every run directory, newest first: their names begin with the time. Raises UsageError."""
    try:
        found = [path for path in runs_dir.iterdir() if is_run(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        denied = isinstance(error, PermissionError)
        cure = "do it as the user whose it is" if denied else "name the folder with --runs DIR"
        raise UsageError(f"{runs_dir}: cannot be read: {error.strerror}", help=cure) from error
    return sorted(found, key=lambda path: path.name, reverse=True)


def is_run(path: Path) -> bool:
    """True if the folder has a journal of any kind, or may have one and nobody can look inside."""
    try:
        os.lstat(path / "journal.jsonl")
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def find_run(ref: str, runs_dir: Path) -> Path:
    """The run directory that `ref` means. Raises UsageError when it is none, or more than one."""
    found = list_runs(runs_dir)
    if ref == "last":
        if not found:
            raise UsageError(f"there is no run in {runs_dir}", help="gameday run makes one")
        return found[0]
    named = [path for path in found if path.name == ref]
    if not named and is_run(Path(ref)):
        return Path(ref)
    matching = named or [path for path in found if len(ref) == TAIL and path.name.endswith(ref)]
    if len(matching) > 1:
        names = ", ".join(path.name for path in matching)
        raise UsageError(f"{ref!r} means more than one run: {names}", help="give the whole name")
    if not matching:
        near = difflib.get_close_matches(ref, [path.name for path in found], n=1)
        cure = f"did you mean {near[0]!r}?" if near else "gameday runs lists them"
        raise UsageError(f"no run {ref!r} in {runs_dir}", help=cure)
    return matching[0]


def list_days(runs_dir: Path) -> list[Path]:
    """Every day directory of a folder of runs, newest first; a link is none."""
    from gameday.calendar.day_journal import DAYS, is_day_dir

    if (runs_dir / DAYS).is_symlink():
        return []
    try:
        found = [
            path
            for path in (runs_dir / DAYS).iterdir()
            if not path.is_symlink() and is_day_dir(path)
        ]
    except OSError:
        return []  # there was no day, or nobody may look: then its runs are not told of either
    return sorted(found, key=lambda path: path.name, reverse=True)


def find_day_dir(ref: str, runs_dir: Path) -> Path | None:
    """The day directory that a reference means: a path, its name, or its last four characters."""
    from gameday.calendar.day_journal import is_day_dir

    found = list_days(runs_dir)
    named = [path for path in found if ref in (path.name, path.name[-TAIL:])]
    if len(named) > 1:
        names = ", ".join(path.name for path in named)
        raise UsageError(f"{ref!r} means more than one day: {names}", help="give the whole name")
    if named:
        return named[0]
    return Path(ref) if "/" in ref and is_day_dir(Path(ref)) else None
