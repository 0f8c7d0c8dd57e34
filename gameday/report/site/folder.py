"""The folder of a site: recognised, built beside the old one, and put in its place at once.

Only a folder that a site was built into before, or one that is empty or not there, is taken: a
marker in it says so. Pages of runs that are as they were are taken over from the old site.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gameday import __version__
from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.files.private import as_asked

MARKER: Final = ".gameday-site"
SCHEMA: Final = 1
_LARGEST_MARKER: Final = 4 * files.MIB
_READ: Final = (
    "result.json",
    "journal.jsonl",
    "samples.jsonl",
    "postmortem.md",
    "postmortem.html",
    "inputs/effective.json",
)


@dataclass(slots=True)
class SiteFolder:
    """A site that is being built in `new`, to be put at `place`; `before` are its old runs."""

    place: Path
    new: Path
    before: Mapping[str, str]
    runs: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, raw: bytes) -> None:
        """One file of the site."""
        to = self.new / path
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(raw)

    def take_over(self, run: str, mark: str) -> bool:
        """Take the page of a run from the old site, where nothing of the run has changed."""
        self.runs[run] = mark
        old = self.place / "runs" / run
        if self.before.get(run) != mark or not _is_plain(old):
            return False
        shutil.copytree(old, self.new / "runs" / run)
        return True


def mark_of(run_dir: Path, language: str) -> str:
    """A mark that is another one when what a page is made of has changed."""
    parts = [__version__, language, str(SCHEMA)]
    for name in _READ:
        with suppress(OSError):
            found = os.stat(run_dir / name)
            parts.append(f"{name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _is_plain(folder: Path) -> bool:
    """True if there is nothing but files in it, so that copying can lead nowhere else."""
    try:
        return all(stat.S_ISREG(os.lstat(each).st_mode) for each in folder.iterdir())
    except OSError:
        return False


@contextmanager
def site_folder(place: Path) -> Iterator[SiteFolder]:
    """Build in here; afterwards the new site stands at `place`. Raises UsageError.

    When it fails, the old site is as it was.
    """
    before = _recognised(place)
    new = place.with_name(f".{place.name}.new-{os.getpid()}")
    try:
        with as_asked():
            place.parent.mkdir(parents=True, exist_ok=True)
            new.mkdir()
            building = SiteFolder(place, new, before)
            yield building
            marker = {"gameday": "site", "schema": SCHEMA, "runs": building.runs}
            building.write(MARKER, json.dumps(marker, indent=1).encode() + b"\n")
            _put_in_place(new, place)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}: {error.filename}", help=_HELP) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


_HELP: Final = "name a folder of its own, below one that you may write to"


def _recognised(place: Path) -> Mapping[str, str]:
    """The runs of the site that stands there, by name. Raises UsageError for another folder."""
    if place.is_symlink():
        raise UsageError(f"{place} is a link, and is not followed", help=_HELP)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}", help=_HELP) from error
    if not names:
        return {}
    try:
        raw = json.loads(_marker(place / MARKER))
        if raw["gameday"] != "site":
            raise ValueError("no marker of a site")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{place} is not empty, and no site of gameday: it is left as it is", help=_HELP
        ) from error
    runs = raw.get("runs")
    if raw.get("schema") != SCHEMA or not isinstance(runs, dict):
        return {}
    return {str(run): str(mark) for run, mark in runs.items()}


def _marker(path: Path) -> bytes:
    if path.is_symlink():
        raise ValueError("a link")
    return files.read_bytes(path, _LARGEST_MARKER)


def _put_in_place(new: Path, place: Path) -> None:
    """Both are moved whole, so that nobody ever sees half a site."""
    old = place.with_name(f".{place.name}.old-{os.getpid()}")
    with suppress(FileNotFoundError):
        os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError:
        with suppress(OSError):
            os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
