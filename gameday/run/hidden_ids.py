"""Ids of issues that hold what a file of users has: hidden in the histories and in the audit alike.

A system may make an id of an email. Checks compare the ids that were told with those that are
stored, so both are replaced by the same text: a mark that only this process can make again, or,
for an id that a history holds as a digest already, that digest. No other id is touched.
"""

from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

import numpy as np

from gameday.core.secrets.redaction import MASK
from gameday.evidence.rows import Ids
from gameday.spec.users_hidden import HiddenCells
from gameday.traffic import step_log
from gameday.traffic.history import HEAD_BYTES, ID_BYTES, RECORD, stored_id

_AT_ONCE: Final = 100_000
_MARK_BYTES: Final = 12


def nothing_hidden(_ids: Ids) -> None:
    """Hides no id."""


class HiddenIds:
    """A function from ids to the same, where those that hold a cell are marks.

    `done` once all histories are: nothing may be compared with them before.
    """

    def __init__(self, cells: HiddenCells) -> None:
        self.done = False
        self._cells = cells
        self._salt = token_bytes(16)

    def __call__(self, ids: Ids) -> Ids | None:
        """The ids with marks in their places; None where there is nothing to hide."""
        texts = [raw.decode(errors="replace") for raw in ids.tolist()]
        places = [
            begin + at
            for begin in range(0, len(texts), _AT_ONCE)
            for at in self._cells.ids_with_one(texts[begin : begin + _AT_ONCE])
        ]
        if not places:
            return None
        found = ids.astype(f"S{max(ids.dtype.itemsize, ID_BYTES)}")
        for at in places:
            found[at] = self._mark(texts[at])
        return found

    def _mark(self, text: str) -> bytes:
        raw = text.encode()
        if len(raw) > ID_BYTES:
            return stored_id(text)
        mark = blake2b(raw, key=self._salt, digest_size=_MARK_BYTES).hexdigest()
        return f"{MASK}-{mark}".encode()

    def hide_in(self, history_dir: Path) -> None:
        """Hide them in all histories, whose writers have ended. Raises OSError, ValueError."""
        for path in sorted(history_dir.iterdir()):
            if path.suffix == step_log.SUFFIX:
                self._hide_in_file(path, step_log.STEP)
            elif path.suffix == ".bin":
                self._hide_in_file(path, RECORD)
        self.done = True

    def _hide_in_file(self, path: Path, kind: np.dtype[Any]) -> None:
        count = (path.stat().st_size - HEAD_BYTES) // kind.itemsize
        if count <= 0:
            return
        records = np.memmap(path, kind, "r+", offset=HEAD_BYTES, shape=(count,))
        for begin in range(0, count, _AT_ONCE):
            ids = records["issue_id"][begin : begin + _AT_ONCE]
            there = np.flatnonzero(ids != b"")
            if len(there) and (found := self(ids[there])) is not None:
                ids[there] = found
        records.flush()
