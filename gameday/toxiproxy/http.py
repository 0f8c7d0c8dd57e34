"""HTTP/1 for the API: one protocol object a client, requests answered in order.

Parsing is httptools'. What is here is the framing of answers as Go's server frames them:
keep-alive, pipelining, HTTP/1.0, `100 Continue`, and limits on body size and idle time.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, cast

import httptools

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 8 * 1024 * 1024
WAITING_MAX = 1000
IDLE_LIMIT_S = 60.0
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; `path` is as it was sent, without the query; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; `content_type` "" sends no such header."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_keep_alive(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    version: str
    keep_alive: bool


class ApiProtocol(asyncio.Protocol):
    """One client of the API."""

    def __init__(self, handler: Handler, protocols: set["ApiProtocol"]) -> None:
        self._handler = handler
        self._protocols = protocols
        self._parser: _Parser = httptools.HttpRequestParser(self)
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._start_message()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._protocols.add(self)
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        self._watch_idle()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            log.info("api: not an HTTP request: %s", error)
            self._refuse(400, b"400 Bad Request")

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocols.discard(self)
        self._waiting.clear()
        if self._idle is not None:
            self._idle.cancel()

    def close(self) -> None:
        """Close once what was written has gone out."""
        self._transport.close()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._start_message()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > BODY_BYTES_MAX:
            self._refuse(413, b"413 Request Entity Too Large")
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self._transport.is_closing() or len(self._waiting) >= WAITING_MAX:
            self._transport.close()
            return
        request = Request(
            method=self._parser.get_method().decode(),
            path=self._url.decode("latin-1").partition("?")[0],
            headers=self._headers,
            body=bytes(self._body),
        )
        keep_alive = self._parser.should_keep_alive()
        self._waiting.append(_Waiting(request, self._parser.get_http_version(), keep_alive))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    # Answering.

    def _start_message(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def _answer_all(self) -> None:
        while self._waiting and not self._transport.is_closing():
            waiting = self._waiting.popleft()
            response = await self._handler(waiting.request)
            if self._transport.is_closing():
                return
            self._transport.write(_framed(response, waiting))
            if not waiting.keep_alive:
                self._transport.close()

    def _refuse(self, status: int, body: bytes) -> None:
        if not self._transport.is_closing():
            waiting = _Waiting(Request("", ""), "1.1", keep_alive=False)
            self._transport.write(_framed(Response(status, body, PLAIN), waiting))
            self._transport.close()

    def _watch_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(IDLE_LIMIT_S, self._transport.close)


def _framed(response: Response, waiting: _Waiting) -> bytes:
    status = HTTPStatus(response.status)
    lines = [f"HTTP/{waiting.version} {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    if status is not HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(response.body)}")
    if not waiting.keep_alive:
        lines.append("Connection: close")
    elif waiting.version == "1.0":
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if waiting.request.method == "HEAD" else head + response.body
