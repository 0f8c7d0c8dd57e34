"""The bytes of a request, made once, with only what differs between starts filled in each time.

All placeholders that are the same throughout a run are filled when the worker starts. The others
(user, key, attempt) get a mark each, and the finished text is cut at the marks: a request is the
pieces with the values between them. A body's length is known only then, so it comes last in the
head.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base, path_problem
from gameday.spec.request import IssueRequest
from gameday.spec.template import fill_json, fill_text, percent
from gameday.traffic.worker.config import Config

_OURS = ("content-length", "transfer-encoding", "connection", "expect", "upgrade")
_VARYING = ("user", "key", "attempt")


class RequestBytes:
    """Renders the request of one start."""

    def __init__(self, config: Config) -> None:
        request = config.request
        source = json.dumps(request.model_dump(mode="json", by_alias=True))
        mark = "slot"
        while mark in source or mark in config.run or mark in config.coupon:
            mark += "x"
        values: dict[str, int | str] = {"coupon": config.coupon, "run": config.run}
        if config.stock is not None:
            values["stock"] = config.stock
        values |= {name: f"{mark}-{name}-" for name in _VARYING}
        head, body = _texts(request, Base.parse(config.base_url), values)
        fixed, slots = _cut(f"{head}{mark}-length-\r\n\r\n{body}", mark)
        self._pieces = [piece for text in fixed for piece in (text, b"")][:-1]
        length = slots.index("length")
        self._length_at = 2 * length + 1
        self._rest = sum(len(text) for text in fixed[length + 1 :]) - len("\r\n\r\n")
        places = [(2 * i + 1, name) for i, name in enumerate(slots) if i != length]
        self._places = [(at, _VARYING.index(name)) for at, name in places]
        self._body_slots = [_VARYING.index(name) for name in slots[length + 1 :]]
        self.needs_key = not {"key", "attempt"}.isdisjoint(slots)
        self._numbered = "attempt" in slots

    def render(self, user: int, key: str = "", attempt: int = 1) -> bytes:
        """The request of one start for `user`; `key` may be "" unless `needs_key`."""
        values: tuple[bytes, ...] = (b"%d" % user,)
        if self.needs_key:
            values = *values, key.encode(), f"{key}-{attempt}".encode() if self._numbered else b""
        pieces = self._pieces.copy()
        for at, which in self._places:
            pieces[at] = values[which]
        length = self._rest
        for which in self._body_slots:
            length += len(values[which])
        pieces[self._length_at] = b"%d" % length
        return b"".join(pieces)


def _texts(request: IssueRequest, origin: Base, values: Mapping[str, int | str]) -> tuple[str, str]:
    """Head (up to the value of Content-Length, which ends it) and body, with marks in them."""
    path = fill_text(request.path, values, percent)
    if wrong := path_problem(path):
        raise UsageError(f"{path!r} {wrong}", help="begin with / and no spaces")
    target = origin.prefix + path
    pairs = [
        f"{percent(name)}={percent(fill_text(str(value), values))}"
        for name, value in request.query.items()
    ]
    if pairs:
        target += ("&" if "?" in target else "?") + "&".join(pairs)
    headers = {"Host": origin.authority, "User-Agent": "gameday", "Accept": "application/json"}
    body = ""
    if request.json_ is not None:
        body = _json_text(fill_json(request.json_, values), values)
        headers["Content-Type"] = "application/json"
    own = {name.lower(): name for name in headers}
    for name, value in request.headers.items():
        headers.pop(own.get(name.lower(), ""), None)
        headers[name] = _header(name, value, values)
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "Content-Length: "]), body


def _json_text(value: Any, values: Mapping[str, int | str]) -> str:
    """The body as text; a value that is the user alone is an integer, so its quotes go."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub(
        f'(?<=[:\\[,])"({values["user"]})"(?!:)|^"({values["user"]})"$',
        lambda match: match[1] or match[2],
        text,
    )


def _header(name: str, value: object, values: Mapping[str, int | str]) -> str:
    if not isinstance(value, str):
        raise UsageError(f"header {name!r} is a secret that nobody resolved")
    if name.lower() in _OURS or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise UsageError(f"header {name!r} cannot be set", help="the worker frames requests itself")
    text = fill_text(value, values)
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise UsageError(f"the value of header {name!r} holds a line end or control character")
    return text


def _cut(text: str, mark: str) -> tuple[list[bytes], list[str]]:
    """The fixed pieces of a text, and the names of the slots between them."""
    parts = re.split(f"{mark}-({'|'.join((*_VARYING, 'length'))})-", text)
    return [part.encode() for part in parts[::2]], parts[1::2]
