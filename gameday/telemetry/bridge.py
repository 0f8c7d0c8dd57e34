"""The bridge: where gameday meets a Prometheus and an Alertmanager that cannot reach it.

gameday puts the traffic's series here (`PUT /series`), Prometheus scrapes them (`/metrics`),
Alertmanager posts its notifications (`POST /alerts`), and gameday takes them with a cursor
(`GET /alerts?after=N`). All but `/metrics` and `/healthz` ask for the token of `BRIDGE_TOKEN`.

It is a program of this one file and the standard library (`python bridge.py`), so that the image
of any Python can run it as it is; the collector serves the same thing for `--webhook-listen`.
Whoever asks may be broken or hostile: every request is bounded in bytes and in time, and so is
what is kept. Series that gameday has not put again for 10 s are gone, as it is.
"""

import asyncio
import hmac
import json
import os
import secrets
import sys
import time
from collections import deque
from contextlib import suppress

PORT = 9099
SERIES_BYTES = 4 * 1024 * 1024
POST_BYTES = 1024 * 1024
HEAD_BYTES = 16 * 1024
KEPT_BYTES = 4 * 1024 * 1024  # of notifications
MOST_KEPT = 2_000
MOST_AT_ONCE = 500  # notifications in one answer
MOST_OPEN = 64
MOST_LABELS = 64
LONGEST = 1_000  # characters of a label
REQUEST_S = 5.0
STALE_S = 10.0
_STATES = ("firing", "resolved")
_WORDS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Payload Too Large",
    503: "Busy",
}


class BadRequestError(Exception):
    """A request that is not answered as it asks; its status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Board:
    """Everything the two sides leave for each other, in bounded memory."""

    def __init__(self) -> None:
        self.boot = secrets.token_hex(8)  # a cursor of another life means nothing
        self._series = b""
        self._put_at = 0.0
        self._kept: deque[tuple[int, float, bytes]] = deque()
        self._bytes = 0
        self._last = 0

    def put_series(self, text: bytes) -> None:
        """Keep the series of now, in Prometheus' text format."""
        self._series, self._put_at = text, time.monotonic()

    def series(self) -> bytes:
        """The series that were put last; none once they are old."""
        return self._series if time.monotonic() - self._put_at < STALE_S else b""

    def post(self, raw: bytes) -> int:
        """Keep the alerts of a notification (webhook version 4). Raises BadRequestError."""
        try:
            posted = json.loads(raw)
            alerts = [_alert(each, posted.get("receiver")) for each in posted["alerts"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadRequestError(400, "not a notification of Alertmanager") from error
        for alert in alerts:
            self._keep(json.dumps(alert).encode())
        return len(alerts)

    def after(self, cursor: int) -> bytes:
        """The notifications after a cursor as JSON: how old each is, and whether some are lost."""
        now = time.monotonic()
        new = [kept for kept in self._kept if kept[0] > cursor][:MOST_AT_ONCE]
        first = self._kept[0][0] if self._kept else self._last + 1
        parts = [b'{"age_ms": %d, "alert": %s}' % ((now - at) * 1000, raw) for _, at, raw in new]
        lost = b"true" if cursor + 1 < first and self._last > cursor else b"false"
        head = b'{"boot": "%s", "next": %d, "lost": %s, "alerts": [' % (
            self.boot.encode(),
            new[-1][0] if new else max(cursor, self._last),
            lost,
        )
        return head + b", ".join(parts) + b"]}"

    def _keep(self, raw: bytes) -> None:
        self._last += 1
        self._kept.append((self._last, time.monotonic(), raw))
        self._bytes += len(raw)
        while self._bytes > KEPT_BYTES or len(self._kept) > MOST_KEPT:
            self._bytes -= len(self._kept.popleft()[2])


def _alert(given: object, receiver: object) -> object:
    """The part that is kept of one alert. Raises TypeError, KeyError or ValueError."""
    if not isinstance(given, dict) or given["status"] not in _STATES:
        raise ValueError("no alert")
    labels = given["labels"]
    if not isinstance(labels, dict) or not isinstance(labels["alertname"], str):
        raise TypeError("no labels")
    pairs = [("alertname", labels["alertname"]), *sorted(labels.items())][: MOST_LABELS + 1]
    if not all(isinstance(value, str) for _, value in pairs):
        raise ValueError("a label is no text")
    kept = {name[:LONGEST]: value[:LONGEST] for name, value in pairs}
    source = str(receiver)[:LONGEST]
    # Half a surrogate pair has no form in UTF-8: whoever takes it could read nothing that is here.
    "".join([source, *kept, *kept.values()]).encode()
    return {"status": given["status"], "receiver": source, "labels": kept}


class BridgeServer:
    """Serves a board over HTTP/1.1, one request a connection."""

    def __init__(self, board: Board, token: str) -> None:
        self._board = board
        self._token = token
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                try:
                    if self._open > MOST_OPEN:
                        raise BadRequestError(503, "too many at once")
                    status, body, kind = await self._answer(reader)
                except BadRequestError as refused:
                    status, body, kind = refused.status, f"{refused}\n".encode(), "text/plain"
                writer.write(_framed(status, body, kind))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes, str]:
        """Status, body and type of the answer to one request. Raises BadRequestError."""
        method, target, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        path, _, query = target.partition("?")
        match method, path:
            case "GET", "/healthz":
                return 200, b"ok\n", "text/plain"
            case "GET", "/metrics":
                return 200, self._board.series(), "text/plain; version=0.0.4"
            case _:
                self._must_know(headers)
        match method, path:
            case "PUT", "/series":
                self._board.put_series(await _body(reader, headers, SERIES_BYTES))
                return 204, b"", ""
            case "POST", "/alerts":
                self._board.post(await _body(reader, headers, POST_BYTES))
                return 204, b"", ""
            case "GET", "/alerts":
                return 200, self._board.after(_cursor(query)), "application/json"
            case _:
                raise BadRequestError(404, "nothing is here")

    def _must_know(self, headers: dict[str, str]) -> None:
        given = headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise BadRequestError(401, "the token is missing, or another one")


def _head(raw: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of a request. Raises BadRequestError."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequestError(400, "not HTTP")
    pairs = (line.partition(":") for line in lines if line)
    return words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], most: int) -> bytes:
    """The body of a request, of known length. Raises BadRequestError."""
    text = headers.get("content-length", "")
    if not text.isdecimal() or len(text) > 12:
        raise BadRequestError(400, "a Content-Length is needed")
    if int(text) > most:
        raise BadRequestError(413, f"more than {most} bytes")
    return await reader.readexactly(int(text))


def _cursor(query: str) -> int:
    """N of `after=N`. Raises BadRequestError."""
    name, _, text = query.partition("=")
    if name != "after" or not text.isdecimal() or len(text) > 18:
        raise BadRequestError(400, "write ?after=N")
    return int(text)


def _framed(status: int, body: bytes, kind: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {_WORDS[status]}", "Connection: close"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def main() -> None:
    """Serve until the process is ended."""
    token = os.environ.get("BRIDGE_TOKEN", "")
    if not token:
        sys.exit("bridge: BRIDGE_TOKEN is not set: any secret text")
    await BridgeServer(Board(), token).start("0.0.0.0", PORT)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
