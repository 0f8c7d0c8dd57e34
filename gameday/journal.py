"""What gameday did: an append-only file of JSON lines, each chained to the one before.

A record is written *before* the act it announces (`fault.injecting`, then `fault.injected`), so
whatever may still be active after a crash can be read from the file. `prev` is the SHA-256 of
the line before; a torn or altered file yields its valid prefix, and says what is missing.

A journal that can no longer be written (a full disk) tells its owner once and writes no more: what
is to be undone must be undone all the same.

Fields of every record: `seq` (from 0), `t` (ns of CLOCK_MONOTONIC), `clock` (the clock's id),
`event`, `audience` ("all" or "facilitator"), `prev`.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gameday.clock import Clock

Audience = Literal["all", "facilitator"]
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a journal; `data` holds the fields beyond the common ones."""

    seq: int
    t_ns: int
    event: str
    audience: Audience
    data: Mapping[str, Any]


class Journal:
    """The writer: one per run directory, used by the controller alone.

    `failed` hears of a line that could not be written, and `problem` keeps why; without it, the
    error is raised.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        clock_id: str,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self.problem = ""
        self._failed = failed
        self._clock = clock
        self._clock_id = clock_id
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._seq = 0
        self._prev = GENESIS

    def write(self, event: str, *, audience: Audience = "all", **data: Any) -> Record:
        """Append one record; it is in the kernel when this returns, though not yet on the disk."""
        t_ns = self._clock.now_ns()
        head = {"seq": self._seq, "t": t_ns, "clock": self._clock_id, "event": event}
        line = json.dumps({**head, "audience": audience, **data, "prev": self._prev}, default=str)
        raw = line.encode() + b"\n"
        self._append(raw)
        record = Record(self._seq, t_ns, event, audience, data)
        self._seq += 1
        self._prev = hashlib.sha256(raw[:-1]).hexdigest()
        return record

    async def write_durably(self, event: str, **data: Any) -> Record:
        """The same, and on the disk before this returns; the event loop does not wait."""
        record = self.write(event, **data)
        if not self.problem:
            try:
                await asyncio.to_thread(os.fdatasync, self._file)
            except OSError as error:
                self._fails(error)
        return record

    def close(self) -> None:
        os.close(self._file)
        self._file = -1  # a late line must not go into whatever file has this number next

    def _append(self, raw: bytes) -> None:
        if self.problem:
            return
        try:
            _write_all(self._file, raw)
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        self.problem = f"{self.path} cannot be written: {error.strerror}"
        if self._failed is None:
            raise error
        self._failed(self.problem)


def _write_all(file: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(file, raw) :]


@dataclass(frozen=True, slots=True)
class Journaled:
    """A journal as read: its valid prefix, and what is wrong after it ("" when nothing is)."""

    records: tuple[Record, ...]
    damage: str


COMMON = {"seq", "t", "clock", "event", "audience", "prev"}


def read(path: Path) -> Journaled:
    """The valid prefix of a journal, however the file was cut or altered."""
    raw = path.read_bytes()
    records: list[Record] = []
    prev = GENESIS
    lines = raw.split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            fields = json.loads(line)
            chained = fields["prev"] == prev and fields["seq"] == len(records)
            data = {k: v for k, v in fields.items() if k not in COMMON}
            record = Record(fields["seq"], fields["t"], fields["event"], fields["audience"], data)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Journaled(tuple(records), f"line {number} cannot be read")
        if not chained:
            return Journaled(tuple(records), f"line {number} does not follow the line before it")
        records.append(record)
        prev = hashlib.sha256(line).hexdigest()
    damage = f"line {len(lines)} is torn" if lines[-1] else ""
    return Journaled(tuple(records), damage)
