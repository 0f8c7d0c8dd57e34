"""The growing end of a file of lines that somebody else writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gameday.core import files

LONGEST_LINE: Final = 32 * files.MIB  # as samples may have; a file without an end of line is none


class Tail:
    """Whole new lines of a JSON-lines file that may not exist yet; `at` is how far it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.at = 0

    def lines(self) -> Iterator[bytes]:
        """Complete lines that were appended since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self.at)
            while raw := file.readline(LONGEST_LINE):
                if not raw.endswith(b"\n"):
                    return
                self.at += len(raw)
                yield raw.rstrip(b"\n")
