"""The folder in which gameday keeps what outlives a run: keys, locks, stacks, calibrations."""

import os
from pathlib import Path

from gameday.core.errors import StackError
from gameday.core.files.private import own_folder


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
