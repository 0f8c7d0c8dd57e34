"""Content of the stores in the end (`audit.json`): the durable rows, and other views of them.

`cut` says whether the rows stood still while they were read: `consistent`, `moving`, or
`unknown` where nobody could tell. A row that is there is there, whatever the cut; that a row is
absent means something only when nothing was moving any more.

The file may tell of millions. gameday writes a row a line, in two blocks whose places are fixed;
those lines are taken off as they come, some thousands at once, and what is left is an ordinary
small JSON object. A file in any other form is read whole, with the same result.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import takewhile
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt

from gameday.core.json import own
from gameday.core.json_objects import Json, json_object
from gameday.core.messages import Message
from gameday.evidence.attempts import distinct
from gameday.evidence.audit_sources import AuditSource, echoes_campaign, sources_of
from gameday.evidence.plain_rows import plain_rows
from gameday.evidence.rows import (
    Column,
    Row,
    Rows,
    StoreView,
    checked_view,
    columns_of,
)
from gameday.evidence.users import Users
from gameday.traffic.history import ID_BYTES, stored_id
from gameday.traffic.user_ids import FOREIGN

_CUTS = ("consistent", "moving", "unknown")
_AT_ONCE: Final = 1 << 17  # bytes: some thousand rows
_LINE_FEED: Final = ord("\n")
_DENSE: Final = 64  # of a table by user, for each row and answer: half a kB
_BLOCK: Final = b'"rows": [\n'
# How many lines stand before a block when the rows are taken off: the brace, schema, campaign,
# stock; then "rows" and maybe the last of them, rows_from, cut, answer. Elsewhere a system may
# have answered with something that only looks like one.
_BEFORE_ROWS: Final = 4
_BEFORE_ANSWERED: Final = (8, 9)


@dataclass(frozen=True)
class View:
    """View of another store; `current` is None where that cannot be known.

    `told` are its holders as the store has them, None where it tells of none.
    """

    store: str
    remaining: int | None
    current: bool | None
    told: Sequence[Column] | None = field(default=None, compare=False, repr=False)
    users: Users = field(default_factory=Users, compare=False, repr=False)

    @cached_property
    def indices(self) -> npt.NDArray[np.int64] | None:
        """The holders by index, each once and in order."""
        if self.told is None:
            return None
        return distinct(_joined([self.users.indices(piece) for piece in self.told]))

    @cached_property
    def holders(self) -> frozenset[int] | None:
        """The same as a set."""
        return None if self.indices is None else frozenset(self.indices.tolist())


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit as read; `rows` are (user, issue id), `problem` is "" when it went well.

    A row's user is as the system has it; everything else here has users by index, see `Users`.
    Where `answer_rows_equal`, the answered rows are given as `rows`, in their order.
    """

    rows: Rows
    rows_from: str
    cut: Literal["consistent", "moving", "unknown"]
    answer_rows: Rows | None
    answer_rows_equal: bool | None
    views: tuple[View, ...]
    problem: str
    users: Users = field(default_factory=Users)
    question: Message | None = None
    sources: Mapping[str, AuditSource] = field(default_factory=dict)
    echoes_campaign: bool = False

    def with_users(self, users: Users) -> "Audit":
        """The same, its users called otherwise; the file is not read again."""
        views = tuple(replace(view, users=users) for view in self.views)
        return replace(self, users=users, views=views)

    @cached_property
    def numbered(self) -> "Audit | None":
        """The same where a number alone is a user as well; None where it could be another."""
        users = self.users.with_numbers()
        return None if users is None else self.with_users(users)

    @cached_property
    def holders(self) -> frozenset[int]:
        """Users who have a row."""
        return frozenset(self.holding.tolist())

    @cached_property
    def holding(self) -> npt.NDArray[np.int64]:
        """The same, each once and in order."""
        return distinct(self.columns[0])

    @cached_property
    def kept(self) -> dict[int, tuple[object, npt.NDArray[np.bool_]]]:
        """Which "issued" answers these rows plainly keep, beside the table that they stand in."""
        return {}

    @cached_property
    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The users of the rows, and beside each its issue id as a history holds ids."""
        pieces = self.rows.pieces
        ids = [np.zeros(0, dtype=f"S{ID_BYTES}"), *(_stored(ids) for _, ids in pieces)]
        users = self.of_the_run
        if users is None:
            users = [self.users.indices(users) for users, _ in pieces]
        return _joined(users), np.concatenate(ids)

    @cached_property
    def of_the_run(self) -> Sequence[npt.NDArray[np.int64]] | None:
        """The users of the rows by index, in pieces; None where one of them is foreign."""
        found = []
        for told, _ in self.rows.pieces:
            found.append(self.users.read(told))
            if (found[-1] == FOREIGN).any():
                return None
        return found

    def last_rows(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The place of the last row of each of these users, -1 where he has none."""
        holders = self.columns[0]
        highest = int(max(holders.max(initial=-1), users.max(initial=-1)))
        if highest <= _DENSE * (len(holders) + len(users)):
            return _places(holders, users, highest)
        known, numbered = np.unique(np.concatenate([holders, users]), return_inverse=True)
        return _places(numbered[: len(holders)], numbered[len(holders) :], len(known))

    @cached_property
    def indexed(self) -> Sequence[tuple[int, str]]:
        """The rows with users by index, in their order."""
        whole = (ids.tolist() for _, ids in self.rows.pieces)
        ids = [id_.decode() for piece in whole for id_ in piece]
        return list(zip(self.columns[0].tolist(), ids, strict=True))

    def as_told(self, user: int) -> Sequence[Row]:
        """The rows of one user by index, as the system has them."""
        wanted = (self.columns[0] == user).tolist()
        return [row for row, is_theirs in zip(self.rows, wanted, strict=True) if is_theirs]

    def answered(self) -> Sequence[tuple[int, str]]:
        """The rows of the system's own answer in the same way."""
        rows = self.answer_rows or Rows()
        users = [self.users.indices(users).tolist() for users, _ in rows.pieces]
        return [
            (user, id_)
            for user, (_, id_) in zip((u for piece in users for u in piece), rows, strict=True)
        ]

    @cached_property
    def foreign(self) -> int:
        """The number of rows of somebody whom no request could have named."""
        return int((self.columns[0] < 0).sum())

    @cached_property
    def other_ids(self) -> Message | None:
        """The question whether it tells of other ids, where no row names a user of the run."""
        told = self.columns[0]
        if not len(told) or self.users.has(told).any() or not self.users.can_be_others:
            return None
        users = ", ".join(map(self.users.named, told[:3].tolist()))
        return Message("check.other_ids", rows=len(told), users=users)

    @cached_property
    def unsettled(self) -> str | Message:
        """Why the absence of a row means nothing, "" when it does mean something."""
        if self.problem:
            return self.problem
        if self.cut == "moving":
            return "the rows were still changing when they were read"
        return self.question or self.other_ids or ""


