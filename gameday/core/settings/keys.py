"""The settings that exist: each one's name, default, bounds, and the reader of its value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from gameday.core.errors import UsageError
from gameday.core.json_objects import Json
from gameday.core.language import ENGLISH, languages
from gameday.core.stack_registry import EMBEDDED, STACKS

PREFIX: Final = "GAMEDAY_"
OWN_ONLY: Final = ("allow_targets", "webhooks")
WHY_OWN: Final = "a project, or what it sets up, must not widen what gameday may reach"
OWN_CURE: Final = "write it into your own config.toml, or use the option"
OF_NO_PROJECT: Final = {
    **dict.fromkeys(OWN_ONLY, (WHY_OWN, OWN_CURE)),
    "redis_server": (
        "`doctor` and `plan` would run a program of a project that was only looked at",
        "write it into your own config.toml, or set GAMEDAY_REDIS_SERVER",
    ),
}

Origin = Literal["default", "project", "user", "environment", "option"]
Read = Callable[[Any], Any]
"""A value as it was written → as it is used, in JSON's types. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One setting: its dotted name, what it is for, its default, and how it is read."""

    name: str
    about: str
    default: Any
    read: Read
    schema: Json

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()


@dataclass(frozen=True, slots=True)
class Value:
    """A setting as it is, and where that was written: a file, a variable, an option."""

    value: Any
    origin: Origin
    where: str = ""


def read_path(value: Any) -> str:
    """A path; what it counts from is decided by the file it stands in."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is not a path")
    return value


class SettingForm(NamedTuple):
    """How a setting is read, and its JSON Schema: both say the same."""

    read: Read
    schema: Json


def _choice(*words: str) -> SettingForm:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return str(value)

    return SettingForm(read, {"enum": list(words)})


def _duration(value: Any) -> str:
    from gameday.core.units import parse_duration  # pydantic comes with it, which takes its time

    try:
        parse_duration(value)
    except ValueError as error:  # it names the value, and so does who reports it
        raise ValueError(str(error).removeprefix(f"{value!r} ")) from None
    return str(value)


def _between(low: float, high: float, *, whole: bool = False) -> SettingForm:
    """A number within these bounds."""

    def read(value: Any) -> float:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            what = "a whole number" if whole else "a number"
            raise ValueError(f"is not {what} from {_plain(low)} to {_plain(high)}")
        return float(value) if not whole else int(value)

    kind = "integer" if whole else "number"
    return SettingForm(read, {"type": kind, "minimum": low, "maximum": high})


def _plain(bound: float) -> str:
    """A bound as a person writes it: 1000000000, not 1e+09."""
    return str(int(bound)) if bound == int(bound) else str(bound)


def _hosts(value: Any) -> list[str]:
    from gameday.core.network.allow_list import host_of  # for the few that name one

    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError('is not a list of hosts: write ["staging.example"]')
    try:
        return [host_of(each) for each in value]
    except UsageError as error:
        raise ValueError(f"holds what is no host: {error.message}") from None


_TEXT: Final = {"type": "string"}
KEYS: Final = {
    key.name: key
    for key in (
        SettingKey("runs", "The folder the evidence of runs goes to.", "runs", read_path, _TEXT),
        SettingKey("system", "The system file where none is named.", None, read_path, _TEXT),
        SettingKey(
            "redis_server",
            "The redis-server or valkey-server to start. Not in a project's file.",
            None,
            read_path,
            _TEXT,
        ),
        SettingKey(
            "stack",
            "Where the system runs where nothing else is said.",
            EMBEDDED,
            *_choice(*STACKS),
        ),
        SettingKey(
            "lang",
            "The language of what people read; where nothing says it, that of the locale.",
            ENGLISH,
            *_choice(*languages()),
        ),
        SettingKey(
            "responder_delay",
            "How long the bot waits for a person after an alert.",
            "1s",
            _duration,
            _TEXT,
        ),
        SettingKey(
            "allow_targets",
            "Hosts that are not this machine and may be broken. Only in the user's own file.",
            [],
            _hosts,
            {"type": "array", "items": _TEXT},
        ),
        SettingKey(
            "bounds.answer_bytes",
            "The most bytes of an answer to what gameday asks, but for the audit.",
            8_000_000,
            *_between(1000, 1_000_000_000, whole=True),
        ),
        SettingKey(
            "bounds.audit_bytes",
            "The most bytes of the audit's answer, which is read as it comes.",
            1_000_000_000,
            *_between(1000, 1_000_000_000_000, whole=True),
        ),
        SettingKey(
            "generator.limited_below",
            "The traffic generator is limited where less than this share of a window was sent.",
            0.95,
            *_between(0.5, 1),
        ),
        SettingKey(
            "generator.kept_from",
            "It kept its schedule where at least this share of each window was sent.",
            0.99,
            *_between(0.5, 1),
        ),
        SettingKey(
            "generator.lag_ms",
            "How late it may send where no latency bound is to be judged.",
            50,
            *_between(1, 10_000),
        ),
        SettingKey(
            "generator.lag_share",
            "How late it may send otherwise: this share of the tightest latency bound.",
            0.25,
            *_between(0.01, 1),
        ),
        SettingKey(
            "damage.failures_above",
            "Customers count as hurt where more than this share of the answers of 5 s fails;"
            " only for experiments that say nothing about failures.",
            0.05,
            *_between(0.001, 0.99),
        ),
    )
}
TABLES: Final = {name.partition(".")[0] for name in KEYS if "." in name}
