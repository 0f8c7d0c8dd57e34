"""Temporary folders that a stack fills: removed whole, by whoever must.

A journal is a file that anybody may have edited, and removing a folder is final. So only a folder
that gameday made is ever removed: its name is of gameday's own naming, it is the user's own and no
symbolic link, and it holds the mark that its record names, or nothing at all. Records of before
have no mark; theirs must lie where such folders are made, and be called as they are.
"""

import asyncio
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from gameday.core.clock import Clock, SystemClock
from gameday.core.errors import StuckFaultError
from gameday.injection.removal_proof import GONE, State, elsewhere, here, masked_name, was_masked
from gameday.spec.undos import FolderUndo

PREFIX = "gameday-"
MARK = ".gameday"
_ATTEMPTS = 5  # a process that is ending may write into it between two of them
_UNMARKED = re.compile(r"gameday-[0-9]+-[0-9a-f]{12}")
_GROWN = (errno.ENOTEMPTY, errno.EEXIST)


def record(path: Path) -> FolderUndo:
    """The undo that removes `path`; to be written down before the folder is made, and marked."""
    if not path.name.startswith(PREFIX) or not path.is_absolute():
        raise ValueError(f"{path}: such a folder is named {PREFIX}… by its absolute path")
    return FolderUndo(path=path, mark=secrets.token_hex(16), seen_from=here())


def mark(made: FolderUndo) -> None:
    """Put the mark into the folder, which was just made and is empty. Raises OSError."""
    _mark(made.path, made.mark or "")


def _mark(path: Path, known: str) -> None:
    file = os.open(_marked(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w") as opened:
        opened.write(known)


async def undo(record: FolderUndo, clock: Clock | None = None) -> None:
    """Remove it with all it holds. Harmless when it is gone.

    Raises StuckFaultError when it is not gameday's to remove, or does not go.
    """
    clock = clock or SystemClock()
    path = record.path
    problem = "it fills up again while it is being removed"
    for _ in range(_ATTEMPTS):
        if not os.path.lexists(path):
            return
        _refuse_foreign(path, record.mark)
        try:
            await asyncio.to_thread(_remove, path, record.mark)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = error.strerror or str(error)
            await clock.sleep(0.05)
    if os.path.lexists(path):
        raise StuckFaultError(f"{path}: cannot be removed: {problem}", help=f"rm -r {path}")


async def look(record: FolderUndo) -> State:
    """State of the folder: gone when nothing is at its path, if that is its path."""
    if os.path.lexists(record.path):
        return State(gone=False, why=f"{record.path} is there")
    return masked_name() if was_masked(record) else elsewhere(record.seen_from) or GONE


def _remove(path: Path, known: str | None) -> None:
    """Everything in it, then the mark, then itself: what is left of it can be removed later."""
    for entry in list(os.scandir(path)):
        if entry.name == MARK and known is not None:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    _marked(path).unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError as error:
        if error.errno in _GROWN and known is not None:
            _mark(path, known)
        raise


def _refuse_foreign(path: Path, known: str | None) -> None:
    try:
        found = path.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if ours and path.is_absolute() and path.name.startswith(PREFIX) and _is_made(path, known):
            return
    except FileNotFoundError:
        return
    except OSError:
        pass  # what cannot be looked at is not known to be ours
    raise StuckFaultError(
        f"{path}: not a folder that gameday made", help="look at it, and remove it yourself"
    )


def _is_made(path: Path, known: str | None) -> bool:
    """True for a folder with our mark, an empty one, or an old one with our name and place."""
    if known is None:
        base = Path(tempfile.gettempdir()).resolve()
        return path.parent == base and _UNMARKED.fullmatch(path.name) is not None
    return _mark_of(path) == known or not os.listdir(path)


def _mark_of(path: Path) -> str | None:
    """The mark in the folder; None where it has none."""
    try:
        file = os.open(_marked(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(file, "rb") as opened:
        return opened.read(64).decode("ascii", "replace")


def _marked(path: Path) -> Path:
    return path / MARK
