"""The beginning of an answer as it may be kept: masked first, cut then, on one line.

An answer may quote what was sent, so it is masked by the row of its own user, by what was captured
for him, by his cookies and by the secrets of the request's headers; and a value of its JSON that is
called a token or a password is masked by its name.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from gameday.core.errors import excerpt as shortened
from gameday.core.secrets.redaction import MASK, SHORTEST, TELLING, Hidden
from gameday.traffic.worker.captures import whole
from gameday.traffic.worker.classify import parsed_body
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.filled_request import Columns, requests_of

SHOWN: Final = 200  # characters of an answer
_DEEPEST: Final = 8  # what is deeper in an answer says nothing of why


class AnswerMask:
    """Makes excerpts of answers that hold no secret of the run or of its users."""

    def __init__(self, config: Config, columns: Columns) -> None:
        public = config.users_file.public if config.users_file is not None else []
        self._columns = {name: each for name, each in columns.items() if name not in public}
        self._secrets = [
            value.replace("{{", "{").replace("}}", "}")
            for request in requests_of(config)
            for name, value in request.headers.items()
            if isinstance(value, str) and TELLING.search(name)
        ]

    def hide(self, text: str, user: int, hidden: Iterable[str] = ()) -> str:
        """A text without secrets, cut after that; a mark says where."""
        own = [*(str(column[user]) for column in self._columns.values()), *hidden]
        return shortened(_without_words(Hidden([*self._secrets, *own])(text), own), SHOWN)

    def excerpt(self, body: bytes | bytearray, user: int, hidden: Iterable[str] = ()) -> str:
        """The beginning of an answer, on one line; what cannot be printed is escaped."""
        text = self.hide(_without_named_secrets(body), user, hidden)
        line = " ".join(text.split())
        return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line)


def _without_words(text: str, own: Iterable[str]) -> str:
    """A text without those of the user's own values that are short: as whole words, there are few.

    A single letter or digit stays.
    """
    short = {re.escape(each) for each in own if 1 < len(each) < SHORTEST and each.isalnum()}
    if not short:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(sorted(short))})(?!\w)", MASK, text, flags=re.IGNORECASE)


def _without_named_secrets(body: bytes | bytearray) -> str:
    """The text of an answer; in JSON what is called a secret is masked."""
    kept = whole(body)
    text = kept.decode(errors="replace")
    if not TELLING.search(text):
        return text
    parsed = parsed_body(kept)
    if not isinstance(parsed, dict | list):
        return text
    try:
        return json.dumps(_hushed(parsed, 0), ensure_ascii=False)
    except ValueError:  # a number of more digits than Python writes
        return f"({len(kept)} bytes)"


def _hushed(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {
            key: MASK if TELLING.search(key) and each else _hushed(each, depth + 1)
            for key, each in value.items()
        }
    return [_hushed(each, depth + 1) for each in value] if isinstance(value, list) else value
