"""Secrets of a file of users, taken out of texts that people will read.

There may be a hundred thousand of them, so a text is not searched for each: it is parted into
words, and each word is looked up, and so is every run of its pieces: a name may stand in bold,
behind `id-`, in an address or before a full stop. Case and how it is escaped make no difference.
Of a text that was cut, a word before `…` is also looked up as the beginning of one.

Short words (`Kim`, `1234`) are words of every text, and half of each would be masked for them.
They are hidden where nothing else can be meant: behind the name of their column (`pin=1234`,
`"name": "Kim"`), and where the text is nothing but the word, unless it is a number.
"""

import re
from base64 import urlsafe_b64decode
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
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
_AT_ONCE: Final = 10_000
_CUT: Final = "…"
_ESCAPED: Final = re.compile(r"[%\\]")
_BETWEEN: Final = bytes(byte if chr(byte).isalnum() else 32 for byte in range(128)) + bytes(128)
"""What parts the pieces of ASCII becomes a space."""
_SYLLABLES: Final = "\u1100"  # here begin Hangul, kana and ideographs, a syllable or more a letter
_SHORTEST_SYLLABLES: Final = 3
_LONGEST_PARTICLE: Final = 4  # letters, as in 님에게는
_SHORTEST_BEGINNING: Final = 6
_LONGEST_ALONE: Final = 64
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,16384}={0,2}")
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


def _words(column: Sequence[Cell]) -> Iterator[str]:
    """The words of the values of a column, as a text would quote them; many at once, it is long."""
    for begin in range(0, len(column), _AT_ONCE):
        cells = column[begin : begin + _AT_ONCE]
        texts = (str(cell) for cell in cells if not isinstance(cell, bool))
        yield from set(_WORD.findall(_folded("\n".join(texts))))


def _is_short(text: str) -> bool:
    """True for what stands in any text by itself; a name in Korean is whole with three letters."""
    shortest = _SHORTEST_SYLLABLES if text[0] >= _SYLLABLES else SHORTEST
    return len(text) < shortest or bool(_SMALL_NUMBER.fullmatch(text))


