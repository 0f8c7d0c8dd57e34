"""Templates of requests: the placeholders of a system file, and how they are filled.

`{user} {iteration} {coupon} {stock} {key} {attempt} {run}` may stand in paths, queries, headers
and JSON. A JSON value that is exactly one placeholder takes its type (user, iteration and stock are
integers); inside text it is text, percent-encoded in paths and queries, escaped by JSON in bodies.
A bare brace is written twice.

A format may follow a colon: `{user:s}` is text also where it stands alone, `{user:05d}` has zeros
before it up to five digits, `{user:uuid}` is a UUID made from the seed of the run.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from gameday.core.errors import UsageError
from gameday.spec.request import Request

PLACEHOLDERS = ("user", "iteration", "coupon", "stock", "key", "attempt", "run")
NUMBERS = ("user", "iteration", "stock")
"""Placeholders that are whole numbers."""
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{")
WIDEST = 40
_PADDED = re.compile(r"0([1-9][0-9]?)d")
_ALONE = re.compile(r"\{([a-z]+)(?::d)?\}")

WHOLE_PATH = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")
"""A path that is one placeholder: what an answer told, or a column."""

Values = Mapping[str, int | str]
_NOT_SENT = {"outcomes", "capture", "poll", "until", "expect", "timeout", "per", "every", "within"}
"""Keys of a request that say how its answer is read."""


def format_problem(name: str, format_: str) -> str:
    """Fault of the format of a placeholder, "" for none."""
    if format_ == "s" or (format_ == "d" and name in NUMBERS):
        return ""
    if format_ == "uuid":
        return "" if name == "user" else f"{name!r} is no user, and only a user is made a UUID"
    padded = _PADDED.fullmatch(format_)
    if padded is None:
        return f"{format_!r} is no format"
    if name not in NUMBERS:
        return f"{name!r} is text, and only a number has zeros before it"
    wide = int(padded[1]) > WIDEST
    return f"{int(padded[1])} digits are more than {WIDEST}" if wide else ""


FORMATS = "formats are {user:s}, {user:05d} and {user:uuid}"


def padded(value: object, format_: str) -> str:
    """A value as its format writes it; `uuid` is written where the seed is known."""
    found = _PADDED.fullmatch(format_)
    return str(value) if found is None else str(value).zfill(int(found[1]))


def percent(value: object) -> str:
    """Text for a path or a query."""
    return quote(str(value), safe="")


def tokens_in(request: Request) -> list[str]:
    """What stands between the braces of a request, formats and all, each once and in order."""
    told = request.model_dump(mode="json", by_alias=True, exclude=_NOT_SENT)
    found = (match[1] for text in _texts(told) for match in PLACEHOLDER.finditer(text))
    return list(dict.fromkeys(token for token in found if token))


def alone_in(request: Request) -> set[str]:
    """The names of the placeholders that are a whole text of a request."""
    told = request.model_dump(mode="json", by_alias=True, exclude=_NOT_SENT)
    found = (PLACEHOLDER.fullmatch(text) for text in _texts(told))
    return {match[1].partition(":")[0] for match in found if match is not None and match[1]}


def placeholders_in(request: Request) -> list[str]:
    """The names of the placeholders of a request."""
    return list(dict.fromkeys(token.partition(":")[0] for token in tokens_in(request)))


def _texts(value: Any) -> Iterator[str]:
    """Every text of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def literal(text: str) -> str:
    """The template from which `fill_text` makes `text`; braces in a secret are no placeholders."""
    return text.replace("{", "{{").replace("}", "}}")


def fill_text(text: str, values: Values, escape: Callable[[object], str] = str) -> str:
    """`text` with its placeholders filled. Raises UsageError for one that is not known."""

    def one(match: re.Match[str]) -> str:
        token, name = match[0], match[1]
        if name is None and token != "{":
            return token[0]
        if name in values:
            return escape(values[name])
        name, colon, format_ = (name or "").partition(":")
        if not colon or name not in values or format_ == "uuid" or format_problem(name, format_):
            known = ", ".join("{" + known + "}" for known in PLACEHOLDERS if known in values)
            raise UsageError(
                f"{text!r}: {token!r} is no placeholder here",
                help=f"placeholders are {known}; a bare brace is written twice",
            )
        return escape(padded(values[name], format_))

    return PLACEHOLDER.sub(one, text)


def fill_json(value: Any, values: Values) -> Any:
    """A JSON value with all its placeholders filled, keys included."""
    if isinstance(value, str):
        alone = _ALONE.fullmatch(value)
        if alone is not None and alone[1] in values:
            return values[alone[1]]
        return fill_text(value, values)
    if isinstance(value, Mapping):
        return {fill_text(name, values): fill_json(inner, values) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill_json(inner, values) for inner in value]
    return value
