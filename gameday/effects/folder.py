"""Temporary folders that a stack fills: removed whole, by whoever must.

A journal is a file that anybody may have edited, and removing a folder is final. So only a
folder of gameday's own naming, which is the user's own and no symbolic link, is ever removed.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday.changes import Undo
from gameday.clock import Clock, SystemClock
from gameday.errors import StuckFaultError

PREFIX = "gameday-"
_ATTEMPTS = 5


def record(path: Path) -> Undo:
    """How to remove `path`; to be written down before the folder is made."""
    if not path.name.startswith(PREFIX) or not path.is_absolute():
        raise ValueError(f"{path}: such a folder is named {PREFIX}… by its absolute path")
    return Undo("folder", {"path": str(path)})


async def undo(data: Mapping[str, Any], clock: Clock | None = None) -> None:
    """Remove it with all it holds. Harmless when it is gone.

    Raises StuckFaultError when it is not gameday's to remove, or does not go.
    """
    clock = clock or SystemClock()
    path = Path(data["path"])
    problem = "it fills up again while it is being removed"
    for _ in range(_ATTEMPTS):
        if not os.path.lexists(path):
            return
        _refuse_foreign(path)
        try:
            await asyncio.to_thread(shutil.rmtree, path)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = error.strerror or str(error)
            await clock.sleep(0.05)
    if os.path.lexists(path):
        raise StuckFaultError(f"{path}: cannot be removed: {problem}", help=f"rm -r {path}")


async def read_back(data: Mapping[str, Any]) -> bool:
    """Whether it is gone."""
    return not os.path.lexists(data["path"])


def _refuse_foreign(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not (ours and path.is_absolute() and path.name.startswith(PREFIX)):
        raise StuckFaultError(
            f"{path}: not a folder that gameday made", help="look at it, and remove it yourself"
        )
