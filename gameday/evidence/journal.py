"""The journal: an append-only file of JSON lines, each chained to the one before.

A record is written *before* the act it announces (`fault.injecting`, then `fault.injected`), so
whatever may still be active after a crash can be read from the file. `prev` is the SHA-256 of
the line before; a torn or altered file yields its valid prefix, and says what is missing.

A journal that can no longer be written (a full disk) tells its owner once: what is to be undone
must be undone all the same. Two writers make the same lines: `Journal` writes in its caller;
`LiveJournal` has a thread for it, and never holds up the event loop of the run it tells of.

What a text for people must not show, a password for instance, is taken out by `hide` before it is
chained; what a machine reads back is written as it is (`events` says which is which).

Fields of every record: `seq` (from 0), `t` (ns of CLOCK_MONOTONIC), `clock` (the clock's id),
`event`, `audience` ("all" or "facilitator"), `prev`, then `sig`, the signature of the line up to
there where it has a key (`core/signing.py`), and in the end `crc`: the CRC-32 of the line up to
there, because the last line has no successor to vouch for it. Whoever only reads and judges needs
no key; whoever acts on a record looks at its signature (`provenance`).

In a drill what a trainee must not read is `sealed`: its event and fields are in `box` until the
debrief, whose `drill.debriefed` has the key (`sealed_box`). Such records are opened in reading,
where the key is known; elsewhere they are of the event `Sealed`.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar

from gameday.core import files
from gameday.core.clock import Clock
from gameday.core.json_objects import Json
from gameday.core.secrets.redaction import nothing
from gameday.core.secrets.signing import RecordPosition, SigningKey
from gameday.evidence.event_fields import is_whole
from gameday.evidence.events import DrillDebriefed, E, Event, Sealed, from_json, masked
from gameday.evidence.forgotten import FILE as FORGOTTEN
from gameday.evidence.forgotten import hidden, read_forgotten
from gameday.evidence.journal_lengths import Length
from gameday.evidence.sealed_box import Box, boxes_of, is_for_trainees

Audience = Literal["all", "facilitator"]
GENESIS = "0" * 64
MOST_DIGITS = 308  # a float has no more, and a longer integer is nobody's
LARGEST_BYTES = 64 * files.MIB
JOURNAL_FILE, REAPER_FILE = "journal.jsonl", "reaper.jsonl"
OTHER_FILE = {JOURNAL_FILE: REAPER_FILE}
"""Where a debrief may stand beside a file: that of a killed drill is told by its reaper."""
_DEBRIEFED = DrillDebriefed.kind.encode()
_CRC = b', "crc": "'
_SIGNED = re.compile(rb', "sig": "([0-9a-f]{8}\.[0-9a-f]{64})", "crc": "[0-9a-f]{8}"\}\Z')


E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class RecordOf(Generic[E_co]):
    """One line of a journal."""

    seq: int
    t_ns: int
    event: E_co
    audience: Audience = "all"

    @property
    def data(self) -> Json:
        """The fields beyond the common ones, as they stand in the file."""
        return self.event.as_json()


Record = RecordOf[Event]


def every(records: Iterable[Record], kind: type[E]) -> Iterator[RecordOf[E]]:
    """The records of one kind of event, in their order."""
    return (record for record in records if isinstance(record.event, kind))  # type: ignore[misc]


def first(records: Iterable[Record], kind: type[E]) -> RecordOf[E] | None:
    """The first record of one kind of event."""
    return next(every(records, kind), None)


class Journal:
    """The writer: one per run directory, used by one process alone.

    `failed` hears of a line that could not be written, and `problem` keeps why; without it, the
    error is raised. `hide` takes out of a text what nobody is to read; `key` signs every record;
    `length` is told how many are on the disk. `listeners` are called with each record. While there
    is a `box`, what is the facilitator's is sealed in it.
    """

    def __init__(
        self, path: Path, clock: Clock, clock_id: str, failed: Callable[[str], None] | None = None
    ) -> None:
        self.path = path
        self.problem = ""
        self.hide: Callable[[str], str] = nothing
        self.key: SigningKey | None = None
        self.length: Length | None = None
        self.listeners: list[Callable[[Record], object]] = []
        self.box: Box | None = None
        self._failed = failed
        self._clock = clock
        self._clock_id = clock_id
        self._run = run_of(path)
        self._seq = 0
        self._prev = GENESIS
        self._file = -1
        self._open()

    def write(self, event: Event, audience: Audience = "all") -> Record:
        """Append one record. A `Journal` has it in the kernel when this returns."""
        t_ns = self._clock.now_ns()
        head = {"seq": self._seq, "t": t_ns, "clock": self._clock_id}
        if self.box is not None and not is_for_trainees(event):
            audience = "facilitator"
        shown = self._shown_as(event, audience)
        told = {"event": shown.kind, "audience": audience, **masked(shown, self.hide)}
        body = {**head, **told, "prev": self._prev}
        raw = sealed(self._signed(json.dumps(body).encode())) + b"\n"
        self._append(raw)
        record = RecordOf(self._seq, t_ns, event, audience)
        self._seq += 1
        self._prev = hashlib.sha256(raw[:-1]).hexdigest()
        for listener in [*self.listeners]:
            listener(record)
        return record

    def _shown_as(self, event: Event, audience: Audience) -> Event:
        """The event as its line has it: itself, or in a box."""
        if self.box is None or audience != "facilitator":
            return event
        place = box_place(self._run, self.path.name, self._seq)
        return self.box.seal_event(event, place, self.hide)

    def write_through(self, event: Event) -> Record:
        """The same, and in the kernel before this returns. Raises OSError when it is not."""
        record = self.write(event)
        if self.problem:
            raise OSError(self.problem)
        return record

    async def write_durably(self, event: Event) -> Record:
        """The same, and on the disk before this returns; the event loop does not wait."""
        import asyncio  # reports read journals, and need no event loop

        record = self.write(event)
        if not self.problem:
            try:
                await asyncio.to_thread(os.fdatasync, self._file)
            except OSError as error:
                self._fails(error)
        self._note_length(record)
        return record

    def _note_length(self, last: Record) -> None:
        """Note that all up to `last` is on the disk."""
        if self.length is not None and not self.problem:
            self.length.note(last.seq + 1)

    def _forget_length(self) -> None:
        if self.length is not None:
            self.length.close()
            self.length = None

    def close(self) -> None:
        self._forget_length()
        os.close(self._file)
        self._file = -1  # a late line must not go into whatever file has this number next

    def _signed(self, line: bytes) -> bytes:
        """The line with its signature as the last field, where there is a key."""
        if self.key is None:
            return line
        spot = RecordPosition(self._run, self.path.name, self._seq)
        signature = self.key.sign(spot, line[:-1]).encode()
        return b'%s, "sig": "%s"}' % (line[:-1], signature)

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _append(self, raw: bytes) -> None:
        if self.problem:
            return
        try:
            _write_all(self._file, raw)
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        if self.problem:
            return
        self.problem = f"{self.path} cannot be written: {error.strerror}"
        if self._failed is None:
            raise error
        self._failed(self.problem)


class LiveJournal(Journal):
    """The journal of a run under way: its lines are written by a thread, in order.

    A line that could not be written is told to `failed` from the event loop, which must run when
    this is made. When the disk is full, the last words still have room (see `append_log`).
    """

    def _open(self) -> None:
        import asyncio

        from gameday.core.files.append_log import Appender

        self._loop = asyncio.get_running_loop()
        self._appender = Appender(self.path, self._fails_elsewhere)

    def write_through(self, event: Event) -> Record:
        """Append it, and wait here until it is in the kernel. Raises OSError when it is not.

        It holds up the event loop for one write: for what starts a stack, not for a fault.
        """
        record = self.write(event)
        self._settle(self._appender.in_kernel())
        if self.problem:
            raise OSError(self.problem)
        return record

    async def write_durably(self, event: Event) -> Record:
        """Append it, and wait until it is on the disk; the event loop goes on meanwhile."""
        record = self.write(event)
        self._settle(await self._appender.on_disk())
        self._note_length(record)
        return record

    def close(self) -> None:
        """Write what is waiting, for some seconds at most."""
        self._forget_length()
        self._settle(self._appender.close())

    def _append(self, raw: bytes) -> None:
        self._appender.append(raw)

    def _settle(self, trouble: OSError | None) -> None:
        if trouble is not None:
            self._fails(trouble)

    def _fails_elsewhere(self, error: OSError) -> None:
        """Called from the thread."""
        try:
            self._loop.call_soon_threadsafe(self._fails, error)
        except RuntimeError:
            return  # the loop is closed: whoever closes the journal is told


def sealed(line: bytes) -> bytes:
    """The line with its CRC as the last field."""
    return b'%s%s%08x"}' % (line[:-1], _CRC, zlib.crc32(line[:-1]))


def run_of(path: Path) -> str:
    """The run that a file belongs to: the name of the directory that it really lies in.

    A file that is a link belongs to where the link lies: what it leads to is another run's.
    """
    return os.path.basename(os.path.realpath(os.path.dirname(path)))


def signature_of(line: bytes) -> tuple[bytes, str]:
    """The signed text of a line, and its signature: "" where it has none."""
    match = _SIGNED.search(line)
    return (line, "") if match is None else (line[: match.start()], match[1].decode())


def _write_all(file: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(file, raw) :]


@dataclass(frozen=True, slots=True)
class Journaled:
    """A journal as read: its valid prefix, and what is wrong after it ("" when nothing is)."""

    records: tuple[Record, ...]
    damage: str


COMMON = {"seq", "t", "clock", "event", "audience", "prev", "sig", "crc"}
_NOT_A_RECORD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read(path: Path, box: Box | None = None) -> Journaled:
    """The valid prefix of a journal, however the file was cut or altered.

    What is sealed is opened with `box`, or the key that a debrief has told. What is there and no
    file that can be read is damage. Raises FileNotFoundError.
    """
    found = _read(path)
    opened = replace(found, records=tuple(unsealed(found.records, path, box)))
    return _without_names(opened, path.parent)


def _read(path: Path) -> Journaled:
    try:
        raw = files.read_bytes(path, LARGEST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        return Journaled((), f"cannot be read: {error.strerror}")
    records: list[Record] = []
    prev = GENESIS
    lines = raw.split(b"\n")
    checked = has_sum(lines[0])  # journals of the first versions have none
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record, before = parse(line, checked=checked)
        except ValueError:
            return Journaled(tuple(records), f"line {number} cannot be read")
        if (before, record.seq) != (prev, len(records)):
            return Journaled(tuple(records), f"line {number} does not follow the line before it")
        records.append(record)
        prev = hashlib.sha256(line).hexdigest()
    damage = f"line {len(lines)} is torn" if lines[-1] else ""
    return Journaled(tuple(records), damage)


def _without_names(journaled: Journaled, run_dir: Path) -> Journaled:
    """The same without the names of people who are to be forgotten (`forgotten`).

    Where nobody can tell who they are, nothing is shown.
    """
    try:
        forgotten = read_forgotten(run_dir)
    except (OSError, ValueError, RecursionError):
        return Journaled((), f"{run_dir / FORGOTTEN} cannot be read")
    if forgotten is None:
        return journaled
    shown = tuple(
        replace(each, event=from_json(each.event.kind, hidden(each.data, forgotten.hide)))
        for each in journaled.records
    )
    return Journaled(shown, journaled.damage)


def box_place(run: str, file: str, seq: int) -> str:
    """The place that a sealed record is bound to."""
    return f"{run}/{file}/{seq}"


def unsealed(records: Sequence[Record], path: Path, box: Box | None = None) -> Sequence[Record]:
    """The records of a file, opened as far as a key is known; the key may be in the other file."""
    if not any(isinstance(each.event, Sealed) for each in records):
        return records
    boxes = [] if box is None else [box]
    boxes += boxes_of(each.event for each in records)
    boxes += boxes_of(_debriefs(path.with_name(OTHER_FILE.get(path.name, JOURNAL_FILE))))
    return [_opened(each, path, boxes) for each in records] if boxes else records


def _debriefs(path: Path) -> Iterator[Event]:
    """The debriefs that another file of the same run tells of, whatever else is in it."""
    try:
        raw = files.read_bytes(path, LARGEST_BYTES)
    except OSError:
        return
    for line in raw.split(b"\n"):
        if _DEBRIEFED in line:
            try:
                yield parse(line, checked=has_sum(line))[0].event
            except ValueError:
                continue


def _opened(record: Record, path: Path, boxes: Sequence[Box]) -> Record:
    if isinstance(record.event, Sealed):
        place = box_place(run_of(path), path.name, record.seq)
        for box in boxes:
            try:
                return replace(record, event=box.open_event(record.event, place))
            except ValueError:
                continue
    return record


def has_sum(line: bytes) -> bool:
    """True if a line ends with its own CRC; those of the first versions do not."""
    return _CRC in line


def _integer(digits: str) -> int:
    """An integer that a double can hold, as whoever shows or reckons with it counts on."""
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return int(digits)


_DECODER = json.JSONDecoder(parse_int=_integer)  # `json.loads` would make one for each line


def parse(line: bytes, *, checked: bool) -> tuple[Record, str]:
    """A line as a record, and the sum of the line before it. Raises ValueError, and nothing else.

    `checked`: it must end with its own CRC.
    """
    try:
        if checked and sealed(line[: line.rindex(_CRC)] + b"}") != line:
            raise ValueError("the line is not what was written")
        fields = _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
        data = {k: v for k, v in fields.items() if k not in COMMON}
        if not (is_whole(fields["seq"]) and is_whole(fields["t"])):
            raise ValueError("its number or its time is none")
        event = from_json(fields["event"], data)
        return RecordOf(fields["seq"], fields["t"], event, fields["audience"]), str(fields["prev"])
    except _NOT_A_RECORD as error:
        raise ValueError(f"no record of a journal: {error}") from error
