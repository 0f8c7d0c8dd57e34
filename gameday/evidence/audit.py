"""Content of the stores in the end (`audit.json`): the durable rows, and other views of them.

`cut` says whether the rows stood still while they were read: `consistent`, `moving`, or
`unknown` where nobody could tell. A row that is there is there, whatever the cut; that a row is
absent means something only when nothing was moving any more.

The file may tell of millions. gameday writes a row a line, in two blocks whose places are fixed;
those lines are taken off as they come, some thousands at once, and what is left is an ordinary
small JSON object. A file in any other form is read whole, with the same result.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gameday.core.json_objects import Json, json_object
from gameday.core.messages import Message
from gameday.evidence.rows import Row, Rows, StoreView, checked_view
from gameday.evidence.users import Users
from gameday.traffic.history import ID_BYTES, stored_id

_CUTS = ("consistent", "moving", "unknown")
_AT_ONCE: Final = 4_000  # rows: a few hundred kB of lines
_BLOCK: Final = b'"rows": [\n'
# How many lines stand before a block when the rows are taken off: the brace, schema, campaign,
# stock; then "rows" and maybe the last of them, rows_from, cut, answer. Elsewhere a system may
# have answered with something that only looks like one.
_BEFORE_ROWS: Final = 4
_BEFORE_ANSWERED: Final = (8, 9)


@dataclass(frozen=True, slots=True)
class View:
    """View of another store; `current` is None where that cannot be known.

    `holders` are users by index.
    """

    store: str
    remaining: int | None
    holders: frozenset[int] | None
    current: bool | None


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

    @cached_property
    def holders(self) -> frozenset[int]:
        """Users who have a row."""
        return frozenset(self.columns[0].tolist())

    @cached_property
    def kept(self) -> dict[int, tuple[object, npt.NDArray[np.bool_]]]:
        """Which "issued" answers these rows plainly keep, beside the table that they stand in."""
        return {}

    @cached_property
    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The users of the rows, and beside each its issue id as a history holds ids."""
        pieces = self.rows.pieces
        users = [self.users.indices(users) for users, _ in pieces]
        ids = [_stored(ids) for _, ids in pieces]
        nobody = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=f"S{ID_BYTES}")
        return (np.concatenate(users), np.concatenate(ids)) if pieces else nobody

    @cached_property
    def by_user(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The same, in the order of the users."""
        users, ids = self.columns
        order = np.argsort(users, kind="stable")
        return users[order], ids[order]

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


def questioned(audit: Audit, acknowledged: int) -> Audit:
    """The audit, with what is to be asked about it after so many were told "issued".

    In Redis nobody can tell whether what is not there was ever there, or has another name.
    """
    if audit.rows_from != "redis" or len(audit.rows) or not acknowledged:
        return audit
    return replace(audit, question=Message("check.no_holders", acknowledged=acknowledged))


def audit_of(lines: Iterable[bytes], users: Users | None = None) -> Audit:
    """The content of `audit.json`. Raises ValueError, KeyError, TypeError or RowError otherwise.

    `users` tells which id is whose; without it they are called by their index.
    """
    rows = Rows()
    answered: list[bytes] = []
    beside: list[bytes] = []
    rest = iter(lines)
    while line := next(rest, b""):
        before = len(beside)
        beside.append(line)
        if line != _BLOCK:
            continue
        if before == _BEFORE_ROWS:
            end, more = _taken_off(rest, b'"],\n', lambda some: _add_pairs(rows, _parsed(some)))
        elif before in _BEFORE_ANSWERED and beside[-2] == b'"answer": {\n':
            end, more = _taken_off(rest, b'"},\n', answered.append)
        else:
            continue
        beside.append(end)
        rest = chain(more, rest)
        if before != _BEFORE_ROWS:
            beside.extend(rest)  # no rows any more, but maybe as many lines of a view
    fields = json_object(json.loads(b"".join(beside)))
    return _audit(fields, rows, answered, users or Users())


def _taken_off(
    lines: Iterator[bytes], ending: bytes, add: Callable[[bytes], None]
) -> tuple[bytes, Sequence[bytes]]:
    """Hand the rows of a block on; the first line that is none of them, "" at the end, and more.

    More are lines after that one which were read already. The last row is on the line that ends the
    block, so it is not one of them.
    """
    while chunk := list(islice(lines, _AT_ONCE)):
        joined = b"".join(chunk)
        if joined.count(ending) == len(chunk):  # each ends so: a line has one line feed
            add(joined)
            continue
        last = next(n for n, line in enumerate(chunk) if not line.endswith(ending))
        if last:
            add(b"".join(chunk[:last]))
        return chunk[last], chunk[last + 1 :]
    return b"", []


def _parsed(lines: bytes) -> Any:
    """The rows that stand a line each, every one with its comma."""
    return json.loads(b"[%s]" % lines[:-2])


def _add_pairs(rows: Rows, pairs: Any) -> None:
    """Add rows as gameday keeps them."""
    if not isinstance(pairs, list) or not set(map(type, pairs)) <= {list}:
        raise TypeError("its rows are not pairs")
    rows.add([user for user, _ in pairs], [id_ for _, id_ in pairs])


def _add_objects(rows: Rows, objects: Any) -> None:
    """Add rows as a system answers them; an id may lack."""
    rows.add([row["userId"] for row in objects], [row.get("issueId") for row in objects])


def _audit(fields: Json, rows: Rows, answered: Sequence[bytes], users: Users) -> Audit:
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
        answer_rows = rows if fields["answer_rows_equal"] else _answered(answered, answer["rows"])
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
    )


def _answered(taken_off: Sequence[bytes], left: Any) -> Rows:
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
    told_holders = told.holders
    known = None if told_holders is None else frozenset(users.indices_of(told_holders).tolist())
    return View(store, told.remaining, known, told.current)
