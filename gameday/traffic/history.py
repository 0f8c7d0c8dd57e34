"""The history: requests that clients made to the system under test, and the answers they got.

A history is the evidence every check reads: one fixed-size record per scheduled start, with the
instant it was meant to start, was sent and was answered, and its outcome. An outcome is certain
(issued, duplicate, sold out, refused) or `unknown`: a timeout, a reset connection, a 500.
Treating `unknown` as refused is the classic mistake. The request may still have worked.

File `history/<scenario>-<worker>.bin`: a head of `HEAD_BYTES` (magic, `dispatched` as a
little-endian u64 at offset 8, then the header as JSON, padded with spaces), then records of
`RECORD` in order of completion. `dispatched` is advanced *before* a request is sent: every
k < dispatched without a record is unknown, and its user is a pure function of (seed, scenario,
k), so even kill -9 of the worker loses no request. The file is readable while it grows.

numpy reads it in place: `np.memmap(path, RECORD, "r", offset=HEAD_BYTES)`, once nothing is being
written. Other tools find 100 bytes a record at offset 4096, laid out as `RECORD` says; from
Python, DuckDB takes a dict of its columns, each as `np.ascontiguousarray(records[name])`.

`sent_ns` is when the worker turned to the start, before it had a connection. Connecting, the TLS
handshake and writing follow, as spans in milliseconds (half floats: three digits, at most 65 s),
each 0 where it did not take place. Files of version 1 lack those and are read all the same.
"""

import json
import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt

from gameday.core import files
from gameday.core.json_objects import Json, read_object
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.scenario_json import from_json, to_json

MAGIC: Final = b"GDHIST02"
MAGIC_1: Final = b"GDHIST01"
HEAD_BYTES: Final = 4096  # one page: records stay aligned for `mmap`
ID_BYTES: Final = 36  # a UUID as text
LARGEST_BYTES: Final = 16 * files.GIB  # 170 million records; more is no history of ours
LONGEST_SPAN_MS: Final = 65504.0  # the largest half float


class Outcome(IntEnum):
    """The outcome of one start."""

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
    TOO_LARGE = 13  # more came back than anybody should send
    STEP_FAILED = 14  # never asked: a step before it failed
    CAPTURE = 15  # of a step: its answer has no value that can be used
    STEP_UNANSWERED = 16  # never asked: a step before it had no answer, or an error of the server

    @property
    def text(self) -> str:
        return self.name.lower().replace("_", "-")


STEPS_FAILED: Final = (Reason.STEP_FAILED, Reason.STEP_UNANSWERED)
"""Why the issue of a start was never asked."""
UNREACHED: Final = (
    *(Reason.TIMEOUT, Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED),
    Reason.STEP_UNANSWERED,
)
"""Why a start is `refused` although no answer of the system says so: nobody was reached."""


_COMMON: Final = [
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
    ("bytes_sent", "<u2"),  # 65,535 stands for more, too
    ("bytes_received", "<u2"),  # without what `received_64k` counts
]
RECORD: Final = np.dtype(
    [
        *_COMMON,
        ("connecting_ms", "<f2"),  # 0: on a connection there was already
        ("tls_ms", "<f2"),
        ("sending_ms", "<f2"),
        ("attempts", "u1"),  # more than 1: it was asked again after a timeout
        ("received_64k", "u1"),  # 65,536 bytes each, besides `bytes_received`
        ("issue_id", f"S{ID_BYTES}"),  # NUL-padded; ids over 36 bytes as 32 hex digits of a digest
    ]
)
_RECORD_1: Final = np.dtype([*_COMMON, ("issue_id", "S40")])

# On Linux all pages are mapped at once, which is cheaper than one by one.
_MAPPED: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)

Records = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]


def unreached(outcome: npt.NDArray[Any], reason: npt.NDArray[Any]) -> Mask:
    """Starts that were refused, and not by an answer; a timeout of one that was sent is unknown."""
    found: Mask = (outcome == Outcome.REFUSED) & np.isin(reason, [int(each) for each in UNREACHED])
    return found


