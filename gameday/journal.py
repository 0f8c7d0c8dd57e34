"""What gameday did: an append-only file of JSON lines, each chained to the one before.

A record is written *before* the act it announces (`fault.injecting`, then `fault.injected`), so
whatever may still be active after a crash can be read from the file. `prev` is the SHA-256 of
the line before; a torn or altered file yields its valid prefix, and says what is missing.

Fields of every record: `seq` (from 0), `t` (ns of CLOCK_MONOTONIC), `clock` (the clock's id),
`event`, `audience` ("all" or "facilitator"), `prev`.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
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
    """The writer: one per run directory, used by the controller alone."""

    def __init__(self, path: Path, clock: Clock, clock_id: str) -> None:
        self.path = path
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
        _write_all(self._file, raw)
        record = Record(self._seq, t_ns, event, audience, data)
        self._seq += 1
        self._prev = hashlib.sha256(raw[:-1]).hexdigest()
        return record

    async def write_durably(self, event: str, **data: Any) -> Record:
        """The same, and on the disk before this returns; the event loop does not wait."""
        record = self.write(event, **data)
        await asyncio.to_thread(os.fdatasync, self._file)
        return record

    def close(self) -> None:
        os.close(self._file)


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
        except (ValueError, KeyError, TypeError):
            return Journaled(tuple(records), f"line {number} cannot be read")
        if not chained:
            return Journaled(tuple(records), f"line {number} does not follow the line before it")
        data = {k: v for k, v in fields.items() if k not in COMMON}
        record = Record(fields["seq"], fields["t"], fields["event"], fields["audience"], data)
        records.append(record)
        prev = hashlib.sha256(line).hexdigest()
    damage = f"line {len(lines)} is torn" if lines[-1] else ""
    return Journaled(tuple(records), damage)
