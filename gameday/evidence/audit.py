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
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gameday.core.json_objects import Json, json_object
from gameday.evidence.rows import Rows, StoreView, checked_view
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
    """View of another store; `current` is None where that cannot be known."""

    store: str
    remaining: int | None
    holders: frozenset[int] | None
    current: bool | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit as read; `rows` are (user, issue id), `problem` is "" when it went well.

    Where `answer_rows_equal`, the answered rows are given as `rows`, in their order.
    """

    rows: Rows
    rows_from: str
    cut: Literal["consistent", "moving", "unknown"]
    answer_rows: Rows | None
    answer_rows_equal: bool | None
    views: tuple[View, ...]
    problem: str

    @cached_property
    def users(self) -> frozenset[int]:
        return frozenset(user for user, _ in self.rows)

    @cached_property
    def found(self) -> dict[int, tuple[object, npt.NDArray[np.intp]]]:
        """Answers found lost by these rows, with the table that they are of: asked for twice."""
        return {}

    @cached_property
    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The users of the rows, and beside each its issue id as a history holds ids."""
        pieces = self.rows.pieces
        users = [users for users, _ in pieces]
        ids = [_stored(ids) for _, ids in pieces]
        nobody = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=f"S{ID_BYTES}")
        return (np.concatenate(users), np.concatenate(ids)) if pieces else nobody

    @cached_property
    def by_user(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The same, in the order of the users."""
        users, ids = self.columns
        order = np.argsort(users, kind="stable")
        return users[order], ids[order]

    @property
    def unsettled(self) -> str:
        """Why the absence of a row means nothing, "" when it does mean something."""
        if self.problem:
            return self.problem
        return "the rows were still changing when they were read" if self.cut == "moving" else ""


def audit_of(lines: Iterable[bytes]) -> Audit:
    """The content of `audit.json`. Raises ValueError, KeyError, TypeError or RowError otherwise."""
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
    return _audit(json_object(json.loads(b"".join(beside))), rows, answered)


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
    rows.add([user for user, _ in pairs], [id_ for _, id_ in pairs])


def _add_objects(rows: Rows, objects: Any) -> None:
    """Add rows as a system answers them; an id may lack."""
    rows.add([row["userId"] for row in objects], [row.get("issueId") for row in objects])


def _audit(fields: Json, rows: Rows, answered: Sequence[bytes]) -> Audit:
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
        views=tuple(_view(n, checked_view(n, each)) for n, each in sorted(fields["views"].items())),
        problem=fields["problem"],
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


def _view(store: str, told: StoreView) -> View:
    known = None if told.holders is None else frozenset(told.holders)
    return View(store, told.remaining, known, told.current)
