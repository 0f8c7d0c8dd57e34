"""One keep-alive connection, and the one request that may be open on it.

The fields of the open request live on the connection, so a request costs no object of its own.
A C parser (llhttp) frames the answers: lengths, chunks, interim 1xx, HTTP/1.0, bodies that last
until the server closes. Whatever goes wrong ends in exactly one call of `Owner.ended`.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from gameday.history import Outcome, Reason
from gameday.traffic.answers import Reading

LONGEST_BODY = 4 * 1024 * 1024
LONGEST_HEAD = 64 * 1024

_RESET = Reading(Outcome.UNKNOWN, Reason.RESET)
_GARBAGE = Reading(Outcome.UNKNOWN, Reason.GARBAGE)


class Book(Protocol):
    """Where the end of a request is written down."""

    def record(
        self, connection: "Connection", reading: Reading, sent_ns: int, ended_ns: int
    ) -> None: ...


class Owner(Protocol):
    """Whom a connection tells how its request ended."""

    now: Callable[[], int]

    def answered(self, connection: "Connection", body: bytes) -> None:
        """A whole answer came; its status is on the connection."""
        ...

    def ended(self, connection: "Connection", reading: Reading) -> None:
        """The open request is over."""
        ...


class Connection(asyncio.Protocol):
    """A protocol for one TCP connection."""

    __slots__ = (
        "_body",
        "_framed",
        "_last",
        "_owner",
        "_parser",
        "_state",
        "book",
        "bytes_received",
        "bytes_sent",
        "closed",
        "connecting",
        "first_byte_ns",
        "idle_since_ns",
        "intended_ns",
        "k",
        "open",
        "request",
        "sent_ns",
        "status",
        "transport",
        "user",
    )

    _WAITING, _HEAD_READ, _WHOLE = range(3)

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.request = b""  # what to send once connected
        self.sent_ns = 0
        self.closed = False
        self.open = False
        self.idle_since_ns = 0

    def begin(self, book: Book, k: int, user: int, intended_ns: int) -> None:
        """Take the next request on; `send` follows when there is a transport."""
        self.book = book
        self.k = k
        self.user = user
        self.intended_ns = intended_ns
        self.first_byte_ns = 0
        self.bytes_received = 0
        self.status = 0
        self._state = self._WAITING
        self._framed = False
        self._last = False
        self._body = b""
        self.open = True

    def send(self, request: bytes) -> None:
        self.bytes_sent = len(request)
        if self.transport is not None:
            self.transport.write(request)

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's, not their classes.
        self.transport = cast("asyncio.Transport", transport)
        if self.closed:
            self.transport.abort()
            return
        self.send(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.open:  # nobody asked for this
            self.close()
            return
        if not self.first_byte_ns:
            self.first_byte_ns = self._owner.now()
        self.bytes_received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._state != self._WHOLE:
                self._fail(_GARBAGE)
                return
            self._last = True  # the answer was whole, what follows is not
        if self._state == self._WHOLE:
            self._finish()
        elif self._too_long():
            self._fail(_GARBAGE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.open:
            return
        if exc is None and self._state == self._HEAD_READ and not self._framed:
            self._owner.answered(self, self._body)
        else:
            self._owner.ended(self, _RESET)

    def _too_long(self) -> bool:
        if self._state == self._WAITING:
            return self.bytes_received > LONGEST_HEAD
        return len(self._body) > LONGEST_BODY

    def _finish(self) -> None:
        if self._last:
            self.close()
        self._owner.answered(self, self._body)

    def _fail(self, reading: Reading) -> None:
        self.close()
        self._owner.ended(self, reading)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._state == self._WHOLE:
            self._last = True  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length" or (
            lower == b"transfer-encoding" and b"chunked" in value.lower()
        ):
            self._framed = True

    def on_headers_complete(self) -> None:
        if self._state != self._WHOLE:
            self._state = self._HEAD_READ
            self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._state == self._HEAD_READ:
            self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        if self._state != self._HEAD_READ:
            return
        if self.status < 200:  # interim: the answer is still to come
            self._state = self._WAITING
            self._framed = False
        else:
            self._state = self._WHOLE
            self._last = not self._parser.should_keep_alive()
