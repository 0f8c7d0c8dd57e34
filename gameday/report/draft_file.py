"""A person's edits are never overwritten: a draft is replaced only while it is as we wrote it.

The last line of a draft is a comment with the SHA-256 of everything above it. As long as it is
true nobody has touched the file. A draft that somebody works on is left alone, and the new one
goes beside it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

from gameday.core import files

_LARGEST_BYTES: Final = 64 * files.MIB
_SEAL: Final = re.compile(rb"<!-- gameday draft ([0-9a-f]{64}) -->\n\Z")


def write_draft(folder: Path, body: str) -> Path:
    """Write `postmortem.md`, or `postmortem.new.md` beside an edited one; where it went."""
    raw = body.encode()
    sealed = raw + f"<!-- gameday draft {hashlib.sha256(raw).hexdigest()} -->\n".encode()
    path = next(path for path in _places(folder) if not os.path.lexists(path) or unedited(path))
    files.replace(path, [sealed])
    return path


def unedited(path: Path) -> bool:
    """The file is byte for byte what `write_draft` wrote."""
    try:
        raw = files.read_bytes(path, _LARGEST_BYTES)
    except OSError:
        return False  # whatever it is, it is none of ours
    seal = _SEAL.search(raw)
    return seal is not None and hashlib.sha256(raw[: seal.start()]).hexdigest() == seal[1].decode()


def _places(folder: Path) -> Iterator[Path]:
    yield folder / "postmortem.md"
    yield folder / "postmortem.new.md"
    for number in count(2):
        yield folder / f"postmortem.new.{number}.md"
