"""Durations and rates, as people write them: `300ms`, `15s`, `2m`, `1h`; `100/s`, `300/m`.

Text becomes a `timedelta` or a `Rate` once, at the edge. Inside, bare numbers carry their unit
in their name.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeGuard

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from gameday.core.errors import excerpt

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_DURATIONS = re.compile(f"(?:{_DURATION.pattern})+", re.ASCII)
_RATE = re.compile(r"(\d+(?:\.\d{1,9})?)/(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = timedelta(days=7)  # longer than any run: rather a wrong unit than meant
_LONGEST_TEXT = 100  # nobody writes a duration longer than that
FASTEST_PER_S = 1_000_000_000
"""Starts have due times of whole nanoseconds."""


def parse_duration(text: object) -> timedelta:
    """`1m30s` → 90 s. Raises ValueError, which says what to write instead."""
    if isinstance(text, timedelta):
        return text
    if text == 0 and not isinstance(text, bool):
        return timedelta(0)
    if not _is_written(text) or not _DURATIONS.fullmatch(text.strip()):
        raise ValueError(_refused(text, "duration", "ms, s, m or h"))
    total = sum(float(n) * _SECONDS[unit] for n, unit in _DURATION.findall(text))
    if total > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than {_LONGEST.days} days")
    return timedelta(seconds=total)


def _is_written(text: object) -> TypeGuard[str]:
    """True if it is text, of a length that a person writes."""
    return isinstance(text, str) and len(text) <= _LONGEST_TEXT


def _refused(given: object, what: str, units: str) -> str:
    """Why a value is neither a duration nor a rate, and what to write instead."""
    shown = excerpt(repr(given))
    if str(given).strip().startswith("-"):
        return f"{shown} is negative: a {what} is 0 or more"
    return f"{shown} is not a {what}: write a number and {units}"


def format_duration(value: timedelta) -> str:
    """The shortest exact text: 90 s → `1m30s`, 0.3 s → `300ms`, 1.5 ms → `1.5ms`."""
    left_us = value // timedelta(microseconds=1)
    parts = []
    for unit, size_us in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)):
        count, left_us = divmod(left_us, size_us)
        if count:
            parts.append(f"{count}{unit}")
    if left_us:
        parts.append(f"{_plain(left_us / 1000)}ms")
    return "".join(parts) or "0s"


def _plain(number: float) -> str:
    """A number as durations and rates take it: without an exponent, and with every digit."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h))+$"}),
]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in a unit of time."""

    count: float
    unit: timedelta

    @property
    def per_s(self) -> float:
        return self.count / self.unit.total_seconds()

    def __str__(self) -> str:
        names = {0.001: "ms", 1.0: "s", 60.0: "m", 3600.0: "h"}
        return f"{_plain(self.count)}/{names[self.unit.total_seconds()]}"

    @classmethod
    def parse(cls, text: object) -> "Rate":
        """`100/s`, `300/m`. Raises ValueError, which says what to write instead."""
        if isinstance(text, Rate):
            return text
        match = _RATE.fullmatch(text.strip()) if _is_written(text) else None
        if match is None:
            raise ValueError(_refused(text, "rate", "/s, /m or /h"))
        found = cls(float(match[1]), timedelta(seconds=_SECONDS[match[2]]))
        if found.per_s > FASTEST_PER_S:
            raise ValueError(f"{text!r} is more than {FASTEST_PER_S}/s")
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> object:
        return {"type": "string", "pattern": r"^\d+(\.\d+)?/(ms|s|m|h)$"}


def ms(value: timedelta) -> int:
    """Whole milliseconds."""
    return round(value.total_seconds() * 1000)


def nanoseconds(value: timedelta) -> int:
    """Whole nanoseconds."""
    return value // timedelta(microseconds=1) * 1000


def seconds(value: timedelta) -> float:
    """Seconds, as a number."""
    return value.total_seconds()
