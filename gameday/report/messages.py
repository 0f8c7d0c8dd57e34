"""The sentences of a postmortem, by id: code says which one and with what values, never how.

They stand in `messages.<language>.toml`, one file for a language. A value goes in escaped
unless it is `Markup`; a value that the run does not know reads "unknown".
"""

import tomllib
from collections.abc import Mapping
from importlib import resources
from string import Formatter
from typing import Any

from gameday.report.markdown import Markup, text

Value = str | int | float | None


class Messages:
    """All sentences in one language; `say(id, name=value)` is one of them with its values."""

    def __init__(self, language: str = "en") -> None:
        file = resources.files("gameday.report") / "locale" / f"{language}.toml"
        self.by_id = _flat(tomllib.loads(file.read_text(encoding="utf-8")))

    def __call__(self, message: str, /, **values: Value) -> Markup:
        shown = {name: self.value(value) for name, value in values.items()}
        return Markup(self.by_id[message].format_map(shown))

    def plain(self, message: str, /, **values: str) -> str:
        """A sentence with its values as they are, for a page that is not Markdown."""
        return self.by_id[message].format_map(values)

    def word(self, value: object) -> Markup:
        """A status or verdict in this language; a value nobody translated, as it stands."""
        known = self.by_id.get(f"word.{value}".lower())
        return Markup(known) if known is not None else text(str(value))

    def value(self, value: Value) -> Markup:
        """A value as readers see it."""
        if value is None:
            return Markup(self.by_id["word.unknown"])
        if isinstance(value, Markup):
            return value
        if isinstance(value, str):
            return text(value)
        return Markup(f"{value:,}" if isinstance(value, int) else f"{value:,.3f}")

    def figure(self, value: object) -> Markup:
        """A measured number with the digits that matter; anything else as text."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Markup(f"{round(value, 3):,.10g}")
        return self.value(None) if value is None else text(str(value))

    def placeholders(self, message: str) -> frozenset[str]:
        """The names of the values that a sentence takes."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.by_id[message]) if name)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        flat |= (
            {prefix + name: value} if isinstance(value, str) else _flat(value, f"{prefix}{name}.")
        )
    return flat
