"""Sentences of the screens, in the language that was chosen (`settings.language()`).

Only what people read on a screen goes through here. Errors stay English: they are searched for,
quoted in tickets, and read by programs.
"""

from typing import Any

from gameday.core import settings
from gameday.core.messages import Message, fill, known, templates


def say(id_: str, /, **values: Any) -> str:
    """A sentence of a screen."""
    language = settings.language()
    return fill(templates(language)[f"screen.{id_}"], values, language)


def word(value: object) -> str:
    """A status or verdict as a word of the language; as the code has it where there is none."""
    language = settings.language()
    if language == "en":
        return str(value)
    return fill("{value!w}", {"value": value}, language)


def line(message: Message | None, english: str | None) -> str:
    """A sentence that was recorded; its English text where there is no other."""
    told = known(message, english or "")
    return told.text(settings.language()) if isinstance(told, Message) else told
