"""Errors of the operating system that a bad argument causes: bad usage, with a cure, not a bug.

A name that is too long, a link that leads in a circle, a folder that may not be written: whoever
ran the command can mend it. Commands need not look for each of these before each file.
"""

import errno
import os

from gameday.core.errors import UsageError, excerpt

CURES = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead in a circle: name the file itself",
    errno.ENOTDIR: "a part of that path is a file, not a folder",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "choose a place that is yours, or change its mode",
    errno.EPERM: "choose a place that is yours, or change its mode",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: "make room, or choose another disk",
    errno.EDQUOT: "make room, or choose another disk",
}
NEED_NO_FOLDER = {
    "completion",
    "doctor",
    "explain",
    "faults",
    "help",
    "notify",
    "schema",
    "ack",
    "stop",
    "release",
    "down",
    "toxiproxy",
}
"""Commands that do as much in a current folder that is gone."""


def as_usage(error: OSError) -> UsageError | None:
    """The error of a file that was named, with its cure; None where nobody named it."""
    if error.filename is None or error.errno not in CURES:
        return None
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return UsageError(f"{excerpt(str(name))}: {error.strerror}", help=CURES[error.errno])


def must_have_a_folder(command: str | None) -> None:
    """Refuse what is about files where the current folder is gone. Raises UsageError."""
    if command in NEED_NO_FOLDER:
        return
    try:
        os.getcwd()  # the question itself, not a path
    except FileNotFoundError:
        help = "cd to a folder that is there, then again"
        raise UsageError("the current folder is gone", help=help) from None
