"""Answers that no outcome describes: a few of each status, told at once.

Whoever has to describe them needs their words. How many there were is in the history; here are
examples, no two that differ in nothing but their digits.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from gameday.traffic.worker.answer_mask import AnswerMask
from gameday.traffic.worker.messages import UnmatchedAnswer, event_line

MOST_STATUSES: Final = 8
MOST_OF_STATUS: Final = 3
MOST_LOOKED_AT: Final = 100  # of each status: to look costs time that the pace needs
_LOOKED_AT: Final = 300  # bytes by which two are told apart
_VARIES: Final = re.compile(rb"[0-9a-fA-F]*[0-9][0-9a-fA-F]*")


class UnmatchedAnswers:
    """Tells of the first answers that are unlike each other."""

    def __init__(self, mask: AnswerMask, say: Callable[[bytes], None]) -> None:
        self._mask = mask
        self._say = say
        self._seen: dict[int, set[bytes]] = {}
        self._looked: Counter[int] = Counter()

    def note(
        self, user: int, status: int, body: bytes | bytearray, hidden: Iterable[str] = ()
    ) -> None:
        """Tell of an answer, unless enough were told of."""
        if status not in self._seen and len(self._seen) >= MOST_STATUSES:
            return
        self._looked[status] += 1
        seen = self._seen.setdefault(status, set())
        if len(seen) >= MOST_OF_STATUS or self._looked[status] > MOST_LOOKED_AT:
            return
        form = _VARIES.sub(b"0", bytes(body[:_LOOKED_AT]))
        if form not in seen:
            seen.add(form)
            said = self._mask.excerpt(body, user, hidden)
            self._say(event_line(UnmatchedAnswer(status, said)))
