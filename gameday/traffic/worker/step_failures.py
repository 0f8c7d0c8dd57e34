"""Failures of steps, in the words of the system: a few of each, in the worker's log.

An answer may quote what was sent, so it is masked before it is cut and kept. What it quotes of
others is masked with the whole log, in the end; a mark says where it was cut.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from gameday.traffic.worker.answer_mask import AnswerMask
from gameday.traffic.worker.cookie_jar import values_in

if TYPE_CHECKING:
    from gameday.traffic.worker.errand import Errand

MOST: Final = 5  # of each step; the others are counted in the step log


class StepFailures:
    """Writes the first failures of each step to the standard error."""

    def __init__(self, mask: AnswerMask) -> None:
        self._mask = mask
        self._told: Counter[str] = Counter()

    def note(
        self,
        step: str,
        errand: "Errand",
        reading: Any,
        status: int,
        hidden: Iterable[object] = (),
    ) -> None:
        """Tell of a failure, unless enough were told of; never what is `hidden`."""
        self._told[step] += 1
        if self._told[step] > MOST:
            return
        why = getattr(reading, "why", "") or reading.reason.text
        answered = f" answered {status}" if status else ""
        said = bytes(getattr(reading, "said", b"")).decode(errors="replace")
        told_now = values_in(getattr(reading, "cookies", ""))
        own = [*map(str, hidden), *told_now]
        shown = ascii(self._mask.hide(said, errand.user, own)) if said else ""
        told = f": {shown}" if shown else ""
        sys.stderr.write(f"step {step} of user {errand.user}{answered}: {why}{told}\n")
        sys.stderr.flush()
