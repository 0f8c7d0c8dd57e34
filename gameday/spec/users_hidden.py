"""Secrets of a file of users, taken out of texts that people will read.

There may be a hundred thousand of them, so a text is not searched for each: it is parted into
words, and each word is looked up. What is shorter than other secrets that are hidden, or a small
number, stays: half of every text would be masked for it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

from gameday.core.secrets.redaction import MASK, SHORTEST
from gameday.spec.users import Cell, UsersFile, UserTable

_WORD: Final = re.compile(r"[^\s\"'<>,;&=?(){}\[\]|\\]+")
_PART: Final = re.compile(r"([/:])")
_SMALL_NUMBER: Final = re.compile(r"[0-9.+-]{1,7}")
Hide = Callable[[str], str]


def _words(cell: Cell) -> Iterator[str]:
    """The words of a value, as a text would quote them."""
    for word in _WORD.findall(str(cell)):
        if len(word) >= SHORTEST and not _SMALL_NUMBER.fullmatch(word):
            yield word


class HiddenCells:
    """A function from a text to the same without what the secret columns hold."""

    def __init__(self, users: UsersFile, table: UserTable) -> None:
        columns = [column for name, column in table.columns.items() if name not in users.public]
        self._words = {word for column in columns for cell in column for word in _words(cell)}

    def __call__(self, text: str) -> str:
        return _WORD.sub(lambda found: self._masked(found[0]), text)

    def _masked(self, word: str) -> str:
        if self._is_one(word):
            return MASK
        parts = _PART.split(word)
        if len(parts) > 1:
            return "".join(MASK if self._is_one(part) else part for part in parts)
        return word

    def _is_one(self, word: str) -> bool:
        return any(
            form in self._words for form in (word, word.strip(".:!*`"), unquote(word.strip(".:!")))
        )


def hiding(hide: Hide, users: UsersFile | None, table: UserTable | None) -> Hide:
    """`hide`, and then what a file of users holds, where there is one."""
    if users is None or table is None:
        return hide
    cells = HiddenCells(users, table)
    return lambda text: cells(hide(text))
