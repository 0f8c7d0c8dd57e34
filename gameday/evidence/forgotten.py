"""Forgotten people: names that a run no longer shows, wherever its journal is read.

A journal is chained and signed, so a name cannot be taken out of it without breaking what it
proves. It is hidden instead: `forgotten.json` in the run directory has a salted digest of each
name and the word that is read in its place, and `journal.read` replaces it in who did something
and in every text. The file itself does not tell the name; whoever guesses it can try the guess.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.json_objects import plain, read_object

FILE: Final = "forgotten.json"
MOST_WORDS: Final = 8
_WORD: Final = re.compile(r"\w+", re.UNICODE)
_OF_PEOPLE: Final = frozenset({"by", "to", "text", "texts", "why", "values", "role", "briefing"})
"""The fields of events in which a name may stand; `values` are those of a message."""

Hide = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ForgottenName:
    """A name: its digest, the number of its words, and what is shown for it."""

    digest: str
    words: int
    shown: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The names that a run hides."""

    salt: str
    names: Sequence[ForgottenName] = ()

    def with_name(self, name: str) -> "Forgotten":
        """The same and one name more. Raises ValueError for one without a word, or too many."""
        words = len(_WORD.findall(name))
        if not 0 < words <= MOST_WORDS:
            raise ValueError(f"{name!r} has {words} words, from 1 to {MOST_WORDS} are a name")
        digest = self._digest(_WORD.findall(name))
        if any(each.digest == digest for each in self.names):
            return self
        shown = f"somebody-{len(self.names) + 1}"
        return Forgotten(self.salt, [*self.names, ForgottenName(digest, words, shown)])

    def hide(self, text: str) -> str:
        """The text with every forgotten name replaced."""
        for each in self.names:
            text = self._without(text, each)
        return text

    def _without(self, text: str, name: ForgottenName) -> str:
        spans, at, shown = list(_WORD.finditer(text)), 0, ""
        skip_to = 0
        for first in range(len(spans) - name.words + 1):
            run = spans[first : first + name.words]
            if run[0].start() < skip_to or self._digest([w[0] for w in run]) != name.digest:
                continue
            shown += text[at : run[0].start()] + name.shown
            at = skip_to = run[-1].end()
        return shown + text[at:]

    def _digest(self, words: Sequence[str]) -> str:
        said = " ".join(words).casefold().encode("utf-8", "replace")
        return hmac.new(self.salt.encode(), said, sha256).hexdigest()


def read_forgotten(run_dir: Path) -> Forgotten | None:
    """The names that a run hides; None where it hides none. Raises OSError, ValueError."""
    try:
        raw = files.read_bytes(run_dir / FILE, files.MIB)
    except FileNotFoundError:
        return None
    return read_object(Forgotten, json.loads(raw))


def forget(run_dir: Path, name: str) -> Forgotten:
    """Hide a name in a run from now on. Raises OSError, ValueError."""
    known = read_forgotten(run_dir) or Forgotten(secrets.token_hex(16))
    forgotten = known.with_name(name)
    files.replace(run_dir / FILE, [json.dumps(plain(forgotten), indent=1).encode() + b"\n"])
    return forgotten


def replacing(shown: Mapping[str, str]) -> Hide:
    """The replacement of each name in a text, as a whole word, by what is shown for it."""
    if not shown:
        return lambda text: text
    longest_first = sorted(shown, key=lambda name: (-len(name), name))
    names = re.compile(
        rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE
    )
    by_case = {name.casefold(): role for name, role in shown.items()}
    return lambda text: names.sub(lambda found: by_case[found[0].casefold()], text)


def hidden(value: Any, hide: Hide, key: str = "") -> Any:
    """The JSON of an event with `hide` done to all that people wrote or are."""
    if isinstance(value, str):
        return hide(value) if key in _OF_PEOPLE else value
    if isinstance(value, dict):
        inner = "values" if key == "values" else ""
        return {name: hidden(each, hide, inner or name) for name, each in value.items()}
    return [hidden(each, hide, key) for each in value] if isinstance(value, list) else value