def audit_of(file: BinaryIO, users: Users | None = None) -> Audit:
    """The content of `audit.json`. Raises ValueError, KeyError, TypeError or RowError otherwise.

    `users` tells which id is whose; without it they are called by their index.
    """
    rows = Rows()
    answered = (0, 0)
    beside: list[bytes] = []
    while line := file.readline():
        before = len(beside)
        beside.append(line)
        if line != _BLOCK:
            continue
        if before == _BEFORE_ROWS:
            _take_off(file, b'"],\n', partial(_add_lines, rows))
        elif before in _BEFORE_ANSWERED and beside[-2] == b'"answer": {\n':
            begin = file.tell()
            _take_off(file, b'"},\n', lambda _: None)
            answered = begin, file.tell()
            break
    beside.append(file.read())  # no rows any more, but maybe as many lines of a view
    fields = json_object(own(b"".join(beside)))
    return _audit(fields, rows, lambda: _between(file, *answered), users or Users())


def _between(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """The lines of a block once more, some thousands at once."""
    file.seek(begin)
    while file.tell() < end:
        some = file.read(min(_AT_ONCE, end - file.tell()))
        yield some if some.endswith(b"\n") else some + file.readline()


def _take_off(file: BinaryIO, ending: bytes, add: Callable[[bytes], None]) -> None:
    """Hand the rows of a block on, and leave the file where the first line is that is none.

    The last row is on the line that ends the block, so it is not one of them.
    """
    while chunk := file.read(_AT_ONCE) + file.readline():
        # A line has one line feed, so each ends so.
        if chunk.endswith(ending) and chunk.count(ending) == _count_lines(chunk):
            add(chunk)
            continue
        lines = chunk.split(b"\n")[:-1]
        rows = takewhile(lambda line: line.endswith(ending[:-1]), lines)
        whole = sum(len(line) + 1 for line in rows)
        if whole:
            add(chunk[:whole])
        file.seek(whole - len(chunk), os.SEEK_CUR)
        return


def _places(
    holders: npt.NDArray[np.int64], users: npt.NDArray[np.int64], highest: int
) -> npt.NDArray[np.int64]:
    """Where each user stands last among holders, -1 for nowhere; users above zero."""
    last = np.full(highest + 1, -1, dtype=np.int32)  # no more rows than MOST_ROWS
    own = np.flatnonzero(holders >= 0)
    last[holders[own]] = own  # of several values for one place numpy keeps the last
    found: npt.NDArray[np.int64] = np.where(users >= 0, last[users], -1)
    return found


def _joined(pieces: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *pieces])


