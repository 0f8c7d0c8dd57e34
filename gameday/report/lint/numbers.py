"""Numbers in a text, as they are shown: with commas, a unit, a sign, or inside of a name."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

# What ends a word: spaces, brackets, quotes, and Hangul, as particles stand right behind a number.
_END: Final = r"\s|()\[\]{}\"'`*;→–…<>=\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
_WORD: Final = re.compile(rf"[^{_END}]*\d[^{_END}]*")
_NUMBER: Final = re.compile(
    r"([-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?)(ms|s|m|h|%|/s)?", re.IGNORECASE
)
_SHOWN_DIGITS: Final = re.compile(r"\d(?:[\d,.:]*\d)?")
_UNITS: Final = re.compile(r"\s?(ms\b|%|s\b|초|밀리초)")
_SCALES: Final[dict[str, tuple[float, ...]]] = {
    "ms": (1, 1e3, 1e-6),
    "밀리초": (1, 1e3, 1e-6),
    "s": (1, 1e-3, 1e-9),
    "초": (1, 1e-3, 1e-9),
    "%": (1, 100),
}
TIME_UNITS: Final = frozenset({"s", "ms", "초", "밀리초"})
_MOST_LEAVES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class ShownNumber:
    """A word with a digit in it. `value` is None where it is a name, not a number."""

    word: str
    at: int
    value: float | None
    decimals: int = 0
    unit: str = ""

    def is_among(self, known: Iterable[float]) -> bool:
        """True if one of them, rounded and in this unit, reads as this number."""
        if self.value is None:
            return False
        half = 0.5 * 10**-self.decimals * 1.000001 + 1e-12
        value = abs(self.value)
        scales = _SCALES.get(self.unit, (1,))
        # What is not finite is never as near: a report has thousands of pairs to look at.
        return any(abs(abs(each * scale) - value) <= half for each in known for scale in scales)


def numbers_in(text: str) -> Iterator[ShownNumber]:
    """Every word of the text that has a digit."""
    for found in _WORD.finditer(text):
        word = found[0].rstrip(".,:;!?")
        number = _NUMBER.fullmatch(word)
        if number is None:
            yield ShownNumber(word, found.start(), None)
            continue
        digits = number[1].replace(",", "").replace("−", "-")
        unit = (number[2] or "").lower()
        if not unit and (after := _UNITS.match(text, found.start() + len(word))):
            unit = after[1].lower()
        unit = next((known for known in _SCALES if unit.startswith(known)), unit)
        decimals = len(digits.partition(".")[2].partition("e")[0])
        yield ShownNumber(word, found.start(), float(digits), decimals, unit)


def masked(text: str) -> str:
    """The text with a mark in place of each number."""
    return _SHOWN_DIGITS.sub("\0", text)


def leaves(value: Any) -> Iterator[float | str]:
    """Every number and every text of JSON, keys among them."""
    waiting = [value]
    for _ in range(_MOST_LEAVES):
        if not waiting:
            return
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
            yield float(len(one))
        elif isinstance(one, bool) or one is None:
            continue
        elif isinstance(one, int | float):
            yield from _finite(one)
        elif isinstance(one, str):
            yield one


def _finite(value: float) -> Iterator[float]:
    try:
        yield float(value)
    except OverflowError:
        return


def split(values: Iterable[float | str]) -> tuple[list[float], list[str]]:
    """Numbers, those inside of texts among them, and the texts."""
    found: list[float] = []
    texts: list[str] = []
    for each in values:
        if isinstance(each, str):
            texts.append(each)
            found += [n.value for n in numbers_in(each) if n.value is not None]
        else:
            found.append(each)
    return found, texts
