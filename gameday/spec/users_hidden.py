"""Secrets of a file of users, taken out of texts that people will read.

There may be a hundred thousand of them, so a text is not searched for each: it is parted into
words, and each word is looked up, and so is every run of its pieces: a name may stand in bold,
behind `id-`, in an address or before a full stop. Case and how it is escaped make no difference.
What is shorter than other secrets that are hidden, or a small number, stays: half of every text
would be masked for it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote

from gameday.core.secrets.redaction import MASK, SHORTEST
from gameday.spec.users import Cell, UsersFile, UserTable

_ENDS: Final = r"\s\"'<>,;&=?(){}\[\]|\\"
_WORD: Final = re.compile(f"[^{_ENDS}]+")
# As JSON writes it, once or twice: `\n` ends a word, `\u1234` and `\/` are letters of one.
_WRITTEN: Final = re.compile(
    rf"(?:\\{{1,8}}([nrtbf]))?((?:\\{{1,8}}(?:u[0-9a-fA-F]{{4}}|/)|[^{_ENDS}])+)"
)
_ESCAPE: Final = re.compile(r"\\{1,8}(?:u([0-9a-fA-F]{4})|/)")
_SEGMENT: Final = re.compile(r"((?<!\\)/|:)")
_PIECE: Final = re.compile(r"((?:[^\w]|_)+)")
_SMALL_NUMBER: Final = re.compile(r"[0-9.+-]{1,7}")
_PLAIN: Final = frozenset({"true", "false", "null", "none"})
Hide = Callable[[str], str]


def _folded(text: str) -> str:
    """The text as it is looked up: whatever its case, and however its letters are composed."""
    return text.casefold() if text.isascii() else normalize("NFC", text).casefold()


def _core(pieces: list[str]) -> list[str]:
    """The pieces without what is no letter and no digit at both ends; all where nothing else is."""
    first = 0 if pieces[0] else 2
    last = len(pieces) if pieces[-1] else len(pieces) - 2
    return pieces[first:last] if first < last else ["".join(pieces)]


def _words(cell: Cell) -> Iterator[list[str]]:
    """The words of a value, as a text would quote them, each in pieces."""
    if isinstance(cell, bool):
        return
    for word in _WORD.findall(_folded(str(cell))):
        core = _core(_PIECE.split(word))
        text = "".join(core)
        if len(text) >= SHORTEST and not _SMALL_NUMBER.fullmatch(text) and text not in _PLAIN:
            yield core


class HiddenCells:
    """A function from a text to the same without what the secret columns hold."""

    def __init__(self, users: UsersFile, table: UserTable) -> None:
        self._words: set[str] = set()
        self._first: set[str] = set()  # pieces that a word of several begins with
        lengths = set()
        for name, column in table.columns.items():
            if name in users.public:
                continue
            for core in (core for cell in column for core in _words(cell)):
                self._words.add("".join(core))
                if len(core) > 1:
                    self._first.add(core[0])
                    lengths.add(len(core))
        self._lengths = sorted(lengths, reverse=True)

    def __call__(self, text: str) -> str:
        return _WRITTEN.sub(self._masked, text)

    def _masked(self, found: re.Match[str]) -> str:
        escape, word = found[1], found[2]
        before = found[0][: len(found[0]) - len(word)]
        shown = self._mask_word(word)
        if shown == word and escape and self._mask_word(escape + word) != escape + word:
            return before[:-1] + MASK  # no line end: the folder of a path, the domain of a user
        return before + shown

    def _mask_word(self, word: str) -> str:
        """A word with the mask where something secret stood."""
        if "".join(_core(_PIECE.split(_folded(word)))) in self._words:
            return MASK
        plain = _decoded(word)
        if plain == word:
            return self._pieces(word)
        if self._pieces(plain) == plain:
            return word
        parts = [self._segment(part) for part in _SEGMENT.split(word)]
        return "".join(parts) if MASK in parts else MASK

    def _segment(self, part: str) -> str:
        """A part of an address, masked as a whole where it is escaped: its pieces are unknown."""
        plain = _decoded(part)
        return part if self._pieces(plain) == plain else MASK

    def _pieces(self, word: str) -> str:
        """A word without the runs of its pieces that are secret, the longest first."""
        pieces = _PIECE.split(word)
        folded = [_folded(piece) for piece in pieces]
        at = 0
        while at < len(pieces):
            size = self._secret_at(folded, at)
            if size:
                pieces[at : at + size] = [MASK]
                folded[at : at + size] = [""]
            at += 2
        return "".join(pieces)

    def _secret_at(self, folded: list[str], at: int) -> int:
        """The number of pieces of the longest secret that begins here."""
        if folded[at] in self._first:
            for size in self._lengths:
                if at + size <= len(folded) and "".join(folded[at : at + size]) in self._words:
                    return size
        return 1 if folded[at] in self._words else 0


def _decoded(word: str) -> str:
    """A word without its escapes: those of JSON, and those of an address."""
    if "\\" in word:
        word = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", word)
    return unquote(word) if "%" in word else word


def hiding(hide: Hide, users: UsersFile | None, table: UserTable | None) -> Hide:
    """`hide`, and then what a file of users holds, where there is one."""
    if users is None or table is None:
        return hide
    cells = HiddenCells(users, table)
    return lambda text: cells(hide(text))
