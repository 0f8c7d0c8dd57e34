"""Ids of users: the one place where an index becomes an id, and an id an index.

Inside, a user is an index from 0: histories hold it, checks count with it. A system calls the same
user what the issue request calls him: `42`, `u00042`, a UUID. That request is the template which
made the id, so what an audit tells of is matched through it: the whole value that holds the
placeholder (`u{user:05d}`) comes first, then the placeholder by itself, for a system may keep the
number alone. Letters match in either case, since systems change it.

A UUID is made from the seed and can be read back without a table. Its upper half is a digest of the
index, its lower half is the index under a mask drawn from the upper half, so another UUID, or one
of another seed, is found out: it would have to match 69 bits.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gameday.core.errors import UsageError
from gameday.spec.request import Request
from gameday.spec.template import PLACEHOLDER, PLACEHOLDERS, fill_text, format_problem
from gameday.traffic.schedule.users import GOLDEN, mixed

Indices = npt.NDArray[np.int64]
Texts = npt.NDArray[np.bytes_]
Column = Indices | Texts
"""Users as somebody told of them: numbers, or texts in UTF-8 without a NUL."""

FOREIGN: Final = -1
MOST_USERS: Final = 2**53
_INDEX: Final = MOST_USERS - 1
_WORD: Final = 2**64 - 1
_VERSION: Final = 0x4000  # version 4 of a UUID, in its upper half
_FREE: Final = _WORD ^ 0xF000
_VARIANT: Final = 1 << 63
_CHECK: Final = 0x1FF << 53
_DIGITS: Final = 18  # of a number that surely fits 64 bits
_PART: Final = re.compile(r"""(?:\{[^{}]*\}|[^\s/?&=;,:|{}"'<>()\[\]]|\{\{|\}\})+""")
"""A value in a path or a header; a placeholder is never parted."""
_SAMPLES: Final = (0, 1, 7, 10, 42, 99, 12_345, 999_999)
_HYPHENS: Final = (8, 13, 18, 23)
_UUID_TEXT: Final = 36

_LOWER: Final = np.array([b + 32 if 65 <= b <= 90 else b for b in range(256)], dtype=np.uint8)
_NIBBLE: Final = np.full(256, 255, dtype=np.uint8)
for _at, _digit in enumerate(b"0123456789abcdef"):
    _NIBBLE[_digit] = _NIBBLE[ord(chr(_digit).upper())] = _at


@dataclass(frozen=True, slots=True)
class Uuids:
    """UUIDs of one seed."""

    above: int
    below: int

    @classmethod
    def of(cls, seed: int) -> "Uuids":
        digest = blake2b(f"{seed}/uuid/user".encode(), digest_size=16).digest()
        return cls(int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little"))

    def text(self, index: int) -> str:
        """The UUID of a user."""
        upper = _mixed_one(self.above ^ ((index + 1) * GOLDEN & _WORD)) & _FREE | _VERSION
        mask = _mixed_one(self.below ^ upper)
        lower = _VARIANT | (mask & _CHECK) | ((index ^ mask) & _INDEX)
        a, b = f"{upper:016x}", f"{lower:016x}"
        return f"{a[:8]}-{a[8:12]}-{a[12:]}-{b[:4]}-{b[4:]}"

    def read(self, upper: npt.NDArray[np.uint64], lower: npt.NDArray[np.uint64]) -> Indices:
        """The indices of UUIDs, FOREIGN for others."""
        mask = mixed(np.uint64(self.below) ^ upper)
        index = (lower ^ mask) & np.uint64(_INDEX)
        golden = (index + np.uint64(1)) * np.uint64(GOLDEN)
        made = mixed(np.uint64(self.above) ^ golden) & np.uint64(_FREE) | np.uint64(_VERSION)
        checked = np.uint64(_VARIANT) | (mask & np.uint64(_CHECK))
        fits = (made == upper) & (lower & np.uint64(_WORD ^ _INDEX) == checked)
        return np.where(fits, index.astype(np.int64), FOREIGN)


def _mixed_one(word: int) -> int:
    """SplitMix64's output function of one word, as `mixed` has it of many."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _WORD
    return word ^ (word >> 31)


def text_of(format_: str, index: int, uuids: Uuids) -> str:
    """A user, or another number, in a format of a placeholder."""
    if format_ == "uuid":
        return uuids.text(index)
    return str(index).zfill(_width(format_))


def _width(format_: str) -> int:
    return int(format_[1:-1]) if format_.startswith("0") else 1


@dataclass(frozen=True, slots=True)
class IdForm:
    """The form of an id: what stands before the user, in which format, and what behind.

    `loose`: any whole number, however many zeros lead it; a system may keep the number alone.
    """

    before: bytes
    format: str
    behind: bytes
    loose: bool = False

    def text(self, index: int, uuids: Uuids) -> str:
        return f"{self.before.decode()}{text_of(self.format, index, uuids)}{self.behind.decode()}"

    def read(self, bytes_: npt.NDArray[np.uint8], length: int, uuids: Uuids) -> Indices:
        """The indices of texts of one length, a row of bytes each; FOREIGN for another form."""
        begin, end = len(self.before), length - len(self.behind)
        if end <= begin:
            return np.full(len(bytes_), FOREIGN, dtype=np.int64)
        inside = bytes_[:, begin:end]
        found = _read_uuids(inside, uuids) if self.format == "uuid" else self._numbers(inside)
        fits = np.ones(len(bytes_), dtype=np.bool_)
        places = [*range(begin), *range(end, length)]
        for place, wanted in zip(places, self.before + self.behind, strict=True):
            fits &= _LOWER[bytes_[:, place]] == _LOWER[wanted]
        return np.where(fits, found, FOREIGN)

    @property
    def can_be_plain_number(self) -> bool:
        """True if a number without zeros before it may be an id of this form."""
        if self.loose or self.format == "uuid":  # no number of 64 bits has as many digits
            return self.loose
        around = self.before + self.behind
        return around.isdigit() if around else _width(self.format) == 1

    def _numbers(self, digits: npt.NDArray[np.uint8]) -> Indices:
        count = digits.shape[1]
        values = digits - np.uint8(ord("0"))  # what is no digit becomes more than 9
        fits = np.ones(len(digits), dtype=np.bool_)
        for column in range(count):
            fits &= values[:, column] <= (9 if column >= count - _DIGITS else 0)
        width = _width(self.format)
        if not (self.loose or self.before or self.behind) and width > 1:
            # Without a zero before it, it may as well be a key of the system's own.
            fits &= (values[:, 0] == 0) & (count == width)
        if not self.loose and count > width and count > 1:
            fits &= values[:, 0] != 0
        elif not self.loose and count < width:
            fits = np.zeros(len(digits), dtype=np.bool_)
        number = np.zeros(len(digits), dtype=np.int64)
        for column in range(max(0, count - _DIGITS), count):
            number = number * 10 + values[:, column]
        return np.where(fits, number, FOREIGN)


def _read_uuids(text: npt.NDArray[np.uint8], uuids: Uuids) -> Indices:
    """UUIDs with their hyphens, or without."""
    foreign = np.full(len(text), FOREIGN, dtype=np.int64)
    fits = np.ones(len(text), dtype=np.bool_)
    if text.shape[1] == _UUID_TEXT:
        fits = (text[:, _HYPHENS] == ord("-")).all(axis=1)
        text = np.delete(text, _HYPHENS, axis=1)
    if text.shape[1] != _UUID_TEXT - len(_HYPHENS):
        return foreign
    nibbles = _NIBBLE[text]
    fits &= (nibbles < 16).all(axis=1)
    raw = np.ascontiguousarray((nibbles[:, ::2] << 4) | (nibbles[:, 1::2] & 15))
    halves = raw.view(">u8").astype(np.uint64)
    return np.where(fits, uuids.read(halves[:, 0], halves[:, 1]), FOREIGN)


_NUMBER: Final = IdForm(b"", "", b"", loose=True)


class UserIds:
    """Ids of the users of one run. The first form is how a report writes one.

    Where the request has the bare number somewhere (`{user}`), users are numbers, whatever else it
    has. A text that holds it (`u{user:05d}`) is read as a whole: a number that stands alone in an
    audit may be a key of the system's own. `with_numbers` is for a run that shows it is none.
    """

    def __init__(
        self, forms: Sequence[IdForm] = (_NUMBER,), users: int = MOST_USERS, seed: int = 0
    ) -> None:
        self.uuids = Uuids.of(seed)
        self.users = min(users, MOST_USERS)
        self.are_numbers = any(form.loose for form in forms)
        """True if users are plain numbers, as in `{user}`: an index is its id then."""
        self._forms = self._certain([form for form in forms if not form.loose])
        self._alone: Sequence[IdForm] = ()
        self._seed = seed

    @classmethod
    def of(
        cls, request: Request, values: Mapping[str, int | str], users: int, seed: int
    ) -> "UserIds":
        """Ids as this request makes them; `values` are the same for all starts of a run."""
        forms = list(dict.fromkeys(map(_loosened, _forms_in(request, values))))
        asked = placeholders_in(request)
        if "user:uuid" in asked:  # a system may keep the UUID alone: it is nobody else's
            forms.append(IdForm(b"", "uuid", b""))
        ids = cls(forms, users, seed)
        if any(name.partition(":")[0] == "user" for name in asked - {"user:uuid"}):
            ids._alone = (_NUMBER,)
        return ids

    @property
    def name_nobody(self) -> bool:
        """True if no value of the request says who asks, so that no row can be matched."""
        return not self.are_numbers and not self._forms

    def with_numbers(self) -> "UserIds | None":
        """The same ids where a number may stand alone; None where that could be another user."""
        if self.are_numbers or not self._alone:
            return None
        if any(self._mistakes(_NUMBER, form) for form in self._forms):
            return None
        ids = UserIds(self._forms, self.users, self._seed)
        ids._forms = [*self._forms, *self._alone]
        return ids

    @property
    def is_padded_number(self) -> bool:
        """True if the whole id is a number with zeros before it."""
        return any(
            not (form.before or form.behind or form.format == "uuid") for form in self._forms
        )

    def with_any_number(self) -> "UserIds":
        """The same where every number is a user."""
        return UserIds([*self._forms, _NUMBER], self.users, self._seed)

    def without_numbers(self) -> "UserIds | None":
        """The ids by their whole forms alone; None where no number can be mistaken for one."""
        if self.are_numbers and any(self._mistakes(_NUMBER, form) for form in self._forms):
            return UserIds(self._forms, self.users, self._seed)
        return None

    def id_of(self, index: int) -> int | str:
        """The id of a user, as the request has it; a number where it is one."""
        if self.are_numbers or not self._forms or self._forms[0].loose:
            return index
        return self._forms[0].text(index, self.uuids)

    def read(self, told: Column) -> Indices:
        """The indices of users as somebody told of them, FOREIGN where no template made the id."""
        if not self.are_numbers:
            return self._read_by(self._forms, told, self.users)
        numbers = self._numbers(told)
        beyond = (numbers < 0) | (numbers >= self.users)
        if not self._forms or not beyond.any():
            return numbers
        formed = self._read_by(self._forms, told)
        return np.where(beyond & (formed != FOREIGN), formed, numbers)

    def _numbers(self, told: Column) -> Indices:
        if told.dtype.kind != "i":
            return self._read_by([_NUMBER], told, MOST_USERS)
        numbers = told.astype(np.int64)
        return np.where(numbers >= 0, numbers, FOREIGN)

    def _read_by(self, forms: Sequence[IdForm], told: Column, below: int | None = None) -> Indices:
        """The indices by the first form that fits and means one of the users."""
        below = self.users if below is None else below
        found = np.full(len(told), FOREIGN, dtype=np.int64)
        if not len(told):
            return found
        texts: npt.NDArray[Any] = told
        if told.dtype.kind == "i":
            forms = [form for form in forms if form.can_be_plain_number]
            if all(form.loose for form in forms):
                numbers = told.astype(np.int64)
                fits = (numbers >= 0) & (numbers < (below if forms else 0))
                return np.where(fits, numbers, FOREIGN)
            texts = told.astype("S20")
        every = np.ascontiguousarray(texts).view(np.uint8).reshape(len(told), -1)
        lengths = np.strings.str_len(texts)
        for length in np.unique(lengths).tolist():
            at = np.flatnonzero(lengths == length)
            for form in forms:
                made = form.read(every[at], length, self.uuids)
                made[made >= below] = FOREIGN
                found[at] = made
                at = at[made == FOREIGN]
                if not len(at):
                    break
        return found

    def _certain(self, forms: Sequence[IdForm]) -> list[IdForm]:
        """Forms that take no id of one before for another user: `1{user}` and `12{user}` do."""
        kept: list[IdForm] = []
        for form in forms:
            if not any(self._mistakes(form, earlier) for earlier in kept):
                kept.append(form)
        return kept

    def _mistakes(self, form: IdForm, earlier: IdForm) -> bool:
        for index in (each for each in _SAMPLES if each < self.users):
            text = earlier.text(index, self.uuids).encode()
            bytes_ = np.frombuffer(text, dtype=np.uint8).reshape(1, -1)
            taken = int(form.read(bytes_, len(text), self.uuids)[0])
            if taken not in (FOREIGN, index) and taken < self.users:
                return True
        return False


def placeholders_in(request: Request) -> frozenset[str]:
    """The placeholders that a request sends, with their formats."""
    sent = (request.path, request.query, request.headers, request.json_, request.form, request.text)
    names = {match[1] for text in _every_text(sent) for match in PLACEHOLDER.finditer(text)}
    return frozenset(name for name in names if name and name.partition(":")[0] in PLACEHOLDERS)


def names_somebody(request: Request) -> bool:
    """True if a request says who asks."""
    return any(name.partition(":")[0] == "user" for name in placeholders_in(request))


def is_as_ever(request: Request) -> bool:
    """True if a request has nothing that versions before formats did not know."""
    asked = placeholders_in(request)
    if request.form is not None or request.text is not None:
        return False
    return not any(":" in name or name == "iteration" for name in asked)


NUMBERS: Final = UserIds()
"""Users that are called by their index."""
NOBODY: Final = UserIds(())
"""Users of whom no row can be one."""


def _every_text(value: object) -> Iterator[str]:
    """Every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _every_text(key)
            yield from _every_text(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _every_text(inner)


def _loosened(form: IdForm) -> IdForm:
    """A number that stands alone and is not padded is any whole number, as systems write one."""
    plain = not form.before and not form.behind and form.format in ("", "d", "s", "01d")
    return _NUMBER if plain else form


def _forms_in(request: Request, values: Mapping[str, int | str]) -> Iterator[IdForm]:
    """The values of a request that hold the user and nothing else that varies; its body first."""
    for text in _texts(request):
        found = list(PLACEHOLDER.finditer(text))
        users = [match for match in found if match[1] and match[1].partition(":")[0] == "user"]
        if len(users) != 1 or _is_wrong(users[0][1]):
            continue
        [user] = users
        before, behind = text[: user.start()], text[user.end() :]
        format_ = user[1].partition(":")[2]
        # Where something else in it varies it is no id.
        with suppress(UsageError, UnicodeEncodeError):
            yield IdForm(
                fill_text(before, values).encode(), format_, fill_text(behind, values).encode()
            )


def _is_wrong(placeholder: str) -> bool:
    """True for a format that no plan lets pass; a damaged file may hold one."""
    name, colon, format_ = placeholder.partition(":")
    return bool(colon and format_problem(name, format_))


def _texts(request: Request) -> Iterator[str]:
    """Every text of a request that may be an id: values of the body, then parts of the others."""
    yield from leaves(request.json_)
    yield from leaves(request.form)
    yield from _PART.findall(request.text or "")
    yield from _PART.findall(request.path)
    yield from (value for value in request.query.values() if isinstance(value, str))
    for value in request.headers.values():
        if isinstance(value, str):
            yield from _PART.findall(value)


def leaves(value: object) -> Iterator[str]:
    """Every text among the values of a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
