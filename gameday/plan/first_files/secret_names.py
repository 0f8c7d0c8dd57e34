"""Secrets of an example request, known by the name or the form of a value.

A system file can point to a secret in a header (`{env: NAME}`) and nowhere else, so one in a
query, a form or a body is refused: it would stand in the file as text.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gameday.core.errors import UsageError
from gameday.core.network.credentials import has_credentials
from gameday.core.secrets.redaction import TELLING
from gameday.plan.first_files.examples import has_placeholders
from gameday.plan.first_files.sketch import safe

_AUTHOR: Final = re.compile(r"author(?!i[sz])", re.IGNORECASE)  # who wrote a book is no secret
_MORE: Final = re.compile(
    r"(?:access|private|secret|signing|app|client|license|licence|session|sess)[^a-z0-9]?(?:key|id)"
    r"|session|signature|hmac|passphrase|passcode|bearer|\bjwt\b"
    r"|(?:^|[^a-z])(?:sig|sid|pwd|pass|otp|pin|cvv|cvc)(?:$|[^a-z])",
    re.IGNORECASE,
)
_KEY: Final = re.compile(r"(?:^|[^a-z])key$", re.IGNORECASE)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FORM: Final = re.compile(r"\beyJ[\w-]{8,}|^(?:bearer|basic)\s+\S", re.ASCII | re.IGNORECASE)
_CURE: Final = (
    "a file can point to a secret in a header alone (--header 'X-Api-Key: …' becomes {env: "
    "X_API_KEY}); elsewhere write a placeholder, as {user}, or leave it out"
)
_DEEPEST: Final = 40


def is_telling(name: str, *, key: bool = False) -> bool:
    """True for the name of a secret; `key`: where a bare `key` is one, as in headers."""
    words = _HUMP.sub("-", _AUTHOR.sub("", name[:200]))
    telling = TELLING.search(words) or _MORE.search(words)
    return telling is not None or (key and _KEY.search(words) is not None)


def is_secret(name: str, value: object, *, key: bool = False) -> bool:
    """True for what must not stand in a file; a placeholder is no secret."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return False
    text = str(value)
    if has_placeholders(text):
        return False
    return is_telling(name, key=key) or _has_its_form(text)


def _has_its_form(text: str) -> bool:
    return _FORM.search(text) is not None or has_credentials(text)


def refuse_secrets(option: str, value: Any, *, key: bool = False) -> None:
    """Raises UsageError, which names no value, for a secret in a query, a form or a body."""
    name = next(_secrets(value, "", 0, key=key), None)
    if name is not None:
        problem = f"{option}: {safe(name)!r} is a secret, and would stand in the file"
        raise UsageError(problem, help=_CURE)


def _secrets(value: Any, name: str, depth: int, *, key: bool) -> Iterator[str]:
    """The names of secrets; what stands below the name of one is one too."""
    if isinstance(value, Mapping | list | tuple) and depth < _DEEPEST:
        pairs = value.items() if isinstance(value, Mapping) else [("", each) for each in value]
        for own, each in pairs:
            inner = name if is_telling(name, key=key) or not own else str(own)
            yield from _secrets(each, inner, depth + 1, key=key)
            if _has_its_form(str(own)):
                yield "a name"
    elif is_secret(name, value, key=key):
        yield name or "a value"


def hushed(value: Any, name: str = "", depth: int = 0) -> Any:
    """An example of a document, any text in place of what is secret in it."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {own: hushed(each, str(own), depth + 1) for own, each in value.items()}
    if isinstance(value, list | tuple):
        return [hushed(each, name, depth + 1) for each in value]
    return "text" if isinstance(value, str) and is_secret(name, value, key=False) else value


def variable_of(header: str) -> str:
    """The name of the variable that stands for a secret header."""
    return re.sub(r"[^A-Z0-9]+", "_", header.upper()).strip("_") or "HEADER"
