"""Sentences that people read, by id: code says which one and with what values, never how it reads.

They stand in `report/locale/<language>.toml`, one file for a language. A template takes its values
by name, as `str.format` does. A value may be a message itself, or a list, joined with "; ".

A value may be followed by a Korean particle, written last in its braces in the form that it has
after a consonant: `{name:이}` is "Redis가", `{after_s:.1f이}` a number and its particle
(`particles.py`). `{status!w}` is a status or verdict as a word of the language, where a value
brings it as the code has it; `{age!d}` a duration, `1m30s`, as the language writes it;
`{phase!p}` the phase of a run by its name, `{statuses!n}` numbers of statuses, `1 done`.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from string import Formatter
from types import MappingProxyType
from typing import Any, Final, Union

from gameday.core.json_objects import Json
from gameday.core.particles import particle, split

Value = Union[str, int, float, None, "Message", Sequence[Union[str, "Message"]]]


@dataclass(frozen=True, slots=True, init=False)
class Message:
    """A sentence: its id, and the values that go into it."""

    id: str
    values: Mapping[str, Value]

    def __init__(self, id_: str, /, **values: Value) -> None:
        object.__setattr__(self, "id", id_)
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return self.text()

    def __hash__(self) -> int:
        return hash(self.id)

    def text(self, language: str = "en") -> str:
        """The sentence as people read it."""
        values = {name: _filled(value, language) for name, value in self.values.items()}
        return fill(templates(language)[self.id], values, language)

    def masked(self, hide: Callable[[str], str]) -> "Message":
        """The same sentence with its texts through `hide`; lists of them too."""
        return Message(self.id, **{name: _masked(each, hide) for name, each in self.values.items()})

    def as_json(self) -> object:
        """The id and the values, as they stand beside the English text in a file."""
        return {"id": self.id, "values": {name: _plain(each) for name, each in self.values.items()}}

    @classmethod
    def from_json(cls, raw: Json) -> "Message":
        """The same read again; for what `is_message`."""
        return cls(raw["id"], **{name: _read(each) for name, each in raw["values"].items()})


def is_message(raw: Any) -> bool:
    """True if JSON is a message, with nothing in its values that none can hold."""
    return (
        isinstance(raw, dict)
        and isinstance(raw.get("id"), str)
        and isinstance(raw.get("values"), dict)
        and all(map(_is_value, raw["values"].values()))
    )


def _is_value(raw: Any) -> bool:
    if isinstance(raw, list):
        return all(map(_is_value, raw))
    return raw is None or isinstance(raw, str | int | float) or is_message(raw)


def _read(raw: Any) -> Value:
    if isinstance(raw, dict):
        return Message.from_json(raw)
    return [_read(each) for each in raw] if isinstance(raw, list) else raw  # type: ignore[misc]


def _plain(value: Value) -> Any:
    if isinstance(value, Message):
        return value.as_json()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _masked(value: Value, hide: Callable[[str], str]) -> Value:
    if isinstance(value, Message):
        return value.masked(hide)
    if isinstance(value, list | tuple):
        return [hide(each) if isinstance(each, str) else each.masked(hide) for each in value]
    return hide(value) if isinstance(value, str) else value


def known(message: Message | None, english: str) -> "Message | str":
    """The message; its English text where there is none, or one of a later version."""
    if message is not None:
        with suppress(LookupError, ValueError, TypeError):
            message.text()
            return message
    return english


def fill(template: str, values: Mapping[str, Value], language: str = "en") -> str:
    """The template with its values. Raises LookupError, ValueError, TypeError as `str.format`."""
    return _filler(language).vformat(template, (), values)


class _Filler(Formatter):
    """Fills a value in, and behind it the form of its particle that fits."""

    def __init__(self, language: str) -> None:
        self._language = language

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion == "w":
            text = str(value).strip("`")
            whole = templates(self._language).get(f"word.{text.lower()}")
            return whole.strip("*") if whole is not None else _STATUS.sub(self._word, text)
        if conversion == "n":
            return _COUNTED.sub(self._counted, str(value))
        if conversion == "p":
            name = str(value).strip("`")
            return templates(self._language).get(f"phase.{name}", str(value))
        if conversion == "d":
            return duration_text(str(value), self._language)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        form, suffix = split(format_spec)
        shown = format(value, form)
        return shown + particle(shown, suffix) if suffix else shown

    def _counted(self, found: re.Match[str]) -> str:
        words = templates(self._language)
        return fill(words["count.status"], {"n": found[1], "status": self._word(found, 2)})

    def _word(self, found: re.Match[str], group: int = 0) -> str:
        known = templates(self._language).get(f"word.{found[group].lower()}", found[group])
        return known.strip("*")


def duration_text(text: str, language: str = "en") -> str:
    """Every duration in a text as the language writes it: `1m30s` is "1분 30초" in Korean."""
    words = templates(language)

    def spelled(found: re.Match[str]) -> str:
        parts = _SPAN_PART.findall(found[0])
        return words["span.join"].join(fill(words[f"span.{unit}"], {"n": n}) for n, unit in parts)

    return _SPAN.sub(spelled, text)


_SPAN_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)", re.ASCII)
_SPAN: Final = re.compile(rf"(?<![\w.])(?:{_SPAN_PART.pattern})+(?!\w)", re.ASCII)
_STATUS: Final = re.compile(r"[A-Za-z_]+")
_COUNTED: Final = re.compile(r"(\d+) ([a-z_]+)")
_filler = cache(_Filler)


@cache
def templates(language: str = "en") -> Mapping[str, str]:
    """Every sentence of a language with its gaps, by id."""
    file = resources.files("gameday") / "report" / "locale" / f"{language}.toml"
    return MappingProxyType(_flat(tomllib.loads(file.read_text(encoding="utf-8"))))


def _filled(value: Value, language: str) -> Value:
    if isinstance(value, Message):
        return value.text(language)
    if isinstance(value, list | tuple):
        return "; ".join(str(_filled(each, language)) for each in value)
    return value


def _flat(tree: object, name: str = "") -> dict[str, str]:
    if not isinstance(tree, dict):
        return {name: str(tree)}
    every = (_flat(value, f"{name}.{key}" if name else key) for key, value in tree.items())
    return dict(chain.from_iterable(each.items() for each in every))
