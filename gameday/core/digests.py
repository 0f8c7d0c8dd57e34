"""SHA-256 of files, each made once as long as the file stays what it is.

The evidence of a run is a hundred megabytes, and its report asks for its digests in several places.
"""

import hashlib
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.clock import NS, wall_time_ns

_PIECE: Final = 1 << 23  # between two of them it waits for the interpreter
_KNOWN: Final[dict[tuple[int, ...], str]] = {}
_MOST_KNOWN: Final = 1_000
_ONE_AT_A_TIME: Final = threading.Lock()  # who asks for one that is being made waits for it
SURE_NS: Final = 2 * NS
"""A file that was changed so long ago has another time of change when it is changed again: file
systems count it in steps of up to some milliseconds, old ones in seconds."""


def digest_of(path: Path, most_bytes: int | None = None) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with files.open_file(path, most_bytes) as file, _ONE_AT_A_TIME:
        about = os.fstat(file.fileno())
        which = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if (known := _KNOWN.get(which)) is not None:
            return known
        hashed = hashlib.sha256()
        piece = memoryview(bytearray(min(_PIECE, about.st_size + 1)))  # one for all: new pages cost
        while got := file.readinto(piece):
            hashed.update(piece[:got])
        digest = hashed.hexdigest()
        if wall_time_ns() - about.st_ctime_ns > SURE_NS:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[which] = digest
    return digest


def begin_digests(paths: Iterable[Path], most_bytes: int) -> None:
    """Make digests beside other work: hashing leaves the interpreter to others.

    One that cannot be made is left to who asks for it.
    """

    def make() -> None:
        for path in paths:
            with suppress(OSError):
                digest_of(path, most_bytes)

    threading.Thread(target=make, daemon=True).start()
