"""Sentences that people read, by id: code says which one and with what values, never how it reads.

They stand in `report/locale/<language>.toml`, one file for a language. A template takes its values
by name, as `str.format` does. A value may be a message itself, or a list, joined with "; ".
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Union

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
        return templates(language)[self.id].format_map(values)


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


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        flat |= (
            {prefix + name: value} if isinstance(value, str) else _flat(value, f"{prefix}{name}.")
        )
    return flat
