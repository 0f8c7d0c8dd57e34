"""A hold: somebody has said that nothing may be broken for now, until it is released.

`gameday stop --hold REASON` writes it, `gameday release` removes it, and every run looks for it
twice: before it makes anything, and once it has its target's lock. A hold is written before the
runs under way are looked for, so a run that is just beginning either sees the hold or is seen.
A file that makes no sense holds too: whoever wrote it meant something.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gameday.core import files
from gameday.core.clock import utc_now
from gameday.core.errors import UsageError
from gameday.core.files.private import state_dir

CURE = "gameday release lifts it; ask whoever set it first"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing may be broken, who said so, and since when (RFC 3339)."""

    reason: str
    by: str
    since: str

    def __str__(self) -> str:
        return f"on hold since {self.since} by {self.by}: {self.reason}"


def hold_file() -> Path:
    """Path of the file that describes the hold."""
    return state_dir() / "hold.json"


def current() -> Hold | None:
    """The hold, None when there is none."""
    path = hold_file()
    try:
        return Hold(**json.loads(files.read_bytes(path, files.SETTING_BYTES)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return Hold(f"{path} cannot be read ({error})", "somebody", "an unknown time")


def put(reason: str, by: str) -> Hold:
    """Refuse new runs from now on; an earlier hold is replaced."""
    hold = Hold(reason, by, utc_now().isoformat(timespec="seconds"))
    files.replace(hold_file(), [json.dumps(asdict(hold)).encode() + b"\n"])
    return hold


def release() -> Hold | None:
    """Let runs begin again; the hold that was lifted, None when there was none."""
    hold = current()
    hold_file().unlink(missing_ok=True)
    return hold


def refuse() -> None:
    """Raises UsageError while there is a hold."""
    hold = current()
    if hold is not None:
        raise UsageError(f"no run may begin: {hold}", help=CURE)
