"""Lengths of journals, noted beside the key, because the end of a journal may be cut off.

Signatures show what was altered, put in or taken out in between; of a journal that ends early they
show nothing. So whoever writes one notes in the user's state folder how many records are on the
disk, before it acts on the last of them. A journal that has fewer later is known to be cut.
"""

import os
import re
from pathlib import Path

from gameday.core.clock import NS, wall_time_ns

FOLDER = "journals"
KEPT_S = 90 * 24 * 3600
_LONGEST = 20  # digits of a 64-bit number
_NOTED = re.compile(rb"[0-9]{20}\n")


class Length:
    """The note of one journal, for the one process that writes it."""

    def __init__(self, state: Path, run: str) -> None:
        """Raises OSError."""
        folder = state / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        _forget_old(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(folder / run, flags, 0o600)
        self._noted = 0

    def note(self, records: int) -> None:
        """So many are on the disk. What cannot be noted is not known, and keeps nothing up."""
        if records <= self._noted:
            return
        self._noted = records
        try:
            # Always as many bytes in the same place: never torn.
            os.pwrite(self._file, b"%020d\n" % records, 0)
        except OSError:
            return

    def close(self) -> None:
        os.close(self._file)
        self._file = -1


def noted(state: Path, run: str) -> int:
    """The least number of records that the journal of a run must have; 0 if nothing is known."""
    try:
        handle = os.open(state / FOLDER / run, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError):
        return 0
    with open(handle, "rb") as file:
        raw = file.read(_LONGEST + 1)
    return int(raw) if _NOTED.fullmatch(raw) else 0


def noted_runs(state: Path) -> list[str]:
    """The runs of which something is known."""
    try:
        return sorted(os.listdir(state / FOLDER))
    except OSError:
        return []


def _forget_old(folder: Path) -> None:
    """Remove old notes: a run is healed by then, or never."""
    oldest_s = wall_time_ns() / NS - KEPT_S
    for entry in list(os.scandir(folder)):
        if entry.stat(follow_symlinks=False).st_mtime < oldest_s:
            os.unlink(entry.path)
