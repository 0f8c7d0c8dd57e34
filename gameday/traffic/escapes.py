"""Values that somebody else chose, made part of a request: of a file of users, or of an answer.

Each place of a request takes a value in its own way, and in none can it become more than a value:
a line end would begin another header, a `..` another path. What a place cannot take is an
`UnfitError`, whose words never hold the value: it may be a secret.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base, encoded, path_problem
from gameday.spec.template import percent
from gameday.spec.users import Cell

Escape = Callable[[Any], bytes]
Captured = Mapping[str, Cell]
"""Values that answers told, by the names of their captures."""
LONGEST: Final = 8192  # bytes of one value; servers take no longer header line
_LARGEST_BITS: Final = 256  # of a number; no id and no amount has more
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DOTS: Final = re.compile(r"\.*")


class UnfitError(ValueError):
    """A value that cannot stand where a request wants it; the reason, without the value."""


def text_of(value: object) -> str:
    """A text, a number, true or false as text. Raises UnfitError for any other value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        raise UnfitError("it is too large a number")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise UnfitError("it is no number")
    if not isinstance(value, str | int | float):
        raise UnfitError("it is neither a text nor a number")
    return str(value)


def _raw(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise UnfitError("it holds half a surrogate pair") from None
    if len(raw) > LONGEST:
        raise UnfitError(f"it has more than {LONGEST} bytes")
    return raw


def in_text(value: object) -> bytes:
    """As it is, in a body of text."""
    return _raw(text_of(value))


def in_header(value: object) -> bytes:
    """As it is, in a header line."""
    text = text_of(value)
    if _CONTROL.search(text):
        raise UnfitError("it holds a line end or a control character")
    return _raw(text)


def in_query(value: object) -> bytes:
    """Percent-encoded, in a query or a form."""
    return percent(_raw(text_of(value)).decode()).encode()


def in_path(value: object) -> bytes:
    """Percent-encoded as one segment of a path; one that leads up or nowhere is unfit."""
    text = text_of(value)
    if _DOTS.fullmatch(text):
        raise UnfitError("it is no part of a path: it is empty, or leads up")
    return percent(_raw(text).decode()).encode()


def in_json(value: object) -> bytes:
    """Inside a JSON text."""
    return json.dumps(_raw(text_of(value)).decode(), ensure_ascii=False)[1:-1].encode()


def alone_in_json(value: object) -> bytes:
    """A JSON value by itself, which keeps its type."""
    text = text_of(value)
    return json.dumps(_raw(text).decode() if isinstance(value, str) else value).encode()


def path_of(value: object, base: Base, *, queried: bool = False) -> bytes:
    """A whole path that an answer told, or an address of the same server, behind the first /.

    A prefix of the base that it has already is not put there twice. Raises UnfitError for another
    server's address, for what is no path, and for one with a query where the request is `queried`.
    """
    text = _raw(text_of(value)).decode()
    origin = f"{base.scheme}://{base.authority}"
    if text.startswith(f"{origin}/"):
        text = text[len(origin) :]
    if path_problem(text):
        raise UnfitError("it is no path of this server")
    if any(_is_up(part) for part in text.partition("?")[0].split("/")):
        raise UnfitError("it is a path that leads up")
    if queried and "?" in text:
        raise UnfitError("it is a path with a query, and the request has one")
    if base.prefix and text.startswith(f"{base.prefix}/"):
        text = text[len(base.prefix) :]
    return encoded(text).removeprefix("/").encode()


def _is_up(segment: str) -> bool:
    return segment.lower().replace("%2e", ".") in (".", "..")


def escaped_column(name: str, column: Sequence[Cell], escape: Escape) -> list[bytes]:
    """All values of a column. Raises UsageError with the number of the user, not with the value."""
    found = []
    for user, cell in enumerate(column):
        try:
            found.append(escape(cell))
        except UnfitError as error:
            problem = f"users file: {name!r} of user {user} cannot stand there: {error}"
            raise UsageError(problem, help="mend that row, or use another column") from None
    return found
