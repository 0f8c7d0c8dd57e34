"""What a file of users holds, taken out of logs that are still being written.

A run masks its logs in its end. Whoever looks at them before that sees them through this: the file
is the one that the run's own inputs name, and is read once, when a log is first asked for.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.secrets.redaction import nothing
from gameday.evidence import sealed_inputs
from gameday.evidence.sealed_box import Box
from gameday.spec.users import UsersFile, read_users
from gameday.spec.users_hidden import Hide, cells_of

_EFFECTIVE = "effective.json"


def hiding_cells(run_dir: Path, box: Box | None) -> Hide:
    """A function from a text to the same without cells. Raises UsageError, OSError, ValueError.

    Where the run is over its logs are masked already, and the file may be gone.
    """
    if (run_dir / "result.json").exists():
        return nothing
    users = _users(run_dir, box)
    return nothing if users is None else _hiding(users.file, users.sha256, tuple(users.public))


def _users(run_dir: Path, box: Box | None) -> UsersFile | None:
    """The file that the run's system names, None where there is none.

    The inputs of a drill are sealed: without its box nobody can tell.
    """
    path = run_dir / "inputs" / _EFFECTIVE
    if path.exists():
        raw = files.read_bytes(path, sealed_inputs.LARGEST_BYTES)
    elif box is not None and (inside := sealed_inputs.contents(run_dir, box)):
        raw = inside[_EFFECTIVE]
    else:
        return None
    told: Any = json.loads(raw)
    users = told["system"].get("users")
    return None if users is None else UsersFile.model_validate(users)


@lru_cache(maxsize=1)
def _hiding(file: str, sha256: str | None, public: tuple[str, ...]) -> Hide:
    """The cells of a file, which take seconds where it is large. Raises UsageError."""
    table = read_users(Path(file))
    if sha256 not in (None, table.sha256):
        raise UsageError("the users file is another one than when the run began")
    return cells_of(UsersFile(file=file, public=list(public)), table)
