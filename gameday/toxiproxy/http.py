"""A request and an answer of HTTP/1, as the API sees them, and how an answer is framed.

Answers are framed as Go's server frames them. How requests come out of a client's bytes is in
`parsing`, and how one client is served in `clients`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

PLAIN = "text/plain; charset=utf-8"


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
