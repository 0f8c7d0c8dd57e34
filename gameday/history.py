"""What clients asked the system under test, and what they were told.

A history is the evidence every check reads: one fixed-size record per scheduled start, with the
instant it was meant to start, was sent and was answered, and its outcome. An outcome is certain
(issued, duplicate, sold out, refused) or `unknown`: a timeout, a reset connection, a 500.
Treating `unknown` as refused is the classic mistake. The request may still have worked.

File `history/<scenario>-<worker>.bin`: a head of `HEAD_BYTES` (magic, `dispatched` as a
little-endian u64 at offset 8, then the header as JSON, padded with spaces), then records of
`RECORD` in order of completion. `dispatched` is advanced *before* a request is sent: every
k < dispatched without a record is unknown, and its user is a pure function of (seed, scenario,
k), so even kill -9 of the worker loses no request. The file is readable while it grows.
"""

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAGIC: Final = b"GDHIST01"
HEAD_BYTES: Final = 4096
ID_BYTES: Final = 40


class Outcome(IntEnum):
    """What became of one start."""

    ISSUED = 0
    DUPLICATE = 1
    SOLD_OUT = 2
    REFUSED = 3
    ACCEPTED = 4
    UNKNOWN = 5
    DROPPED = 6

    @property
    def text(self) -> str:
        return self.name.lower()


class Reason(IntEnum):
    """Why a start was dropped, or why its outcome is not an answer."""

    NONE = 0
    TIMEOUT = 1
    RESET = 2  # the connection broke before a whole answer
    GARBAGE = 3  # what came back was not HTTP
    UNMATCHED = 4  # an answer that no outcome of the system file describes
    CONNECT_REFUSED = 5  # never sent: certainly no effect
    CONNECT_FAILED = 6
    INTERRUPTED = 7  # open when the run ended
    SYSTEM_SATURATED = 8  # dropped: too many unanswered requests
    NO_FILES = 9  # dropped: out of file descriptors
    NO_PORTS = 10  # dropped: out of local ports
    LATE = 11  # dropped: the worker itself was too late
    NO_VUS = 12  # dropped: maxVUs was reached

    @property
    def text(self) -> str:
        return self.name.lower().replace("_", "-")


RECORD: Final = np.dtype(
    [
        ("k", "<u4"),
        ("status", "<u2"),  # HTTP status, 0 without an answer
        ("outcome", "u1"),
        ("reason", "u1"),
        ("user", "<i8"),
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),  # 0: never sent
        ("first_byte_ns", "<i8"),  # 0: none came
        ("ended_ns", "<i8"),  # 0: not ended
        ("remaining", "<i4"),  # what the answer said, -1: nothing
        ("bytes_sent", "<u2"),
        ("bytes_received", "<u2"),
        ("issue_id", f"S{ID_BYTES}"),  # NUL-padded; ids over 40 bytes as 32 hex digits of a digest
    ]
)


def stored_id(text: str) -> bytes:
    """An id as a record holds it: itself up to 40 bytes, else its 16-byte digest in hex."""
    raw = text.encode()
    return raw if len(raw) <= ID_BYTES else blake2b(raw, digest_size=16).hexdigest().encode()


class HistoryWriter:
    """The one writer of one history file, inside a traffic worker."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        head = MAGIC + bytes(8) + json.dumps(header).encode()
        if len(head) >= HEAD_BYTES:
            raise ValueError(f"history header of {len(head)} bytes does not fit {HEAD_BYTES}")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(self._file, head.ljust(HEAD_BYTES, b" "))
        self._head = mmap.mmap(self._file, HEAD_BYTES)

    def advance(self, dispatched: int) -> None:
        """All k < dispatched are about to be sent or dropped. A store into shared memory."""
        self._head[8:16] = dispatched.to_bytes(8, "little")

    def append(self, records: bytes) -> None:
        """Whole records, as `RECORD` lays them out."""
        while records:
            records = records[os.write(self._file, records) :]

    def close(self) -> None:
        self._head.close()
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class History:
    """One history file as read: the header, how far the schedule got, and the records (RECORD)."""

    scenario: str
    header: Mapping[str, Any]
    dispatched: int
    records: npt.NDArray[np.void]


class HistoryTail:
    """Reads a history file while it grows: whole new records at each `read_new`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        head = self._file.read(HEAD_BYTES)
        if head[:8] != MAGIC or len(head) < HEAD_BYTES:
            self._file.close()
            raise ValueError(f"{path} is not a history")
        self.header: Mapping[str, Any] = json.loads(head[16:])
        self.scenario: str = self.header["scenario"]

    def read_new(self) -> tuple[npt.NDArray[np.void], int]:
        """Records since the last call, and `dispatched` as read before them."""
        at = self._file.tell()
        self._file.seek(8)
        dispatched = int.from_bytes(self._file.read(8), "little")
        self._file.seek(at)
        raw = self._file.read()
        whole = len(raw) - len(raw) % RECORD.itemsize
        self._file.seek(at + whole)
        return np.frombuffer(raw[:whole], dtype=RECORD), dispatched

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> History:
    """A whole history file; a torn last record is left out (its k is then unknown)."""
    tail = HistoryTail(path)
    try:
        records, dispatched = tail.read_new()
    finally:
        tail.close()
    return History(tail.scenario, tail.header, dispatched, records)
