"""The bytes of a request, made once, with only what differs between starts filled in each time.

All placeholders that are the same throughout a run are filled when the worker starts. The others
(user, key, attempt) get a mark each, and the finished text is cut at the marks into a bytes
format: one `%` makes a request. A body's length is known only then, so it comes last in the head.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gameday.errors import UsageError
from gameday.system import IssueRequest
from gameday.traffic.config import Config, Origin
from gameday.workload.template import fill_json, fill_text, percent

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
        head, body = _texts(request, Origin.parse(config.base_url), values)
        self._head, self._head_slots = _cut(head, mark)
        self._body, self._body_slots = _cut(body, mark)
        slots = {*self._head_slots, *self._body_slots}
        self.needs_key = bool(slots & {"key", "attempt"})
        self._one = b"%b%%d\r\n\r\n%b" % (self._head, self._body)
        self._rest = len(self._body % tuple([b"" for _ in self._body_slots]))

    def render(self, user: int, key: str = "", attempt: int = 1) -> bytes:
        """The request of one start for `user`; `key` may be "" unless `needs_key`."""
        if self.needs_key:
            return self._with_key(user, key, attempt)
        text = b"%d" % user
        times = len(self._body_slots)
        length = self._rest + times * len(text)
        if not self._head_slots and times == 1:
            return self._one % (length, text)
        return self._one % (*(text,) * len(self._head_slots), length, *(text,) * times)

    def _with_key(self, user: int, key: str, attempt: int) -> bytes:
        values: Mapping[str, bytes] = {
            "user": b"%d" % user,
            "key": key.encode(),
            "attempt": f"{key}-{attempt}".encode(),
        }
        body = [values[name] for name in self._body_slots]
        head = [values[name] for name in self._head_slots]
        length = self._rest + sum(len(value) for value in body)
        return self._one % (*head, length, *body)


def _texts(
    request: IssueRequest, origin: Origin, values: Mapping[str, int | str]
) -> tuple[str, str]:
    """Head (up to the value of Content-Length, which ends it) and body, with marks in them."""
    target = origin.prefix + fill_text(request.path, values, percent)
    pairs = [
        f"{percent(name)}={percent(fill_text(str(value), values))}"
        for name, value in request.query.items()
    ]
    if pairs:
        target += ("&" if "?" in target else "?") + "&".join(pairs)
    if re.search(r"[\x00-\x20\x7f]", target) or not target.startswith("/"):
        raise UsageError(f"{target!r} is no path of a request", help="begin with / and no spaces")
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
    return re.sub(f'(?<=[:\\[,])"({values["user"]})"(?!:)|^"({values["user"]})"$', _bare, text)


def _bare(match: re.Match[str]) -> str:
    return match[1] or match[2]


def _header(name: str, value: object, values: Mapping[str, int | str]) -> str:
    if not isinstance(value, str):
        raise UsageError(f"header {name!r} is a secret that nobody resolved")
    if name.lower() in _OURS or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise UsageError(f"header {name!r} cannot be set", help="the worker frames requests itself")
    text = fill_text(value, values)
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise UsageError(f"the value of header {name!r} holds a line end or control character")
    return text


def _cut(text: str, mark: str) -> tuple[bytes, Sequence[str]]:
    """A bytes format, and the names of its slots in order."""
    parts = re.split(f"{mark}-({'|'.join(_VARYING)})-", text)
    literal = [part.replace("%", "%%") for part in parts[::2]]
    return "%b".join(literal).encode(), parts[1::2]
