"""Sentences of the screens, in the language that was chosen (`settings.language()`).

Only what people read on a screen goes through here. Errors stay English: they are searched for,
quoted in tickets, and read by programs.
"""

from typing import Any, Final

from gameday.cli.terminal import can_write
from gameday.core import settings
from gameday.core.language import ENGLISH
from gameday.core.messages import Message, fill, known, templates

_MB: Final = 1_000_000
_GB: Final = 1_000_000_000
_SAMPLES: Final = {"ko": "한국어"}


def spoken() -> str:
    """The language of the screen: English where the terminal cannot write the chosen one."""
    language = settings.language()
    return language if can_write(_SAMPLES.get(language, "")) else ENGLISH


def say(id_: str, /, **values: Any) -> str:
    """A sentence of a screen."""
    language = spoken()
    return fill(templates(language)[f"screen.{id_}"], values, language)


def word(value: object) -> str:
    """A status or verdict as a word of the language; as the code has it where there is none."""
    language = spoken()
    if language == ENGLISH:
        return str(value)
    return fill("{value!w}", {"value": str(value)}, language)


def line(message: Message | None, english: str | None) -> str:
    """A sentence that was recorded; its English text where there is no other."""
    told = known(message, english or "")
    return told.text(spoken()) if isinstance(told, Message) else told


def megabytes(number: int) -> str:
    """A size on the disk: as MB, and as GB where there are many."""
    if number >= 10 * _GB:
        return f"{number / _GB:,.0f} GB"
    return f"{max(0.1, number / _MB):,.1f} MB"
