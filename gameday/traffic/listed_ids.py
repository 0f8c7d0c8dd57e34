"""Ids of users who stand in a file: the column that an audit tells them by.

Evidence keeps such a user by the number of the row and not by the id, which is nobody's business,
and with which a run could not be judged where the file is gone. So an audit is translated while
the file is there, see `evidence.rows.Rows.told_otherwise`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from gameday.spec.request import IssueRequest
from gameday.spec.template import PLACEHOLDER
from gameday.spec.users import Cell
from gameday.traffic.user_ids import FOREIGN, Column, Indices, leaves

_DIGITS: Final = re.compile(r"-?[0-9]+")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class ListedIds:
    """Indices of ids: as the column has them, as the request writes them, or in another case.

    An id that would be one of two users in another spelling is read by the first spelling alone.
    `also` are other columns that somebody may tell users by.
    """

    def __init__(
        self,
        column: Sequence[Cell],
        around: Iterable[tuple[str, str]] = (),
        also: Iterable[Sequence[Cell]] = (),
    ) -> None:
        self.users = len(column)
        told = [_text(cell) for cell in column]
        self._known = {text.encode(): index for index, text in enumerate(told)}
        for before, behind in around:
            self._also(f"{before}{text}{behind}" for text in told)
        self._also(_plain(text) if _DIGITS.fullmatch(text) else text for text in told)
        for other in also:
            told = [_text(cell) for cell in other]
            self._also(text for text in told)
            self._also(_plain(text) if _DIGITS.fullmatch(text) else text for text in told)
        self._known.pop(b"", None)  # an empty cell names nobody
        self._folded = _distinct(self._known)

    def _also(self, spellings: Iterator[str]) -> None:
        found = _without_doubles(spellings)
        for text, index in found.items():
            self._known.setdefault(text, index)

    def read(self, told: Column) -> Indices:
        """The indices of users as somebody told of them, FOREIGN for who stands in no row."""
        known, folded = self._known, self._folded
        texts = (told.astype(np.bytes_) if told.dtype.kind == "i" else told).tolist()
        found = [known.get(text, FOREIGN) for text in texts]
        for at, index in enumerate(found):
            if index == FOREIGN:
                found[at] = folded.get(_fold(texts[at]), FOREIGN)
        return np.array(found, dtype=np.int64)


def column_of_all(told: Iterable[Column], columns: Mapping[str, Sequence[Cell]]) -> str | None:
    """The one column that all users stand in, as somebody told of them; None where none, or two."""
    given = [users for users in told if len(users)]
    if not given:
        return None
    found = []
    for name, column in columns.items():
        ids = ListedIds(column)
        if all((ids.read(users) != FOREIGN).all() for users in given):
            found.append(name)
    return found[0] if len(found) == 1 else None


def _text(cell: Cell) -> str:
    """A value as JSON would write it."""
    return ("true" if cell else "false") if isinstance(cell, bool) else str(cell)


def _plain(digits: str) -> str:
    """A number as it is written without zeros before it; Python reads only 4,300 digits."""
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    rest = digits.lstrip("0")
    return f"{sign}{rest}" if rest else "0"


def _fold(text: bytes) -> bytes:
    return text.decode(errors="replace").casefold().encode()


def _without_doubles(spellings: Iterator[str]) -> dict[bytes, int]:
    """Each spelling and whose it is, but for those that are of two users."""
    found: dict[bytes, int] = {}
    twice: set[bytes] = set()
    for index, text in enumerate(spellings):
        raw = text.encode()
        if found.setdefault(raw, index) != index:
            twice.add(raw)
    return {raw: index for raw, index in found.items() if raw not in twice}


def _distinct(known: Mapping[bytes, int]) -> dict[bytes, int]:
    """Ids in small letters, but for those that two users would share."""
    found: dict[bytes, int] = {}
    shared: set[bytes] = set()
    for raw, index in known.items():
        folded = _fold(raw)
        if found.setdefault(folded, index) != index:
            shared.add(folded)
    return {raw: index for raw, index in found.items() if raw not in shared}


def around(issue: IssueRequest, column: str) -> list[tuple[str, str]]:
    """What the issue's body writes before and behind an id of that column."""
    found = []
    for text in (*leaves(issue.json_), *leaves(issue.form)):
        marks = [match for match in PLACEHOLDER.finditer(text) if match[1]]
        if len(marks) == 1 and (marks[0][1] or "").partition(":")[0] == column:
            found.append((text[: marks[0].start()], text[marks[0].end() :]))
    return [each for each in dict.fromkeys(found) if each != ("", "")]


def foreign_text(text: str) -> str:
    """Who stands in no row, so that no number of his is taken for that of a row."""
    return f"id {text}" if _DIGITS.fullmatch(text) else text
