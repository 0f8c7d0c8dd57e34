"""Hypotheses as they are declared: one of those that were offered, by its text or its number."""

import re
from collections.abc import Sequence
from typing import Final

_NUMBER: Final = re.compile(r"#?(\d{1,3})\.?")
_AROUND: Final = " \t\n.!\"'“”"


def chosen(text: str, offered: Sequence[str]) -> str | None:
    """Hypothesis that is meant, None for something else; numbers count from 1."""
    number = _NUMBER.fullmatch(text.strip())
    if number is not None:
        index = int(number[1]) - 1
        return offered[index] if 0 <= index < len(offered) else None
    return next((each for each in offered if same(each, text)), None)


def same(one: str, other: str) -> bool:
    """True if two texts differ in case, spaces and what stands around them alone."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_AROUND)
