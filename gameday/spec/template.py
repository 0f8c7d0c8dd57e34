"""Templates of requests: the placeholders of a system file, and how they are filled.

`{user} {coupon} {stock} {key} {attempt} {run}` may stand in paths, queries, headers and JSON. A
JSON value that is exactly one placeholder takes its type (user and stock are integers); inside
text it is text, percent-encoded in paths and queries, escaped by JSON in bodies. A bare brace is
written twice.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from gameday.core.errors import UsageError

PLACEHOLDERS = ("user", "coupon", "stock", "key", "attempt", "run")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{")

Values = Mapping[str, int | str]


def percent(value: object) -> str:
    """Text for a path or a query."""
    return quote(str(value), safe="")


def literal(text: str) -> str:
    """The template from which `fill_text` makes `text`; braces in a secret are no placeholders."""
    return text.replace("{", "{{").replace("}", "}}")


def fill_text(text: str, values: Values, escape: Callable[[object], str] = str) -> str:
    """`text` with its placeholders filled. Raises UsageError for one that is not known."""

    def one(match: re.Match[str]) -> str:
        token, name = match[0], match[1]
        if name is None and token != "{":
            return token[0]
        if name is None or name not in values:
            known = ", ".join("{" + known + "}" for known in PLACEHOLDERS if known in values)
            raise UsageError(
                f"{text!r}: {token!r} is no placeholder here",
                help=f"placeholders are {known}; a bare brace is written twice",
            )
        return escape(values[name])

    return _TOKEN.sub(one, text)


def fill_json(value: Any, values: Values) -> Any:
    """A JSON value with all its placeholders filled, keys included."""
    if isinstance(value, str):
        alone = re.fullmatch(r"\{([a-z]+)\}", value)
        if alone is not None and alone[1] in values:
            return values[alone[1]]
        return fill_text(value, values)
    if isinstance(value, Mapping):
        return {fill_text(name, values): fill_json(inner, values) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill_json(inner, values) for inner in value]
    return value
