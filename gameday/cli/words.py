"""Sentences of the screens, in the language that was chosen (`settings.language()`).

Only what people read on a screen goes through here. Errors stay English: they are searched for,
quoted in tickets, and read by programs.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from gameday.cli.terminal import can_write, echo
from gameday.core import settings
from gameday.core.errors import ExitCode
from gameday.core.language import ENGLISH
from gameday.core.messages import Message, duration_text, fill, known, templates
from gameday.core.units import format_duration

_MB: Final = 1_000_000
_GB: Final = 1_000_000_000
_SAMPLES: Final = {"ko": "한국어"}


def spoken() -> str:
    """The language of the screen: English, with a hint, where the terminal cannot write another."""
    language = settings.language()
    if can_write(_SAMPLES.get(language, "")):
        return language
    _hint(language)
    return ENGLISH


@cache
def _hint(language: str) -> None:
    """Tell once why the screen is in English."""
    echo(
        f"note: this terminal cannot write the letters of `{language}`, so this is in English;"
        " export LC_ALL=C.UTF-8 cures it",
        err=True,
    )


def say(id_: str, /, **values: Any) -> str:
    """A sentence of a screen."""
    language = spoken()
    return fill(templates(language)[f"screen.{id_}"], values, language)


def sentence(id_: str, /, **values: Any) -> str:
    """A sentence of any section, by its whole id; a value may be a message itself."""
    return Message(id_, **values).text(spoken())


def in_words(message: Message | str) -> str:
    """A message in the language of the screen; a text as it stands."""
    return message.text(spoken()) if isinstance(message, Message) else message


def duration(value: timedelta) -> str:
    """A duration as people write it: `1m30s`, and "1분 30초" in Korean."""
    return duration_text(format_duration(value), spoken())


def weekday(at: datetime) -> str:
    """The day of the week, short."""
    return sentence(f"date.weekday_{at.weekday()}")


def exit_meaning(code: int) -> str:
    """The meaning of an exit code; "" for one that gameday does not end with."""
    return sentence(f"exit.{code}") if code in list(ExitCode) else ""


def word(value: object) -> str:
    """A status or verdict as a word of the language; as the code has it where there is none."""
    language = spoken()
    if language == ENGLISH:
        return str(value)
    return fill("{value!w}", {"value": str(value)}, language)


def phase_word(phase: str) -> str:
    """The phase of a run by its name; as the code has it where there is none."""
    language = spoken()
    return fill("{phase!p}", {"phase": phase}, language)


def line(message: Message | None, english: str | None) -> str:
    """A sentence that was recorded; its English text where there is no other."""
    told = known(message, english or "")
    return told.text(spoken()) if isinstance(told, Message) else told


def megabytes(number: int) -> str:
    """A size on the disk: as MB, and as GB where there are many."""
    if number >= 10 * _GB:
        return f"{number / _GB:,.0f} GB"
    return f"{max(0.1, number / _MB):,.1f} MB"
