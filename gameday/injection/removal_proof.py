"""Proof that a change is gone, as against merely not finding it.

Something that is asked for and not shown may be gone; or the question was asked at the wrong door:
another server has the address by now, a name in the record is no longer what it was. So the absence
of a thing is a proof only together with whatever it was in. A server that was restarted since has
nothing of ours, and is known by its process where gameday started it (PID and start time), else by
the names it had before. Processes and folders are known only from where they are: another machine,
or a container of its own, sees others. Everything else is unknown, which is never called gone.
"""

import os
import platform
from typing import NamedTuple

from gameday.core.secrets.redaction import MASK
from gameday.spec.undos import Undo

# What names the thing itself in an undo record: none of it was ever masked since gameday masks
# only texts, so a mask in it comes from a journal of before, or from somebody's hands.
_IDENTITY = ("url", "proxy", "name", "part", "path", "index", "token", "dsn")


class State(NamedTuple):
    """State of a change: `gone` is None when nothing can tell; `why` says what was seen."""

    gone: bool | None
    why: str


GONE = State(gone=True, why="")
THERE = "it still reads back as there"


def was_masked(record: Undo) -> bool:
    """True if a name in a record is not what it was: old journals masked names too."""
    return any(MASK in str(getattr(record, key, "")) for key in _IDENTITY)


def masked_name() -> State:
    """State of a thing whose name in the record was masked: unknown."""
    return State(gone=None, why="its journal does not tell its name: it was masked")


def here() -> str:
    """From where processes and folders are seen: the machine, and on Linux the PIDs' namespace."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{platform.node()} {space}".strip()


def elsewhere(made: str | None) -> State | None:
    """State of a thing that was made on another machine; None where it was made here.

    Records of before do not say where they were made.
    """
    if made in (None, here()):
        return None
    return State(gone=None, why=f"it was made on {made}, and this is {here()}: heal it there")
