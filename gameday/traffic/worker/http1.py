"""Framing of answers: a C parser (llhttp), and a shortcut for heads that were read before.

The parser frames whatever HTTP/1 allows: lengths, chunks, interim 1xx, HTTP/1.0, answers without
a body, bodies that last until the server closes. But a server says the same head thousands of
times a second, but for its date. So the meaning of a head is remembered with its exact bytes, as
long as the parser found nothing unusual in it: a final status, a body of known length, a
connection that stays. Whatever is not exactly that goes to the parser.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import httptools

# An answer of an API has some KiB; bounds the memory of 10,000 of them.
LONGEST_BODY: Final = 4 * 1024 * 1024
LONGEST_HEAD: Final = 64 * 1024  # servers send 1 KiB, and refuse more than 8 to 16 themselves
# Header lines and pieces of a body, each of which takes a moment: a flood must not stop the clock.
MOST_PIECES: Final = 10_000
LINES: Final = "\n"  # between the values of Set-Cookie; no line of an answer holds one
MOST_HEADS: Final = 256  # heads differ by their date, once a second; older ones are forgotten

_END: Final = b"\r\n\r\n"


class Plain(NamedTuple):
    """An answer without anything unusual: its head, and what that says."""

    head: bytes
    status: int
    end: int  # of the head
    whole: int  # the length with the body
    headers: Mapping[str, str] = MappingProxyType({})  # by their names in small letters


class Heads:
    """The heads that were read before; most answers have the same as the one before."""

    def __init__(self) -> None:
        self._known: dict[bytes, Plain] = {}
        self.latest = Plain(b"", 0, 0, 0)

    def find(self, piece: bytearray, size: int) -> Plain | None:
        """The remembered head of the first `size` bytes, if they are a whole answer."""
        end = piece.find(_END, 0, size) + len(_END)
        plain = self._known.get(bytes(piece[:end]))
        if plain is None or plain.whole != size:
            return None
        self.latest = plain
        return plain

    def note(
        self,
        data: bytes,
        status: int,
        body_size: int,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Remember the head of `data`, if all of it is that head and its body."""
        end = data.find(_END) + len(_END)
        if len(data) == end + body_size:
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[data[:end]] = Plain(data[:end], status, end, len(data), headers)


class Framing:
    """One connection's answers, one after the other, as far as they have come."""

    __slots__ = (
        *("_body", "_interim", "_parser", "_pieces", "_size"),
        *("framed", "head_read", "headers", "large", "last", "status", "whole"),
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the next answer."""
        self._body = bytearray()
        self._interim = False
        self._size = 0
        self._pieces = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.framed = False  # the head says where the body ends
        self.head_read = False
        self.whole = False
        self.large = False  # more than anybody should send
        self.last = False  # the connection cannot be used again

    def feed(self, data: bytes) -> bool:
        """Take what came; False when it is no HTTP, or more than anybody should send."""
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.last = True  # if the answer was whole, what follows is not
            return self.whole
        if self.whole:
            return True
        self.large = self._size > (LONGEST_BODY if self.head_read else 0) + LONGEST_HEAD
        return not self.large

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def remember(self, data: bytes, heads: Heads) -> None:
        """Note the head of `data`, a whole answer that came in one piece, if it was a plain one."""
        if self.whole and not self.last and not self._interim:
            heads.note(data, self.status, len(self._body), self.headers)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.whole:
            self.last = True  # more than was asked for

    def _count(self) -> None:
        """Break the parsing off when there are too many pieces; `feed` hears of any error."""
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            self.large = True
            raise OverflowError("too many pieces")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count()
        lower = name.lower()
        if not self.whole:
            name_, text = lower.decode("latin-1"), value.decode("utf-8", "replace").strip()
            if name_ == "set-cookie" and name_ in self.headers:  # the one that stands in lines
                text = f"{self.headers[name_]}{LINES}{text}"
            self.headers[name_] = text
        if lower == b"content-length" or (
            lower == b"transfer-encoding" and b"chunked" in value.lower()
        ):
            self.framed = True

    def on_headers_complete(self) -> None:
        if not self.whole:
            self.head_read = True
            self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._count()
        if not self.whole:
            self._body += body

    def on_message_complete(self) -> None:
        if self.whole:
            return
        if self.status < 200:  # interim: the answer is still to come
            self._interim = True
            self.head_read = False
            self.framed = False
            self.headers = {}
        else:
            self.whole = True
            self.last = not self._parser.should_keep_alive()
