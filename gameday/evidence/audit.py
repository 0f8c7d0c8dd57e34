"""What the stores held in the end (`audit.json`): the durable rows, and other views of them.

`cut` says whether the rows stood still while they were read: `consistent`, `moving`, or
`unknown` where nobody could tell. A row that is there is there, whatever the cut; that a row is
absent means something only when nothing was moving any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gameday.evidence.rows import Row, checked_view, issue_id, user_number
from gameday.history import ID_BYTES, stored_id

_CUTS = ("consistent", "moving", "unknown")
_SMALL = 2**62


@dataclass(frozen=True, slots=True)
class View:
    """How another store saw it; `current` is None where that cannot be known."""

    store: str
    remaining: int | None
    holders: frozenset[int] | None
    current: bool | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit as read; `rows` are (user, issue id), `problem` is "" when it went well."""

    rows: tuple[Row, ...]
    rows_from: str
    cut: Literal["consistent", "moving", "unknown"]
    answer_rows: tuple[Row, ...] | None
    answer_rows_equal: bool | None
    views: tuple[View, ...]
    problem: str

    @cached_property
    def users(self) -> frozenset[int]:
        return frozenset(user for user, _ in self.rows)

    @cached_property
    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]:
        """The users of the rows, and beside each its issue id as a history holds ids."""
        users = np.array([user for user, _ in self.rows], dtype=np.int64)
        return users, _stored([id_ for _, id_ in self.rows])

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


def audit_from_json(fields: Mapping[str, Any]) -> Audit:
    """The content of `audit.json`. Raises ValueError, KeyError, TypeError or RowError otherwise."""
    answer = fields.get("answer")
    shown = (answer or {}).get("rows")
    if fields["cut"] not in _CUTS or not isinstance(fields["problem"], str):
        raise ValueError("its `cut` or its `problem` is none")
    if not isinstance(fields["answer_rows_equal"], bool | None):
        raise TypeError("its `answer_rows_equal` is neither true nor false")
    return Audit(
        rows=_rows(fields["rows"]),
        rows_from=str(fields["rows_from"]),
        cut=fields["cut"],
        answer_rows=None if shown is None else tuple(_answer_row(row) for row in shown),
        answer_rows_equal=fields["answer_rows_equal"],
        views=tuple(_view(name, view) for name, view in sorted(fields["views"].items())),
        problem=fields["problem"],
    )


def _stored(ids: Sequence[str]) -> npt.NDArray[np.bytes_]:
    """`stored_id` of all; short ids of plain letters, as nearly all are, at once."""
    plain = all(map(str.isascii, ids)) and max(map(len, ids), default=0) <= ID_BYTES
    return np.array(ids if plain else [stored_id(id_) for id_ in ids], dtype=f"S{ID_BYTES}")


def _rows(pairs: Any) -> tuple[Row, ...]:
    """All rows; nearly all are a small number and a text as they are."""
    return tuple(
        [
            (user, id_)
            if type(user) is int and type(id_) is str and -_SMALL < user < _SMALL
            else _row(user, id_)
            for user, id_ in pairs
        ]
    )


def _row(user: Any, id_: Any) -> Row:
    return user_number(user), issue_id(id_)


def _answer_row(row: Mapping[str, Any]) -> Row:
    return _row(row["userId"], row.get("issueId"))


def _view(store: str, view: Mapping[str, Any]) -> View:
    told = checked_view(store, view)
    known = None if told["holders"] is None else frozenset(told["holders"])
    return View(store, told["remaining"], known, told["current"])
