"""Private files: gameday writes for its user alone, folders 0700, files 0600, whatever the umask.

A run directory holds other people's traffic, answers and logs, and the state folder the passwords
of stores; on a shared machine neither is anybody else's business. So every entry point works under
a umask of its own, which its children inherit. Only files that the user asks for by name follow
the umask the user has set.

A folder that another user has made, or could put another in place of, would redirect what is
written there: it is refused.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gameday.core.errors import StackError, UsageError

FOLDER = 0o700  # for its owner alone
_OTHERS = 0o077  # what group and others may do
_UNMAPPED = 65534
"""The kernel's overflow uid: owner of the machine's folders seen from inside a user namespace."""
_asked: list[int] = []  # the umask of the user, while gameday's own is set


@contextmanager
def only_for_us() -> Iterator[None]:
    """Everything made in here, by children too, is for the user alone."""
    _asked.append(os.umask(_OTHERS))
    try:
        yield
    finally:
        os.umask(_asked.pop())


@contextmanager
def as_asked() -> Iterator[None]:
    """A file that the user asked for is made in here, under the user's own umask."""
    if not _asked:
        yield
        return
    before = os.umask(_asked[0])
    try:
        yield
    finally:
        os.umask(before)


def make_folder(path: Path) -> Path:
    """Make a folder that is not there yet, with all above it, for us alone. Raises OSError."""
    with only_for_us():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=FOLDER)
    return path


def own_folder(path: Path, cure: str) -> Path:
    """A folder of our own that lasts: made when it is not there, refused when it is another's.

    Raises OSError where it cannot be made, UsageError, with `cure`, where it cannot be trusted.
    """
    with only_for_us():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=FOLDER, exist_ok=True)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise UsageError(f"{path}: is a symbolic link, not a folder of yours", help=cure)
    if found.st_uid != os.geteuid():
        owner = f"it belongs to user {found.st_uid}, and you are {os.geteuid()}"
        raise UsageError(f"{path}: is not yours: {owner}", help=cure)
    above = path.parent.resolve()
    for folder in (above, *above.parents):
        _refuse_open(path, folder, cure)
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        path.chmod(FOLDER)
    return path


def _refuse_open(path: Path, folder: Path, cure: str) -> None:
    """Raise UsageError where others can take what is in `folder` away and put theirs there."""
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid(), _UNMAPPED):
        raise UsageError(f"{path}: {folder} belongs to user {found.st_uid}", help=cure)
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise UsageError(f"{path}: everybody may write to {folder}", help=cure)


def state_dir() -> Path:
    """`$XDG_STATE_HOME/gameday`, made when it is not there; a relative one counts as none.

    Else it would be another folder, with another key, wherever the user goes next.

    Raises StackError where it cannot be made, UsageError where it is not ours alone.
    """
    home = os.environ.get("XDG_STATE_HOME", "")
    path = (Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state") / "gameday"
    cure = "export XDG_STATE_HOME=DIR, a folder that you alone may write to"
    try:
        return own_folder(path, cure)
    except OSError as error:
        raise StackError(f"{path}: cannot be made: {error.strerror}", help=cure) from error
