"""The bytes of a request, made once, with only what differs between starts filled in each time.

All placeholders that are the same throughout a run are filled when the worker starts. The others
(user, iteration, key, attempt) get a mark each, and the finished text is cut at the marks: a
request is the pieces with the values between them. A body's length is known only then, so it comes
last in the head.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base, encoded, path_problem
from gameday.spec.request import FORM, PLAIN_TEXT, Request
from gameday.spec.template import NUMBERS, fill_json, fill_text, format_problem, percent
from gameday.traffic.user_ids import Uuids, text_of
from gameday.traffic.worker.config import Config

_OURS = ("content-length", "transfer-encoding", "connection", "expect", "upgrade")
_VARYING = ("user", "iteration", "key", "attempt")
_PLAIN = ["user", "key", "attempt"]
_SLOT = re.compile(r"\{((user|iteration|key|attempt)(?::([^{}\"\\]*))?)\}")

Fill = Callable[[int, int, str, int], str]
"""Text of a slot, of a user, the number of his start, its key and the number of this attempt."""


class RequestBytes:
    """Renders the request of one start."""

    def __init__(self, config: Config) -> None:
        request = config.request
        source = json.dumps(request.model_dump(mode="json", by_alias=True), ensure_ascii=False)
        mark = mark_of(source, config)
        values: dict[str, int | str] = {"coupon": config.coupon, "run": config.run}
        if config.stock is not None:
            values["stock"] = config.stock
        slots = list(dict.fromkeys([*_VARYING, *(found[1] for found in _SLOT.finditer(source))]))
        values |= {
            slot: f"{mark}-{at}-"
            for at, slot in enumerate(slots)
            if not format_problem(*parted(slot))
        }
        numbers = [str(values[name]) for name in NUMBERS if name in _VARYING]
        head, body = texts_of(request, Base.parse(config.base_url), values, numbers)
        fixed, found = _cut(f"{head}{mark}-length-\r\n\r\n{body}", mark)
        self._pieces = [piece for text in fixed for piece in (text, b"")][:-1]
        length = found.index("length")
        self._length_at = 2 * length + 1
        self._rest = sum(len(text) for text in fixed[length + 1 :]) - len("\r\n\r\n")
        names = list(dict.fromkeys(slots[int(slot)] for slot in found if slot != "length"))
        self._is_plain = {"user", "key", "attempt"}.issuperset(names)
        self._numbered = "attempt" in names
        self.needs_key = any(not name.startswith("user") for name in names)
        uuids = Uuids.of(config.seed)
        self._fills = [fill_of(*parted(name), uuids) for name in names]
        order = {
            slot: (_PLAIN if self._is_plain else names).index(slots[int(slot)])
            for slot in found
            if slot != "length"
        }
        self._places = [(2 * i + 1, order[slot]) for i, slot in enumerate(found) if i != length]
        self._body_slots = [order[slot] for slot in found[length + 1 :]]

    def render(self, user: int, key: str = "", attempt: int = 1, iteration: int = 0) -> bytes:
        """The request of one start for `user`; the others may be left out unless `needs_key`."""
        values: Sequence[bytes]
        if not self._is_plain:
            values = [fill(user, iteration, key, attempt).encode() for fill in self._fills]
        elif self.needs_key:  # the usual ones, in a third of the time
            numbered = f"{key}-{attempt}".encode() if self._numbered else b""
            values = b"%d" % user, key.encode(), numbered
        else:
            values = (b"%d" % user,)
        pieces = self._pieces.copy()
        for at, which in self._places:
            pieces[at] = values[which]
        length = self._rest
        for which in self._body_slots:
            length += len(values[which])
        pieces[self._length_at] = b"%d" % length
        return b"".join(pieces)


def mark_of(source: str, config: Config) -> str:
    """A text that nobody can have written into the request: a digest of all that is in it."""
    told = "\0".join([source, config.base_url, config.run, str(config.coupon), str(config.stock)])
    return f"slot{blake2b(told.encode('utf-8', 'backslashreplace'), digest_size=16).hexdigest()}"


def parted(slot: str) -> tuple[str, str]:
    """Name and format of a slot; a number without one is written as it is."""
    name, _, format_ = slot.partition(":")
    return name, format_ or "s"


def fill_of(name: str, format_: str, uuids: Uuids) -> Fill:
    """The function that fills a slot."""
    match name:
        case "user":
            return lambda user, _k, _key, _attempt: text_of(format_, user, uuids)
        case "iteration":
            return lambda _user, k, _key, _attempt: text_of(format_, k, uuids)
        case "key":
            return lambda _user, _k, key, _attempt: key
        case _:
            return lambda _user, _k, key, attempt: f"{key}-{attempt}"


def texts_of(
    request: Request,
    origin: Base,
    values: Mapping[str, int | str],
    numbers: Sequence[str],
    alone: str = "",
) -> tuple[str, str]:
    """Head (up to the value of Content-Length, which ends it) and body, with marks in them.

    A mark of `numbers` that is a JSON value by itself has no quotes, and `alone` behind it.
    """
    path = fill_text(request.path, values, percent)
    if wrong := path_problem(path):
        raise UsageError(f"{path!r} {wrong}", help="begin with / and no spaces")
    target = encoded(origin.prefix + path)
    pairs = [
        f"{percent(name)}={percent(fill_text(str(value), values))}"
        for name, value in request.query.items()
    ]
    if pairs:
        target += ("&" if "?" in target else "?") + "&".join(pairs)
    headers = {"Host": origin.authority, "User-Agent": "gameday", "Accept": "application/json"}
    body = ""
    if request.json_ is not None:
        body = _json_text(fill_json(request.json_, values), numbers, alone)
        headers["Content-Type"] = "application/json"
    elif request.form is not None:
        body = "&".join(
            f"{percent(name)}={percent(fill_text(str(value), values))}"
            for name, value in request.form.items()
        )
        headers["Content-Type"] = FORM
    elif request.text is not None:
        body = fill_text(request.text, values)
        headers["Content-Type"] = PLAIN_TEXT
    own = {name.lower(): name for name in headers}
    for name, value in request.headers.items():
        headers.pop(own.get(name.lower(), ""), None)
        headers[name] = _header(name, value, values)
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "Content-Length: "]), body


def _json_text(value: Any, numbers: Sequence[str], alone: str) -> str:
    """The body as text; a value that is a number alone is an integer, so its quotes go."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    number = "|".join(map(re.escape, numbers))
    return re.sub(
        f'(?<=[:\\[,])"({number})"(?!:)|^"({number})"$',
        lambda match: (match[1] or match[2]) + alone,
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
    parts = re.split(f"{mark}-([0-9]+|length)-", text)
    return [part.encode() for part in parts[::2]], parts[1::2]
