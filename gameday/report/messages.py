"""The sentences of a postmortem, by id: code says which one and with what values, never how.

A value goes in escaped unless it is `Markup`; a value that the run does not know reads "unknown".
"""

from collections.abc import Sequence
from contextlib import suppress
from string import Formatter

from gameday.core.messages import Message, fill, templates
from gameday.report.markdown import Markup, text
from gameday.spec.translations import translated

Value = str | int | float | None


class Messages:
    """All sentences in one language; `say(id, name=value)` is one of them with its values."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.by_id = templates(language)

    def __call__(self, message: str, /, **values: Value) -> Markup:
        shown = {name: self.value(value) for name, value in values.items()}
        return Markup(fill(self.by_id[message], shown, self.language))

    def plain(self, message: str, /, **values: str) -> str:
        """A sentence with its values as they are, for a page that is not Markdown."""
        return fill(self.by_id[message], values, self.language)

    def line(self, message: Message | None, english: str) -> str:
        """A message of the result; its English text where there is none, or one of later."""
        if message is not None:
            with suppress(LookupError, ValueError, TypeError):
                return message.text(self.language)
        return english

    def lines(self, messages: Sequence[Message], english: Sequence[str]) -> Sequence[str]:
        """Messages of the result, or their English texts as they are where there are none."""
        if len(messages) != len(english):
            return english
        return [self.line(*pair) for pair in zip(messages, english, strict=True)]

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
            return self.text(value)
        return Markup(f"{value:,}" if isinstance(value, int) else f"{value:,.3f}")

    def text(self, value: str) -> Markup:
        """A text of a person or a program, escaped; what shipped files say, in this language."""
        return text(translated(value, self.language))

    def figure(self, value: object) -> Markup:
        """A measured number with the digits that matter; anything else as text."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Markup(f"{round(value, 3) + 0.0:,.10g}")  # no "-0"
        return self.value(None) if value is None else text(str(value))

    def placeholders(self, message: str) -> frozenset[str]:
        """The names of the values that a sentence takes."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.by_id[message]) if name)
