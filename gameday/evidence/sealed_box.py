"""The sealed box of a drill: what a trainee must not read is encrypted at rest until the debrief.

The key is 32 random bytes that live in the memory of the drill's process and of its reaper, and in
no file before `drill.debriefed`. Records and the run's inputs are sealed with ChaCha20-Poly1305
(RFC 8439) and are bound to their place: what is copied to another line, file or run does not open.
Chain, signature and checksum of a journal are over the line as it is written, so that a sealed one
is checked by whoever has no key.

Which kinds of events a trainee may read is decided here, and nowhere else: what is not named is the
facilitator's.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.json_objects import json_object
from gameday.core.secrets.redaction import nothing
from gameday.evidence import events
from gameday.evidence.drill_events import Sealed
from gameday.evidence.event import Event

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PAD: Final = 512  # bytes; the length of a box does not tell what is in it
_KEY_FILE_BYTES: Final = 1024

FOR_TRAINEES: Final = frozenset(
    {
        "run.started",
        "run.ended",
        "stack.starting",
        "stack.waiting",
        "stack.ready",
        "autoscaler.scaling",
        "autoscaler.scaled",
        "operator.stop",
        "operator.abort",
        "alert.acknowledged",
        "order.given",
        "order.answered",
        "step.started",
        "step.done",
        "action.started",
        "action.done",
        "responder.started",
        "responder.launched",
        "responder.trouble",
        "responder.ended",
        "drill.started",
        "drill.joined",
        "drill.inject",
        "drill.hint",
        "drill.paused",
        "drill.resumed",
        "drill.debriefed",
    }
)
"""Kinds of events that a trainee may read while a drill is under way."""
PHASES_FOR_TRAINEES: Final = frozenset({"stack", "preflight", "traffic", "ending"})
"""Phases that every run has; that faults come out is told by others."""


def is_for_trainees(event: Event) -> bool:
    """True for an event that a trainee may read. What went wrong in a phase is not."""
    if isinstance(event, events.Phase):
        tells = event.problem or event.service or event.left
        return event.phase in PHASES_FOR_TRAINEES and not tells
    return event.kind in FOR_TRAINEES


class Box:
    """A key, and what is put into boxes and taken out of them with it."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self.key = key
        self._cipher = ChaCha20Poly1305(key)

    @classmethod
    def new(cls) -> Self:
        """One with a key of its own."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def of(cls, text: str) -> Self:
        """The box of a key that is written in hex. Raises ValueError for what is none."""
        key = bytes.fromhex(text.strip())
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, and this has {len(key)}")
        return cls(key)

    @property
    def text(self) -> str:
        """The key as it is written down."""
        return self.key.hex()

    @property
    def token(self) -> str:
        """The facilitator's token: whoever has the key has it, and it does not give the key."""
        return hmac.new(self.key, b"facilitator", hashlib.sha256).hexdigest()[:32]

    def seal(self, raw: bytes, place: str) -> bytes:
        """Put it into a box that opens in that place alone."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, raw, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Take it out. Raises ValueError where key, place or content are others."""
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, place.encode())
        except InvalidTag as error:
            raise ValueError("it was sealed with another key, or for another place") from error

    def seal_event(self, event: Event, place: str, hide: Callable[[str], str] = nothing) -> Sealed:
        """The event in a box whose length is a whole number of blocks; its texts are masked."""
        raw = json.dumps({"event": event.kind, "fields": events.masked(event, hide)}).encode()
        raw += b" " * (-len(raw) % _PAD)
        return Sealed(box=base64.b64encode(self.seal(raw, place)).decode())

    def open_event(self, sealed: Sealed, place: str) -> Event:
        """The event in it. Raises ValueError for one that does not open."""
        raw = self.open(base64.b64decode(sealed.box, validate=True), place)
        inside: Any = json.loads(raw)
        try:
            return events.from_json(inside["event"], json_object(inside["fields"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no event is in it: {error}") from error


def boxes_of(happened: Iterable[Event]) -> list[Box]:
    """The boxes whose keys a journal tells; a key that is none opens nothing."""
    found = []
    for event in happened:
        if isinstance(event, events.DrillDebriefed):
            try:
                found.append(Box.of(event.key))
            except ValueError:
                continue
    return found


def read_key_file(path: Path) -> Box:
    """The box of the key in a file. Raises UsageError."""
    try:
        return Box.of(files.read_bytes(path, _KEY_FILE_BYTES).decode("ascii"))
    except OSError as error:
        problem = f"--key-file {path}: cannot be read: {error.strerror}"
        raise UsageError(
            problem, help="name the file that `gameday drill --key-file` wrote"
        ) from error
    except ValueError as error:
        problem = f"--key-file {path}: no key of a drill is in it: {error}"
        raise UsageError(
            problem, help="name the file that `gameday drill --key-file` wrote"
        ) from error