def _add_lines(rows: Rows, lines: bytes) -> None:
    """Add rows that gameday wrote, a line each."""
    plain = plain_rows(lines)
    if plain is None:
        _add_pairs(rows, _parsed(lines))
    else:
        rows.add_columns(*plain)


def _count_lines(text: bytes) -> int:
    """The count of line feeds; `bytes.count` takes eight times as long where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _LINE_FEED))


def _parsed(lines: bytes) -> Any:
    """The rows that stand a line each, every one with its comma."""
    return own(b"[%s]" % lines[:-2])


def _add_pairs(rows: Rows, pairs: Any) -> None:
    """Add rows as gameday keeps them."""
    if not isinstance(pairs, list) or not set(map(type, pairs)) <= {list}:
        raise TypeError("its rows are not pairs")
    rows.add([user for user, _ in pairs], [id_ for _, id_ in pairs])


def _add_objects(rows: Rows, objects: Any) -> None:
    """Add rows as a system answers them; an id may lack."""
    rows.add([row["userId"] for row in objects], [row.get("issueId") for row in objects])


def _audit(
    fields: Json, rows: Rows, answered: Callable[[], Iterable[bytes]], users: Users
) -> Audit:
    """The audit of what is beside the rows that were taken off; the others are still there."""
    answer = fields.get("answer") or {}
    if fields["cut"] not in _CUTS or not isinstance(fields["problem"], str):
        raise ValueError("its `cut` or its `problem` is none")
    if not isinstance(fields["answer_rows_equal"], bool | None):
        raise TypeError("its `answer_rows_equal` is neither true nor false")
    _add_pairs(rows, fields["rows"])
    answer_rows: Rows | None = None
    if answer.get("rows") is not None:
        # A million rows that the run has found equal are not decoded once more.
        equal = fields["answer_rows_equal"]
        answer_rows = rows if equal else _answered(answered(), answer["rows"])
    return Audit(
        rows=rows,
        rows_from=str(fields["rows_from"]),
        cut=fields["cut"],
        answer_rows=answer_rows,
        answer_rows_equal=fields["answer_rows_equal"],
        views=tuple(
            _view(name, checked_view(name, each), users)
            for name, each in sorted(fields["views"].items())
        ),
        problem=fields["problem"],
        users=users,
        sources=sources_of(fields.get("sources")),
        echoes_campaign=echoes_campaign(answer, fields.get("campaign")),
    )


def _answered(taken_off: Iterable[bytes], left: Any) -> Rows:
    """The rows of the system's own answer: those that were taken off, and the rest."""
    rows = Rows()
    for some in taken_off:
        _add_objects(rows, _parsed(some))
    _add_objects(rows, left)
    return rows


def _stored(ids: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bytes_]:
    """`stored_id` of all; short ones, as nearly all are, at once."""
    if ids.dtype.itemsize > ID_BYTES:
        ids = np.array([stored_id(id_.decode()) for id_ in ids.tolist()])
    return ids.astype(f"S{ID_BYTES}")


def _view(store: str, told: StoreView, users: Users) -> View:
    columns = None if told.holders is None else columns_of(told.holders)
    return View(store, told.remaining, told.current, columns, users)