class HiddenCells:
    """A function from a text to the same without what the secret columns hold."""

    def __init__(self, users: UsersFile, table: UserTable) -> None:
        self._words: set[str] = set()
        self._first: set[str] = set()  # pieces that a word of several begins with
        self._sorted: list[str] = []
        self._short: dict[str, set[str]] = {}
        lengths = set()
        for name, column in table.columns.items():
            if name in users.public:
                continue
            short = self._short.setdefault(name.casefold(), set())
            for word in _words(column):
                core = [word] if word.isalnum() else _core(_PIECE.split(word))
                text = "".join(core)
                if text in _PLAIN:
                    continue
                if _is_short(text):
                    short.add(text)
                    continue
                self._words.add(text)
                if len(core) > 1:
                    self._first.add(core[0])
                    lengths.add(len(core))
        self._lengths = sorted(lengths, reverse=True)
        self._alone = {
            text for short in self._short.values() for text in short if not _is_number(text)
        }
        self._behind_name = _behind([name for name, short in self._short.items() if short])

    def __call__(self, text: str) -> str:
        if len(text) < _LONGEST_ALONE and _folded(text.strip()) in self._alone:
            return MASK
        shown = _WRITTEN.sub(self._masked, text)
        return shown if self._behind_name is None else self._behind_name.sub(self._named, shown)

    def ids_with_one(self, ids: Sequence[str]) -> list[int]:
        """The places of those ids that hold something secret. Each is looked at by itself alone.

        A million that hold nothing take a second: their pieces are looked up all at once.
        """
        text = "\n".join(ids)
        if text.isascii() and not _ESCAPED.search(text):
            pieces = set(text.lower().encode().translate(_BETWEEN).decode().split())
            if self._words.isdisjoint(pieces) and self._first.isdisjoint(pieces):
                return []
        return [at for at, id_ in enumerate(ids) if self._is_in_id(id_)]

    def _is_in_id(self, id_: str) -> bool:
        plain = _decoded(id_)
        return self._pieces(id_) != id_ or self._pieces(plain) != plain

    def _named(self, found: re.Match[str]) -> str:
        """A short word behind the name of its column."""
        core = "".join(_core(_PIECE.split(_folded(found["word"]))))
        if core not in self._short[found["name"].casefold()]:
            return found[0]
        return found[0][: found.start("word") - found.start()] + MASK

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
            shown = self._pieces(word)
            if shown == word and (inside := _in_base64(word)) and self(inside) != inside:
                return MASK
            return shown
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
        if _CUT in word:
            self._mask_cut(pieces, folded)
        return "".join(pieces)

    def _mask_cut(self, pieces: list[str], folded: list[str]) -> None:
        """Mask what was cut off within something secret."""
        end = next((at for at in range(1, len(pieces), 2) if _CUT in pieces[at]), 0)
        kept = pieces[end].partition(_CUT)[0] if end else ""
        for at in range(0, end, 2):
            if self._begins_one("".join(folded[at:end]) + kept):
                pieces[at:end] = [MASK]
                return

    def _begins_one(self, text: str) -> bool:
        """True for the beginning of something secret, not too short."""
        if len(text) < _SHORTEST_BEGINNING:
            return False
        if not self._sorted:
            self._sorted = sorted(self._words)
        at = bisect_left(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text)

    def _secret_at(self, folded: list[str], at: int) -> int:
        """The number of pieces of the longest secret that begins here."""
        if folded[at] in self._first:
            for size in self._lengths:
                if at + size <= len(folded) and "".join(folded[at : at + size]) in self._words:
                    return size
        return 1 if folded[at] in self._words or self._is_with_particle(folded[at]) else 0

    def _is_with_particle(self, piece: str) -> bool:
        """True for a name in Korean with what is written to it: `김철수` in `김철수님은`."""
        if not piece or piece[0] < _SYLLABLES:
            return False
        sizes = range(max(len(piece) - _LONGEST_PARTICLE, _SHORTEST_SYLLABLES), len(piece))
        return any(piece[:size] in self._words for size in sizes)


def _decoded(word: str) -> str:
    """A word without its escapes: those of JSON, and those of an address."""
    if "\\" in word:
        word = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", word)
    return unquote(word) if "%" in word else word


def _in_base64(word: str) -> str:
    """The text that a word is the base64 of, "" for other words."""
    if not _BASE64.fullmatch(word):
        return ""
    raw = word.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        text = urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode()
    except ValueError:
        return ""
    return text if text.isprintable() else ""


def _is_number(text: str) -> bool:
    return bool(_SMALL_NUMBER.fullmatch(text))


def _behind(names: list[str]) -> re.Pattern[str] | None:
    """A pattern of a word behind one of these names, as JSON, forms and logs have it."""
    if not names:
        return None
    every = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    quote = r"(?:\\{0,8}[\"']|&quot;|&\#3[49];|%22)?"
    pattern = rf"(?<![A-Za-z0-9])(?P<name>{every}){quote}\s{{0,4}}[:=]\s{{0,4}}{quote}"
    return re.compile(rf"{pattern}(?P<word>[^{_ENDS}]+)", re.IGNORECASE)


def hiding(hide: Hide, users: UsersFile | None, table: UserTable | None) -> Hide:
    """`hide`, and then what a file of users holds, where there is one."""
    if users is None or table is None:
        return hide
    cells = cells_of(users, table)
    return lambda text: cells(hide(text))


def cells_of(users: UsersFile, table: UserTable) -> HiddenCells:
    """Those of a file, which take seconds to make where it is large; the last one is kept."""
    key = table.sha256, tuple(users.public), tuple(table.columns)
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = HiddenCells(users, table)
    return _LAST[key]


_LAST: dict[tuple[str, tuple[str, ...], tuple[str, ...]], HiddenCells] = {}
