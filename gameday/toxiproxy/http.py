"""HTTP/1 as the API speaks it: requests out of a client's bytes, and how an answer is framed.

httptools parses, within bounds, and what is kept is counted. A head without an end, a URL without
an end, a body larger than anything that Toxiproxy takes: each is answered with its status once it
passes its bound, and nothing more is read of that client. Of the headers only those are kept that
somebody looks at, so that many small ones cost nothing. Answers are framed as Go's server frames
them. How one client is served is in `clients`.

uvicorn, with this very parser, would take 55 ms more of processor time to start (250 for 195 ms)
and 2.6 MB more (32.1 for 29.5 MB; medians of 7 pairs), and would leave bounds and framing to us.
"""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

import httptools

log = logging.getLogger(__name__)

PLAIN = "text/plain; charset=utf-8"
HEAD_BYTES_MAX = 64 * 1024  # many times what a client sends; bounds memory
BODY_BYTES_MAX = 1024 * 1024  # a `populate` of thousands of proxies
FRAMING_BYTES_MAX = BODY_BYTES_MAX  # head, chunk sizes and trailers
MESSAGE_BYTES_MAX = BODY_BYTES_MAX + FRAMING_BYTES_MAX
READ_HEADERS = frozenset({"authorization", "expect", "host", "origin", "user-agent"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: `path` as it was sent, without the query; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = "1.1"
    keep_alive: bool = False


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer; `content_type` "" sends no such header."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def framed(response: HttpResponse, request: HttpRequest) -> bytes:
    """The answer as it is sent."""
    status = HTTPStatus(response.status)
    lines = [f"HTTP/{request.version} {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    if status is not HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(response.body)}")
    if not request.keep_alive:
        lines.append("Connection: close")
    elif request.version == "1.0":
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if request.method == "HEAD" else head + response.body


class _Http(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


class Parser:
    """A parser of one client's bytes to `complete` requests; a Response there refuses the rest."""

    def __init__(self) -> None:
        self.complete: deque[HttpRequest | HttpResponse] = deque()
        self.refused = False
        self.inside = False
        """True while a request has begun and is not complete."""
        self._http: _Http = httptools.HttpRequestParser(self)
        self._message_bytes = 0
        self._expects = False
        self._start_message()

    @property
    def held_bytes(self) -> int:
        """Bytes of an incomplete request that are kept."""
        return min(self._message_bytes, MESSAGE_BYTES_MAX) if self.inside else 0

    def feed(self, data: bytes) -> None:
        """Take some bytes. Little at once: what they hold is parsed before this returns."""
        while data and not self.refused:
            data = self._rest(data)

    def take_expectation(self) -> bool:
        """True, once a request, if the client waits for `100 Continue` before it sends its body."""
        expects, self._expects = self._expects, False
        return expects

    def _rest(self, data: bytes) -> bytes:
        """Parse `data`; what follows a request for another protocol, which Go ignores, too."""
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._http = httptools.HttpRequestParser(self)
            return data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            log.info("api: not an HTTP request: %s", error)
            self._refuse(400, b"400 Bad Request")
        else:
            self._count(len(data))
        return b""

    def _count(self, size: int) -> None:
        if not self.inside:
            return
        self._message_bytes += size
        if not self._head_ended and self._message_bytes > HEAD_BYTES_MAX:
            self._refuse(431, b"431 Request Header Fields Too Large")
        elif self._message_bytes - len(self._body) > FRAMING_BYTES_MAX:
            self._refuse(413, b"413 Request Entity Too Large")

    def _refuse(self, status: int, body: bytes) -> None:
        if not self.refused:
            self.refused = True
            self.complete.append(HttpResponse(status, body, PLAIN))
            self._start_message()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._start_message()
        self.inside = True
        self._message_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        if key in READ_HEADERS and not self._head_ended:
            text, before = value.decode("latin-1"), self._headers.get(key)
            self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        self._head_ended = True
        self._expects = self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > BODY_BYTES_MAX:
            self._refuse(413, b"413 Request Entity Too Large")
        elif not self.refused:
            self._body += body

    def on_message_complete(self) -> None:
        self.inside = self._expects = False
        if self.refused:
            return
        request = HttpRequest(
            method=self._http.get_method().decode(),
            path=self._url.decode("latin-1").partition("?")[0],
            headers=self._headers,
            body=bytes(self._body),
            version=self._http.get_http_version(),
            keep_alive=self._http.should_keep_alive(),
        )
        self.complete.append(request)

    def _start_message(self) -> None:
        self._url = bytearray()
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_ended = False
        self._expects = False
