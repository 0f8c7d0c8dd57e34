"""Failures of steps, in the words of the system: a few of each, in the worker's log.

An answer may quote what was sent, so it is masked by the row of its own user, by what was captured
for him, by his cookies and by the secrets of the request's headers, before it is cut and kept. What
it quotes of others is masked with the whole log, in the end; a mark says where it was cut.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from gameday.core.errors import excerpt
from gameday.core.secrets.redaction import MASK, SHORTEST, TELLING, Hidden
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.cookie_jar import values_in
from gameday.traffic.worker.filled_request import Columns, requests_of

if TYPE_CHECKING:
    from gameday.traffic.worker.errand import Errand

MOST: Final = 5  # of each step; the others are counted in the step log
SHOWN: Final = 200  # characters of an answer


class StepFailures:
    """Writes the first failures of each step to the standard error."""

    def __init__(self, config: Config, columns: Columns) -> None:
        public = config.users_file.public if config.users_file is not None else []
        self._columns = {name: each for name, each in columns.items() if name not in public}
        self._secrets = [
            value.replace("{{", "{").replace("}}", "}")
            for request in requests_of(config)
            for name, value in request.headers.items()
            if isinstance(value, str) and TELLING.search(name)
        ]
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
        own = [*self._row(errand.user), *map(str, hidden), *told_now]
        hide = Hidden([*self._secrets, *own])
        shown = ascii(excerpt(_without_words(hide(said), own), SHOWN)) if said else ""
        told = f": {shown}" if shown else ""
        sys.stderr.write(f"step {step} of user {errand.user}{answered}: {why}{told}\n")
        sys.stderr.flush()

    def _row(self, user: int) -> list[str]:
        return [str(column[user]) for column in self._columns.values()]


def _without_words(text: str, own: Iterable[str]) -> str:
    """A text without those of the user's own values that are short: as whole words, there are few.

    A single letter or digit stays.
    """
    short = {re.escape(each) for each in own if 1 < len(each) < SHORTEST and each.isalnum()}
    if not short:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(sorted(short))})(?!\w)", MASK, text, flags=re.IGNORECASE)
