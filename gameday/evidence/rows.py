"""Durable rows, user and issue id: made of what somebody answered, and small enough for millions.

A row takes 8 bytes and its id. In a column every id is as wide as its longest, so ids of very
different lengths stand in columns of their own. What is no user number (`1e999`, 10^30, true, null)
or no id is refused with its value: a row that was read as another one would accuse or acquit a
system wrongly.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from gameday.core.errors import UnknownError
from gameday.core.json_objects import Json

Row = tuple[int, str]
MOST_ROWS: Final = 20_000_000
LONGEST_ID: Final = 1_000  # bytes
MOST_BYTES: Final = 1_500_000_000  # of all columns: as many rows with ids of 64 bytes
_LARGEST: Final = 2**63
_MOST_DIGITS: Final = 20  # more than any 64-bit number has
_SHORT_ID: Final = 64  # bytes; a column as wide is never much of a waste
_MOST_WASTE: Final = 4  # times the bytes that came
_SHOWN: Final = 60  # a line of an error message
_SHOWN_ROWS: Final = 5


class RowError(UnknownError):
    """A value that should be a row and is none."""


def user_number(value: object) -> int:
    """A user as a number of 64 bits; one that was written as text or as 5.0 is one too."""
    number: object = int(value) if _is_whole(value) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise RowError(f"{quoted(value)} is no number of a user")
    if not -_LARGEST <= number < _LARGEST:
        raise RowError(f"{quoted(value)} is too large for the number of a user")
    return number


def _users(told: Sequence[Any]) -> Sequence[int]:
    """Users as numbers of 64 bits; nearly all are as they came."""
    if set(map(type, told)) <= {int} and (
        not told or (max(told) < _LARGEST and min(told) >= -_LARGEST)
    ):
        return told
    return [user_number(user) for user in told]


def _is_whole(value: object) -> TypeGuard[str | float]:
    """True for a whole number in another form: digits in a text, or 5.0."""
    if isinstance(value, str):
        return len(value) < _MOST_DIGITS and value.removeprefix("-").isdecimal()
    return isinstance(value, float) and value.is_integer()


def issue_id(value: object) -> str:
    """An id as text, "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(f"{quoted(value)} is no id of an issue: neither text nor a number")
    text = str(value)
    if "\0" in text:
        raise RowError(f"{quoted(text)} is no id of an issue: it has a NUL")
    return text


def _encoded(ids: Sequence[str]) -> list[bytes]:
    """The ids in UTF-8. Raises RowError."""
    try:
        return [id_.encode() for id_ in ids]
    except UnicodeEncodeError as error:
        raise RowError("an id of an issue holds half a surrogate pair") from error


def quoted(value: object) -> str:
    """A value as an error quotes it: the beginning."""
    if isinstance(value, int) and value.bit_length() > _SHOWN * 4:
        return f"a number of {value.bit_length()} bits"
    text = ascii(value[:_SHOWN] if isinstance(value, str | list) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class StoreView:
    """What another store holds of the campaign; `current` is None where that cannot be known."""

    remaining: int | None
    holders: Sequence[int] | None
    current: bool | None = None


def checked_view(name: str, view: Json) -> StoreView:
    """A view of a store in its types."""
    remaining, holders, current = (view.get(key) for key in ("remaining", "holders", "current"))
    if not isinstance(holders, list | None):
        raise RowError(f"views.{name}.holders: {quoted(holders)} is no list of users")
    if not isinstance(current, bool | None):
        raise RowError(f"views.{name}.current: {quoted(current)} is neither true nor false")
    return StoreView(
        remaining=None if remaining is None else user_number(remaining),
        holders=None if holders is None else _users(holders),
        current=current,
    )


class Rows:
    """Rows in the order they came, in pieces of columns."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._pieces: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]] = []
        self._count = self._bytes = 0
        given = list(rows)
        self.add([user for user, _ in given], [id_ for _, id_ in given])

    def take(self, told: Sequence[Any]) -> None:
        """Add rows that are objects with `userId` and `issueId`. Raises RowError."""
        try:
            users = [row["userId"] for row in told]
            ids = [row["issueId"] for row in told]
        except (KeyError, TypeError, IndexError) as error:
            raise RowError("its `rows` are not a list of {userId, issueId}") from error
        self.add(users, ids)

    def add(self, users: Sequence[Any], ids: Sequence[Any]) -> None:
        """Add rows; nearly all are a number and a short text as they are. Raises RowError."""
        if not users:
            return
        if self._count + len(users) > MOST_ROWS:
            raise RowError(f"more than {MOST_ROWS} rows")
        users = _users(users)
        if set(map(type, ids)) != {str} or "\0" in "".join(ids):
            ids = [issue_id(id_) for id_ in ids]
        self._keep(users, _encoded(ids))

    def _keep(self, users: Sequence[int], ids: Sequence[bytes]) -> None:
        """Put rows into columns, in halves where one long id would widen those of many others."""
        longest, count = max(map(len, ids)), len(ids)
        if longest > LONGEST_ID:
            long = next(id_ for id_ in ids if len(id_) > LONGEST_ID).decode()
            raise RowError(f"{quoted(long)} is no id of an issue: over {LONGEST_ID} bytes")
        if longest > _SHORT_ID and longest * count > _MOST_WASTE * (
            sum(map(len, ids)) + _SHORT_ID * count
        ):
            self._keep(users[: count // 2], ids[: count // 2])
            self._keep(users[count // 2 :], ids[count // 2 :])
            return
        self._bytes += count * (longest + 8)
        if self._bytes > MOST_BYTES:
            raise RowError(f"rows of more than {MOST_BYTES / 1e6:g} MB")
        kind = f"S{longest or 1}"
        self._pieces.append((np.array(users, dtype=np.int64), np.array(ids, dtype=kind)))
        self._count += count

    @property
    def pieces(self) -> Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_]]]:
        """The columns as they came, users and ids in UTF-8; do not change them."""
        return self._pieces

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: int) -> Row:
        """The row at a place from 0: for the few that are shown."""
        for users, ids in self._pieces:
            if at < len(users):
                return int(users[at]), ids[at].decode()
            at -= len(users)
        raise IndexError(at)

    def __iter__(self) -> Iterator[Row]:
        for users, ids in self._pieces:
            for user, id_ in zip(users.tolist(), ids.tolist(), strict=True):
                yield user, id_.decode()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows | list | tuple):
            return len(self) == len(other) and all(map(_equal, self, other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The first rows.

        asyncio takes the repr of a finished task and its result; that of all took 300 bytes a row.
        """
        more = "" if len(self) <= _SHOWN_ROWS else f", … {len(self)} in all"
        return f"Rows({list(islice(self, _SHOWN_ROWS))!r}{more})"

    def same(self, other: "Rows") -> bool:
        """True if they are the same rows in any order; nearly always in the same one."""
        if len(self) != len(other):
            return False
        return self == other or bool((_marks(self) == _marks(other)).all())


def _marks(rows: Rows) -> npt.NDArray[np.bytes_]:
    """A digest of each row, sorted: 16 bytes for each, however long the ids are."""
    marks = [blake2b(f"{user} {id_}".encode(), digest_size=16).digest() for user, id_ in rows]
    return np.sort(np.array(marks, dtype="S16"))


def _equal(one: object, other: object) -> bool:
    return one == other
