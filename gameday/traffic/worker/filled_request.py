"""The bytes of a request that holds what others chose: columns of users, captured values.

Made as `RequestBytes` is, once, with slots between fixed pieces. A slot knows where it stands
(path, query, header, JSON, form, text), for each place takes a value in its own way. Columns are
escaped when the worker starts, so a start costs a look into a list; captures when they are used.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Never

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base
from gameday.spec.request import Request
from gameday.spec.template import (
    NUMBERS,
    WHOLE_PATH,
    format_problem,
    placeholders_in,
    tokens_in,
)
from gameday.spec.users import Cell, read_users
from gameday.traffic import escapes
from gameday.traffic.escapes import Captured, Escape, escaped_column
from gameday.traffic.user_ids import Uuids
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.request import Fill, fill_of, mark_of, parted, texts_of

Columns = Mapping[str, Sequence[Cell]]
NOTHING: Final[Mapping[str, Never]] = {}
_VARYING: Final = ("user", "iteration", "key", "attempt")
_ALONE: Final = "alone-"


class _Slots(NamedTuple):
    """Places of one kind in the pieces, with what fills them."""

    columns: list[tuple[int, Sequence[bytes]]]
    numbers: list[tuple[int, Fill]]
    captured: list[tuple[int, str, Escape]]


def columns_of(config: Config) -> Columns:
    """The columns of the users file that the requests hold. Raises UsageError."""
    named = config.users_file
    if named is None:
        return {}
    table = read_users(named.path)
    if named.sha256 not in (None, table.sha256):
        raise UsageError(
            f"users file {named.path}: it has changed since it was looked at", help="start again"
        )
    if table.rows < config.users:
        raise UsageError(f"users file {named.path}: {table.rows} users, not {config.users}")
    used = {name for request in requests_of(config) for name in placeholders_in(request)}
    return {name: column for name, column in table.columns.items() if name in used}


def requests_of(config: Config) -> list[Request]:
    """All requests that a worker sends."""
    poll = config.request.poll
    return [*config.before.values(), config.request, *([poll] if poll is not None else [])]


class FilledRequest:
    """Renders one request of one start. Raises UsageError for a column that cannot stand in it."""

    def __init__(
        self,
        config: Config,
        request: Request,
        *,
        columns: Columns = NOTHING,
        captured: Collection[str] = (),
    ) -> None:
        source = json.dumps(request.model_dump(mode="json", by_alias=True), ensure_ascii=False)
        mark = mark_of(source, config)
        open_ = {*_VARYING, *columns, *captured}
        self._tokens = [
            token
            for token in tokens_in(request)
            if parted(token)[0] in open_ and not format_problem(*parted(token))
        ]
        marks = {token: f"{mark}-{at}-" for at, token in enumerate(self._tokens)}
        typed = {*NUMBERS, *columns, *captured}
        numbers = [text for token, text in marks.items() if token in typed]
        self._pieces: list[bytes] = []
        self._slots = _Slots([], [], [])
        self._uuids = Uuids.of(config.seed)
        self._columns, self._escaped = columns, dict[tuple[str, Escape], Sequence[bytes]]()
        self._make(config, request, mark, marks, numbers)
        self._body_length = sum(map(len, self._pieces[self._body_at :]))
        self._body_slots = [at for at in self._filled() if at >= self._body_at]
        self.needs_key = bool(self._slots.numbers)
        del self._columns, self._escaped

    def _make(
        self,
        config: Config,
        request: Request,
        mark: str,
        marks: Mapping[str, str],
        numbers: Sequence[str],
    ) -> None:
        """Cut the texts of the request, each with the way in which it takes a value."""
        base = Base.parse(config.base_url)
        values: dict[str, int | str] = {"coupon": config.coupon, "run": config.run, **marks}
        if config.stock is not None:
            values["stock"] = config.stock
        in_path: Escape = escapes.in_path
        if WHOLE_PATH.fullmatch(request.path):
            in_path = partial(escapes.path_of, base=base, queried=bool(request.query))
            request = request.model_copy(update={request.method.lower(): f"/{request.path}"})
        head, body = texts_of(request, base, values, numbers, _ALONE)
        line, _, rest = head.partition("\r\n")
        path, question, query = line.partition("?")
        self._cut(path, mark, in_path)
        self._cut(question + query, mark, escapes.in_query)
        self._cut("\r\n" + rest, mark, escapes.in_header)
        self._length_at = len(self._pieces)  # the head ends with the name of that line
        self._pieces += [b"", b"\r\n\r\n"]
        self._body_at = len(self._pieces)
        self._cut(body, mark, _in_body(request))

    def _filled(self) -> list[int]:
        """The places of all slots."""
        return [slot[0] for kind in self._slots for slot in kind]

    def _cut(self, text: str, mark: str, escape: Escape) -> None:
        """Add a text as pieces, with an empty one at each slot."""
        parts = re.split(f"{mark}-([0-9]+)-({_ALONE})?", text)
        for at in range(0, len(parts), 3):
            self._pieces.append(parts[at].encode())
            if at + 1 < len(parts):
                alone = parts[at + 2] is not None
                name, format_ = parted(self._tokens[int(parts[at + 1])])
                self._slot(name, format_, escapes.alone_in_json if alone else escape)
                self._pieces.append(b"")

    def _slot(self, name: str, format_: str, escape: Escape) -> None:
        at = len(self._pieces)
        if name in _VARYING:
            self._slots.numbers.append((at, fill_of(name, format_, self._uuids)))
        elif name in self._columns:
            self._slots.columns.append((at, self._escape(name, escape)))
        else:
            self._slots.captured.append((at, name, escape))

    def _escape(self, name: str, escape: Escape) -> Sequence[bytes]:
        """A column as it is written at such a place. Raises UsageError."""
        known = self._escaped.get((name, escape))
        if known is None:
            known = self._escaped[name, escape] = escaped_column(name, self._columns[name], escape)
        return known

    def render(
        self,
        user: int,
        key: str = "",
        attempt: int = 1,
        iteration: int = 0,
        captured: Captured = NOTHING,
    ) -> bytes:
        """The request of one start for `user`.

        Raises UnfitError for a captured value that cannot stand where it should, KeyError for one
        that is not there.
        """
        pieces = self._pieces.copy()
        for at, column in self._slots.columns:
            pieces[at] = column[user]
        for at, fill in self._slots.numbers:
            pieces[at] = fill(user, iteration, key, attempt).encode()
        for at, name, escape in self._slots.captured:
            pieces[at] = escape(captured[name])
        length = self._body_length
        for at in self._body_slots:
            length += len(pieces[at])
        pieces[self._length_at] = b"%d" % length
        return b"".join(pieces)


def _in_body(request: Request) -> Escape:
    """How a value is written in the body of a request."""
    if request.json_ is not None:
        return escapes.in_json
    return escapes.in_text if request.form is None else escapes.in_query
