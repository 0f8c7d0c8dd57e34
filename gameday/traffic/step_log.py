"""Requests beside the issue: the steps before it, and the questions after an accepted one.

File `history/<scenario>-<worker>.steps`, beside the history and laid out like it: a head of
`HEAD_BYTES` (magic, then the names of the steps as JSON), then records of `STEP` in the order of
their end. A step before has one for each time it was asked, whoever waited for it; the poll has
one for each accepted issue, with the outcome that it was told, or `unknown` where it was told none.

A history knows nothing of them: its times and outcomes are the issue's own.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.core import files
from gameday.core.json_objects import json_object
from gameday.traffic.history import HEAD_BYTES, ID_BYTES

MAGIC: Final = b"GDSTEP01"
SUFFIX: Final = ".steps"
LARGEST_BYTES: Final = 4 * files.GIB
POLL: Final = "poll"
"""The name of the question after an accepted issue; no step can be called so."""
STEP: Final = np.dtype(
    [
        ("k", "<u4"),
        ("status", "<u2"),
        ("step", "u1"),  # its place in the head's `steps`
        ("outcome", "u1"),  # of a step before: accepted, refused or unknown
        ("reason", "u1"),
        ("remaining", "<i4"),
        ("asked", "<u2"),  # how many times; more than once only of a poll
        ("sent_ns", "<i8"),  # 0: never sent
        ("ended_ns", "<i8"),
        ("issue_id", f"S{ID_BYTES}"),
    ]
)
Records = npt.NDArray[np.void]


class StepWriter:
    """The one writer of one file of steps, inside a traffic worker."""

    def __init__(self, path: Path, scenario: str, steps: Sequence[str]) -> None:
        head = MAGIC + json.dumps({"scenario": scenario, "steps": list(steps)}).encode()
        if len(head) >= HEAD_BYTES:
            raise ValueError(f"a head of {len(head)} bytes does not fit {HEAD_BYTES}")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        os.write(self._file, head.ljust(HEAD_BYTES, b" "))

    def append(self, records: bytes) -> None:
        """Whole records, as `STEP` lays them out."""
        while records:
            records = records[os.write(self._file, records) :]

    def close(self) -> None:
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class StepLog:
    """One file of steps as read."""

    scenario: str
    steps: Sequence[str]
    records: Records

    def of(self, name: str) -> Records:
        """The records of one step."""
        if name not in self.steps:
            return self.records[:0]
        found: Records = self.records[self.records["step"] == list(self.steps).index(name)]
        return found


def read(path: Path) -> StepLog:
    """A file of steps; a torn last record is left out. Raises OSError, and ValueError for none."""
    with files.open_file(path, LARGEST_BYTES) as file:
        head = file.read(HEAD_BYTES)
        if head[: len(MAGIC)] != MAGIC or len(head) < HEAD_BYTES:
            raise ValueError(f"{path.name} holds no steps")
        told = json_object(json.loads(head[len(MAGIC) :]))
        raw = file.read()
    names, scenario = told.get("steps"), told.get("scenario")
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValueError(f"{path.name} names no steps")
    records = np.frombuffer(raw, dtype=STEP, count=len(raw) // STEP.itemsize)
    if len(records) and int(records["step"].max()) >= len(names):
        raise ValueError(f"{path.name} holds a step that it does not name")
    if len(records) and min(int(records[name].min()) for name in ("sent_ns", "ended_ns")) < 0:
        raise ValueError(f"{path.name} holds a time before all times")
    return StepLog(str(scenario), names, records)