def stored_id(text: str) -> bytes:
    """An id as a record holds it: itself up to 36 bytes, else its 16-byte digest in hex."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as a forged audit may hold
        raw = text.encode("utf-8", "surrogatepass")
    return raw if len(raw) <= ID_BYTES else blake2b(raw, digest_size=16).hexdigest().encode()


def _modern(old: Records) -> Records:
    """Records of version 1 as `RECORD`: one attempt each, spans that nobody took down as 0."""
    made = np.zeros(len(old), dtype=RECORD)
    for name, _ in _COMMON:
        made[name] = old[name]
    made["attempts"] = 1
    made["issue_id"] = [stored_id(raw.decode(errors="replace")) for raw in old["issue_id"]]
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHeader:
    """The owner of a history's starts: one scenario, in worker `worker` of `workers`.

    `spec` is the scenario itself. `clock`, `coupon`, `run` and `pid` are for who looks on.
    """

    scenario: str
    worker: int = 0
    workers: int = 1
    seed: int
    run: str = ""
    users: int
    coupon: str = ""
    spec: Annotated[Scenario, from_json]
    t0_ns: int
    clock: str = "monotonic"
    pid: int = 0

    @classmethod
    def from_json(cls, head: object) -> "HistoryHeader":
        """The header that a file holds. Raises ValueError for another."""
        return read_object(cls, head)

    def to_json(self) -> Json:
        """The keys that `from_json` reads as the same header."""
        return {name: getattr(self, name) for name in self.__slots__} | {"spec": to_json(self.spec)}


class HistoryWriter:
    """The one writer of one history file, inside a traffic worker."""

    def __init__(self, path: Path, header: HistoryHeader) -> None:
        head = MAGIC + bytes(8) + json.dumps(header.to_json()).encode()
        if len(head) >= HEAD_BYTES:
            raise ValueError(f"history header of {len(head)} bytes does not fit {HEAD_BYTES}")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
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

    header: HistoryHeader
    dispatched: int
    records: Records

    @property
    def scenario(self) -> str:
        return self.header.scenario


class HistoryTail:
    """Reads a history file while it grows: whole new records at each `read_new`."""

    def __init__(self, path: Path) -> None:
        self._file = files.open_file(path, LARGEST_BYTES)
        head = self._file.read(HEAD_BYTES)
        if head[:8] not in (MAGIC, MAGIC_1) or len(head) < HEAD_BYTES:
            self._file.close()
            raise ValueError(f"{path} is not a history")
        self._version_1 = head[:8] == MAGIC_1
        self._kind = _RECORD_1 if self._version_1 else RECORD
        self.header = HistoryHeader.from_json(json.loads(head[16:]))

    def read_new(self) -> tuple[Records, int]:
        """Records since the last call, and `dispatched` as read before them."""
        at, dispatched = self._file.tell(), self._dispatched()
        self._file.seek(at)
        raw = self._file.read()
        whole = len(raw) - len(raw) % self._kind.itemsize
        self._file.seek(at + whole)
        return self._records(raw[:whole]), dispatched

    def mapped(self) -> tuple[Records, int]:
        """All whole records there are now, in place, and `dispatched` as read before them."""
        dispatched = self._dispatched()
        whole = mmap.mmap(self._file.fileno(), 0, flags=_MAPPED, prot=mmap.PROT_READ)
        count = (len(whole) - HEAD_BYTES) // self._kind.itemsize
        return self._records(whole, count=count, offset=HEAD_BYTES), dispatched

    def _dispatched(self) -> int:
        self._file.seek(8)
        return int.from_bytes(self._file.read(8), "little")

    def _records(self, raw: bytes | mmap.mmap, *, count: int = -1, offset: int = 0) -> Records:
        records = np.frombuffer(raw, dtype=self._kind, count=count, offset=offset)
        return _modern(records) if self._version_1 else records

    def close(self) -> None:
        self._file.close()


def of_scenario(folder: Path, scenario: str) -> list[History]:
    """The histories of one scenario; a file of `a-b` is none of `a`, whatever it is called."""
    paths = sorted(each for each in folder.glob("*.bin") if each.name.startswith(f"{scenario}-"))
    return [found for found in map(read, paths) if found.scenario == scenario]


def read(path: Path) -> History:
    """A whole history file; a torn last record is left out (its k is then unknown).

    The file is mapped, not copied: it may grow meanwhile, and be removed, but not be cut short.
    """
    tail = HistoryTail(path)
    try:
        records, dispatched = tail.mapped()
    finally:
        tail.close()
    return History(tail.header, dispatched, records)
