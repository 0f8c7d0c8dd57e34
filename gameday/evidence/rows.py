"""Durable rows, user and issue id: made of what somebody answered, and small enough for millions.

A row takes 8 bytes and its id; where users are no numbers, the user's text instead of the 8. In a
column every text is as wide as its longest, so texts of very different lengths stand in columns of
their own. A user is whatever the system calls it; what no user can be called (true, null, a list,
a megabyte) is kept as a short text that says so, and is matched with nobody. What is no issue id is
refused with its value: a row that was read as another one would accuse or acquit a system wrongly.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from gameday.core.errors import UnknownError
from gameday.core.json_objects import Json
from gameday.traffic.user_ids import FOREIGN, NUMBERS

User = int | str
Row = tuple[User, str]
Column = npt.NDArray[np.int64] | npt.NDArray[np.bytes_]
Ids = npt.NDArray[np.bytes_]
Piece = tuple[Column, Ids]
Read = Callable[[Column], npt.NDArray[np.int64]]
"""Reader of users: the index of each, FOREIGN for one whom no request could have named."""
MOST_ROWS: Final = 20_000_000
LONGEST_ID: Final = 1_000  # bytes
SHORT_USER: Final = 60  # characters; in ASCII it is kept as it is
LONGEST_USER: Final = 200  # bytes; more is kept as its beginning and a digest
MOST_BYTES: Final = 1_500_000_000  # of all columns: as many rows with ids of 64 bytes
_LARGEST: Final = 2**63
_MOST_DIGITS: Final = 20  # more than any 64-bit number has
SHORT_ID: Final = 64  # bytes; a column as wide is never much of a waste
_MOST_WASTE: Final = 4  # times the bytes that came
_NARROWEST: Final = 4  # bits of a length
_SHOWN: Final = 60  # a line of an error message
_SHOWN_ROWS: Final = 5
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER_LINE: Final = re.compile(rf"^(?:{_NUMBER.pattern})$", re.MULTILINE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class RowError(UnknownError):
    """A value that should be a row and is none."""


def whole_number(value: object) -> int:
    """A number of 64 bits, as of a stock; one that was written as text or as 5.0 is one too."""
    number: object = int(value) if _is_whole(value) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise RowError(f"{quoted(value)} is no whole number")
    if not -_LARGEST <= number < _LARGEST:
        raise RowError(f"{quoted(value)} is too large a number")
    return number


def user_of(value: object) -> User:
    """A user as somebody told of it: a number of 64 bits, or a text of at most LONGEST_USER bytes.

    A whole number is a number whether it was written as 42, "42" or 42.0; "00042" is a text.
    """
    if isinstance(value, str):
        if is_number(value):
            return int(value)
        return _short(value) if len(value) > SHORT_USER or not value.isascii() else _clean(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_LARGEST <= value < _LARGEST else _short(_digits(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return int(value)
    return _short(_nested(value))


def is_number(text: str) -> bool:
    """True for a text that is a number of 64 bits, as JSON would write it."""
    return bool(_NUMBER.fullmatch(text)) and -_LARGEST <= int(text) < _LARGEST


def _digits(number: int) -> str:
    """A large number; Python writes none of more than 4,300 digits."""
    return str(number) if number.bit_length() < LONGEST_USER * 8 else hex(number)


def _nested(value: object) -> str:
    """Text of a value that is no name of anybody, so that it can be shown."""
    if isinstance(value, list | dict):
        try:
            return json.dumps(value)
        except (ValueError, RecursionError):
            return f"a {type(value).__name__} of {len(value)}"
    return json.dumps(value) if isinstance(value, bool | float | None) else str(value)


def _short(text: str) -> str:
    """A text of at most LONGEST_USER bytes: itself, or its beginning and a digest of all."""
    raw = _bytes(text)
    if len(raw) <= LONGEST_USER:
        return _clean(raw.decode())
    digest = blake2b(raw, digest_size=8).hexdigest()
    return _clean(f"{raw[:_SHOWN].decode(errors='ignore')}… ({len(raw)} bytes, {digest})")


def _bytes(text: str) -> bytes:
    """A text in UTF-8, half a surrogate pair as its escape."""
    return text.encode("utf-8", "backslashreplace")


def _clean(text: str) -> str:
    """A text without control characters, which are written as escapes; a column ends at a NUL."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _are_numbers(told: Sequence[object]) -> TypeGuard[Sequence[int]]:
    """True if all are numbers of 64 bits, as nearly all users are."""
    numbers = cast("Sequence[int]", told)
    return set(map(type, told)) == {int} and max(numbers) < _LARGEST and min(numbers) >= -_LARGEST


