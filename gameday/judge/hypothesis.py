"""Right or not: what a team believes, held against what is true.

Hypotheses are chosen from a list, by their text or their number (`spec.hypotheses`). One that
was typed freely counts by its words: it is right if it says more of a right one than of any decoy,
a greater share of its head (up to a colon), and at least half of that. What fits two equally is
not right: it has not told them apart yet; nor is a list of all. Words alone cannot tell a denial: a
text that has one, where the right one has none, is not right.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from gameday.spec.hypotheses import chosen, same

_WORD: Final = re.compile(r"\w+", re.UNICODE)
ENOUGH: Final = 0.5
"""Share of what the head of a hypothesis tells that a free text has to say."""
_DENIAL: Final = re.compile(
    r"\b(?:not|no|never|nor|neither|without|cannot|nothing|none|isnt|cant)\b|n['’]t\b",
    re.IGNORECASE,
)
_STOP: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "are",
        "at",
        "be",
        "by",
        "in",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
    )
)


def words(text: str) -> Sequence[str]:
    """The words of a text as they are compared: without case, signs, and what says nothing."""
    found = [word.casefold() for word in _WORD.findall(text)]
    return [word for word in found if word not in _STOP] or found


def is_right(
    text: str,
    right: Collection[str],
    decoys: Collection[str] = (),
    offered: Sequence[str] = (),
) -> bool:
    """True if `text` says one of the `right` hypotheses and none of the `decoys`.

    A number counts in what was `offered`.
    """
    meant = chosen(text, offered) or text
    said = words(meant)
    if not said:
        return False
    if any(same(meant, each) for each in decoys):
        return False
    if any(same(meant, each) for each in right):
        return True
    if _DENIAL.search(meant) and not any(_DENIAL.search(each) for each in right):
        return False
    known = [set(words(each)) for each in (*right, *decoys)]
    often = Counter(word for each in known for word in each)
    heads = [set(words(each.partition(":")[0])) for each in (*right, *decoys)]
    amounts = [_weight(each & set(said), often) for each in known]
    shares = [_weight(each & set(said), often) / (_weight(each, often) or 1.0) for each in heads]
    count = len(right)
    amount, share = (max(each[count:], default=0.0) for each in (amounts, shares))
    fits = zip(amounts[:count], shares[:count], strict=True)
    return any(more > amount and of > share and of >= ENOUGH for more, of in fits)


def _weight(said: Collection[str], often: Counter[str]) -> float:
    """The weight of words; one that many hypotheses have tells less."""
    return sum(1 / often[word] for word in sorted(said))
