"""The gate that every request passes before any route: where it comes from, and how large it is.

A name that this console does not answer to (a rebound DNS name, for instance) gets nothing, on
loopback too. A write must come from a page of ours. A token in an address would stand in histories
and logs: it is refused wherever it is seen. Every answer says that nothing but our own files may
run, be framed or be kept.
"""

from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gameday.core import files

MOST_BODY: Final = 16 * files.KIB  # an order has some 100 bytes
MOST_QUERY: Final = 2 * files.KIB
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE: Final = frozenset({"GET", "HEAD"})
_TOKEN_WORDS: Final = ("token", "key", "secret", "session", "auth")
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def refusal(status: int, error: str) -> JSONResponse:
    """An answer that says why not, by the id of its sentence."""
    return JSONResponse({"error": error}, status)


def host_name(header: str) -> str:
    """The name in a Host header, without its port; "" for one that is no host."""
    if header.startswith("["):
        name, bracket, port = header[1:].partition("]")
        port = port.removeprefix(":") if port.startswith(":") else port
    else:
        name, colon, port = header.partition(":")
        bracket = "]"
        if colon and not port:
            return ""
    whole = bracket and (not port or (port.isascii() and port.isdecimal() and len(port) <= 5))
    return name.lower().rstrip(".") if whole else ""


class Gate:
    """The middleware. `is_token` tells a token of a link; `scheme` is how pages are had."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], scheme: str, is_token: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._scheme = scheme
        self._is_token = is_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web sockets here

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self._hosts:
            return refusal(421, "host")
        if self._tells_token(scope):
            return refusal(400, "token_in_address")
        ours = headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        if not ours and not _is_clicked(scope, headers):
            return refusal(403, "origin")
        if scope["method"] not in SAFE and headers.get("origin") != f"{self._scheme}://{hosts[0]}":
            return refusal(403, "origin")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or int(length[:20]) > MOST_BODY:
            return refusal(413, "too_large")
        return None

    def _tells_token(self, scope: Scope) -> bool:
        query: bytes = scope.get("query_string", b"")
        if len(query) > MOST_QUERY:
            return True
        try:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return True
        parts = scope["path"].split("/")
        return any(
            any(word in name.lower() for word in _TOKEN_WORDS)
            or self._is_token(name)
            or self._is_token(value)
            for name, value in pairs
        ) or any(len(part) > 30 and self._is_token(part) for part in parts)


def _is_clicked(scope: Scope, headers: Headers) -> bool:
    """Say whether a link elsewhere, in a chat for instance, opens the page in a tab of its own.

    It has nothing of a session in it; the page asks for that itself.
    """
    fetched = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return (scope["method"], scope["path"], *fetched) == ("GET", "/", "navigate", "document")


class TooLargeError(Exception):
    """The body of a request is longer than any order."""


def _bounded(receive: Receive) -> Receive:
    """The same body, whose chunks may not come to more than an order has."""
    seen = 0

    async def next_part() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BODY:
            raise TooLargeError
        return message

    return next_part