def _as_told(users: Sequence[object]) -> Sequence[User]:
    if _are_numbers(users):
        return users
    if _are_texts(users) and _plain_texts(users):
        return users
    return [user_of(user) for user in users]


def _are_texts(told: Sequence[object]) -> TypeGuard[Sequence[str]]:
    return set(map(type, told)) == {str}


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
    """What another store holds of the campaign; `current` is None where that cannot be known.

    `holders` are as they were told.
    """

    remaining: int | None
    holders: Sequence[User] | None
    current: bool | None = None


def checked_view(name: str, view: Json) -> StoreView:
    """A view of a store in its types."""
    remaining, holders, current = (view.get(key) for key in ("remaining", "holders", "current"))
    if not isinstance(holders, list | None):
        raise RowError(f"views.{name}.holders: {quoted(holders)} is no list of users")
    if not isinstance(current, bool | None):
        raise RowError(f"views.{name}.current: {quoted(current)} is neither true nor false")
    return StoreView(
        remaining=None if remaining is None else whole_number(remaining),
        holders=None if holders is None else _as_told(holders),
        current=current,
    )


class Rows:
    """Rows in the order they came, in pieces of columns."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._pieces: list[Piece] = []
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
        self._check_room(len(users))
        if not _are_numbers(users):
            users = users_of(users)
        if not _are_texts(ids) or "\0" in "".join(ids):
            ids = [issue_id(id_) for id_ in ids]
        self._keep(users, _encoded(ids))

    def add_columns(self, users: Column, ids: Ids) -> None:
        """Add rows that are columns already, ids in printable ASCII. Raises RowError."""
        self._check_room(len(users))
        _check_length(ids.dtype.itemsize, ids.tolist)
        self._add_piece(users, ids)

    def _check_room(self, more: int) -> None:
        if self._count + more > MOST_ROWS:
            raise RowError(f"more than {MOST_ROWS} rows")

    def _keep(self, users: Sequence[int] | Sequence[bytes], ids: Sequence[bytes]) -> None:
        """Put rows into columns, in halves where one long text would widen those of many others."""
        longest, count = max(map(len, ids)), len(ids)
        _check_length(longest, lambda: ids)
        if _are_waste(ids) or _are_waste(users):
            self._keep(users[: count // 2], ids[: count // 2])
            self._keep(users[count // 2 :], ids[count // 2 :])
            return
        self._add_piece(column_of(users), np.array(ids, dtype=f"S{longest or 1}"))

    def _add_piece(self, users: Column, ids: Ids) -> None:
        self._bytes += len(users) * (ids.dtype.itemsize + users.dtype.itemsize)
        if self._bytes > MOST_BYTES:
            raise RowError(f"rows of more than {MOST_BYTES / 1e6:g} MB")
        self._pieces.append((users, ids))
        self._count += len(users)

    @property
    def pieces(self) -> Sequence[Piece]:
        """The columns as they came, users and ids in UTF-8; do not change them."""
        return self._pieces

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: int) -> Row:
        """The row at a place from 0: for the few that are shown."""
        for users, ids in self._pieces:
            if at < len(users):
                return _user_in(users[at].item()), ids[at].decode()
            at -= len(users)
        raise IndexError(at)

    def __iter__(self) -> Iterator[Row]:
        for users, ids in self._pieces:
            for user, id_ in zip(users.tolist(), ids.tolist(), strict=True):
                yield _user_in(user), id_.decode()

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

    def with_foreign(self, read: Read, changed: Callable[[str], str]) -> "Rows":
        """The same rows; the text of a user whom no request could have named is `changed`."""
        strangers = [np.flatnonzero(read(users) == FOREIGN) for users, _ in self._pieces]
        if not any(map(len, strangers)):
            return self
        made = Rows()
        for (users, ids), strange in zip(self._pieces, strangers, strict=True):
            made._keep(_with_others(users.tolist(), strange.tolist(), changed), ids.tolist())
        return made

    def with_ids(self, changed: Callable[[Ids], Ids | None]) -> "Rows":
        """The same rows with some ids changed; `changed` gives None for those that are none."""
        found = [changed(ids) for _, ids in self._pieces]
        if all(each is None for each in found):
            return self
        made = Rows()
        for (users, ids), other in zip(self._pieces, found, strict=True):
            made._keep(users.tolist(), (ids if other is None else other).tolist())
        return made

    def told_otherwise(self, rename: Callable[[Column], Sequence[User]]) -> "Rows":
        """The same rows with other names for their users."""
        made = Rows()
        for users, ids in self._pieces:
            made._keep(users_of(rename(users)), ids.tolist())
        return made

    def same(self, other: "Rows", read: Read = NUMBERS.read) -> bool:
        """True if they are the same rows in any order; nearly always in the same one.

        `read` makes two spellings of one user the same.
        """
        if len(self) != len(other):
            return False
        return self == other or bool((_marks(self, read) == _marks(other, read)).all())


def users_of(told: Iterable[object]) -> Sequence[int] | Sequence[bytes]:
    """Users as a column holds them: numbers if all of them are, else texts in UTF-8."""
    given = list(told)
    if _are_numbers(given):
        return given
    if _are_texts(given) and (texts := _plain_texts(given)):
        return texts
    users = [user_of(user) for user in given]
    numbers = [user for user in users if isinstance(user, int)]
    return numbers if len(numbers) == len(users) else [str(user).encode() for user in users]


def _plain_texts(users: Sequence[Any]) -> Sequence[bytes]:
    """Texts that `user_of` leaves as they are, at once; nothing if it may change one of them."""
    text = "".join(users)
    if not text.isascii() or not text.isprintable() or max(map(len, users)) > SHORT_USER:
        return ()
    lines = "\n".join(users)
    return () if _NUMBER_LINE.search(lines) else lines.encode().split(b"\n")


def columns_of(told: Sequence[object]) -> Sequence[Column]:
    """Columns of users in any form, not in their order: those of like lengths stand in one."""
    if not told:
        return []
    users = users_of(told)
    if (
        isinstance(users[0], int)
        or max(map(len, texts := cast("Sequence[bytes]", users))) <= SHORT_ID
    ):
        return [column_of(users)]
    by_length: dict[int, list[bytes]] = {}
    for text in texts:
        by_length.setdefault(max(_NARROWEST, len(text).bit_length()), []).append(text)
    return [column_of(some) for some in by_length.values()]


def column_of(users: Sequence[int] | Sequence[bytes]) -> Column:
    """A column of users, as `users_of` makes them."""
    if users and isinstance(users[0], bytes):
        return np.array(users, dtype=np.bytes_)
    return np.array(users, dtype=np.int64)


def _user_in(user: int | bytes) -> User:
    """A user of a column; a number is one also where it stands among texts."""
    return user if isinstance(user, int) else user_of(user.decode())


def _with_others(
    told: list[Any], places: Sequence[int], changed: Callable[[str], str]
) -> list[int] | list[bytes]:
    """Users with the texts at some places changed; numbers become texts only where one has to."""
    texts = {at: str(_user_in(told[at])) for at in places}
    shown = {at: text for at, old in texts.items() if (text := changed(old)) != old}
    if not shown:
        return told
    found = [each if isinstance(each, bytes) else str(each).encode() for each in told]
    for at, text in shown.items():
        found[at] = _short(text).encode()
    return found


def _are_waste(texts: Sequence[int] | Sequence[bytes]) -> bool:
    if not isinstance(texts[0], bytes):
        return False
    sizes = list(map(len, cast("Sequence[bytes]", texts)))
    return is_waste(max(sizes), len(sizes), sum(sizes))


def is_waste(width: int, count: int, total: int) -> bool:
    """True if a column of texts of `total` bytes would be much wider than what stands in it."""
    return width > SHORT_ID and width * count > _MOST_WASTE * (total + SHORT_ID * count)


def _check_length(longest: int, ids: Callable[[], Iterable[bytes]]) -> None:
    """Raise RowError, with the id, where one is too long."""
    if longest > LONGEST_ID:
        long = next(id_ for id_ in ids() if len(id_) > LONGEST_ID).decode()
        raise RowError(f"{quoted(long)} is no id of an issue: over {LONGEST_ID} bytes")


def _marks(rows: Rows, read: Read) -> npt.NDArray[np.bytes_]:
    """A digest of each row, sorted: 16 bytes for each, however long the ids are."""
    marks = []
    for users, ids in rows.pieces:
        for told, index, id_ in zip(
            users.tolist(), read(users).tolist(), ids.tolist(), strict=True
        ):
            user = index if index != FOREIGN else _user_in(told)
            marks.append(blake2b(f"{user} {id_.decode()}".encode(), digest_size=16).digest())
    return np.sort(np.array(marks, dtype="S16"))


def _equal(one: object, other: object) -> bool:
    return one == other
