"""Which faults are in, as the run's journal says: a series of each, for dashboards.

The controller writes down each fault before it acts and once it has acted; the collector reads on
in that file at each instant, so a fault's window stands in Prometheus beside what it did.
"""

import json
from pathlib import Path
from typing import Final

from gameday.telemetry.promql import Labels, labels

NAME: Final = "gameday_fault"
MOST: Final = 200  # faults; an experiment has no more
STEP_BYTES: Final = 1024 * 1024  # of the journal, at one instant
LONGEST: Final = 100
_EVENT: Final = b'"event": "fault.'


class FaultWindows:
    """Reads one journal as it grows. `path` None, or a file that is not there: no faults."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._offset = 0
        self._faults: dict[str, Labels] = {}
        self._in: set[str] = set()

    def series(self) -> dict[Labels, float]:
        """1 for each fault that is in, 0 for each that was."""
        for line in self._new_lines():
            if _EVENT in line:
                self._note(line)
        return {known: float(id_ in self._in) for id_, known in self._faults.items()}

    def _new_lines(self) -> list[bytes]:
        if self._path is None:
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                raw = file.read(STEP_BYTES)
        except OSError:
            return []
        whole = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()

    def _note(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            event, id_ = record["event"], str(record["id"])[:LONGEST]
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if event == "fault.injecting" and len(self._faults) < MOST:
            about = {k: str(record.get(k, ""))[:LONGEST] for k in ("fault", "target")}
            self._faults[id_] = labels(NAME, id=id_, **about)
        elif event == "fault.injected" and id_ in self._faults:
            self._in.add(id_)
        elif event == "fault.removed":
            self._in.discard(id_)
