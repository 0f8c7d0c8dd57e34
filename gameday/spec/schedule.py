"""The `schedule:` of a game day: when it begins by itself, and when it does not.

    schedule:
      cron: "0 10 * * TUE"
      timezone: Asia/Seoul
      window: 2h                         # begin at a random minute of it, by seed
      freeze: [2026-12-24, 2026-12-31..2027-01-02, holidays.ics]
      skip_when: {alerts: any, expr: 'sum(up) < 3', command: [./is-release-day]}
      at_most: 1 per 7d
      misfire: run_within 30m            # or skip
      notify_before: 15m
      requires_ack: true

Everything but `cron` may be left out. Times are those of the wall clock in `timezone`.
"""

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from gameday.core.errors import excerpt, one_of_them
from gameday.core.units import Duration, format_duration, parse_duration
from gameday.spec.model import Model, shape

LONGEST_TEXT: Final = 200
MOST_FREEZES: Final = 500
LONGEST_ANSWER: Final = timedelta(minutes=5)  # the scheduler waits for it
LONGEST_WINDOW: Final = timedelta(hours=24)
SKIP_GRACE: Final = timedelta(minutes=1)  # `misfire: skip`: whoever looks once a minute is in time
CALENDAR: Final = ".ics"
_AT_MOST: Final = re.compile(r"(\d{1,4}) per (\d{1,4})(h|d|w)", re.ASCII)
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAY: Final = r"\d{4}-\d\d-\d\d"
_DAYS: Final = re.compile(rf"({_DAY})(?:\s*\.\.\s*({_DAY}))?", re.ASCII)
_MISFIRE: Final = re.compile(r"skip|run_within (\S+)", re.ASCII)


def _cron(text: str) -> str:
    """An expression of five fields. Raises ValueError for any other, and for one that never is."""
    shown = excerpt(repr(text))
    fields = text.split()
    if len(text) > LONGEST_TEXT or len(fields) != 5:
        what = "minute, hour, day of month, month and day of week"
        raise ValueError(f"{shown} is not a cron expression: write five fields, {what}")
    try:
        next(CronSim(text, datetime(2024, 1, 1)))  # noqa: DTZ001 - a wall clock without a zone
    except CronSimError as error:
        raise ValueError(f"{shown} is not a cron expression: {str(error).lower()}") from None
    except (StopIteration, OverflowError):
        raise ValueError(f"{shown} never comes: no month has that day") from None
    return " ".join(fields)


def _zone(name: str) -> str:
    """The name of a time zone. Raises ValueError, with the nearest that there is."""
    known = zoneinfo.available_timezones()
    if name not in known:
        near = one_of_them(excerpt(name), known)
        cure = f": {near}" if near.startswith("did you mean") else ": write it as Asia/Seoul"
        raise ValueError(f"{excerpt(repr(name))} is no time zone{cure}")
    return name


@dataclass(frozen=True, slots=True)
class AtMost:
    """So many days may begin within any span of that length."""

    count: int
    within: timedelta

    def __str__(self) -> str:
        days, left = divmod(self.within, timedelta(days=1))
        span = format_duration(self.within) if left or not days else f"{days}d"
        return f"{self.count} per {span}"


def _at_most(value: object) -> AtMost:
    if isinstance(value, AtMost):
        return value
    found = _AT_MOST.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or not int(found[1]) or not int(found[2]):
        raise ValueError(f"{excerpt(repr(value))}: write it as '1 per 7d' (h, d or w)")
    return AtMost(int(found[1]), int(found[2]) * _UNITS[found[3]])


@dataclass(frozen=True, slots=True)
class FrozenDays:
    """The days from `first` to `last`, both of them included."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


def frozen_days(text: str) -> FrozenDays:
    """`2026-12-24` or `2026-12-31..2027-01-02`. Raises ValueError."""
    shown = excerpt(repr(text))
    found = _DAYS.fullmatch(text.strip()) if len(text) <= LONGEST_TEXT else None
    if found is None:
        raise ValueError(f"{shown}: write a day, two days as FIRST..LAST, or an .ics file")
    try:
        first = date.fromisoformat(found[1])
        last = date.fromisoformat(found[2] or found[1])
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from None
    if last < first:
        raise ValueError(f"{shown}: ends before it begins")
    return FrozenDays(first, last)


def _freeze(text: str) -> str:
    if not text.endswith(CALENDAR):
        frozen_days(text)
    return text


def _misfire(value: object) -> timedelta | None:
    """The longest delay of a day; None: none."""
    if value is None or isinstance(value, timedelta):
        return value
    found = _MISFIRE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{excerpt(repr(value))}: write 'skip', or 'run_within 30m'")
    return None if found[1] is None else parse_duration(found[1])


def _written_misfire(value: timedelta | None) -> str:
    return "skip" if value is None else f"run_within {format_duration(value)}"


def _answered(value: timedelta) -> timedelta:
    """A time to wait for an answer. Raises ValueError."""
    if not timedelta(0) < value <= LONGEST_ANSWER:
        raise ValueError(f"must be longer than 0s, and {format_duration(LONGEST_ANSWER)} at most")
    return value


def _as_text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
Freeze = Annotated[str, AfterValidator(_freeze)]
AlertName = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
AtMostText = Annotated[
    AtMost,
    BeforeValidator(_at_most),
    PlainSerializer(str, return_type=str),
    _as_text(r"^\d{1,4} per \d{1,4}(h|d|w)$"),
]
Misfire = Annotated[
    Any,
    BeforeValidator(_misfire),
    PlainSerializer(_written_misfire, return_type=str),
    _as_text(r"^(skip|run_within (\d+(\.\d+)?(ms|s|m|h))+)$"),
]


def _alerts_form(value: object) -> str:
    return "any" if isinstance(value, str) else shape(value)


class SkipWhen(Model):
    """Conditions that keep a day from beginning: one that holds, or that nobody can tell."""

    alerts: (
        Annotated[
            Annotated[Literal["any"], Tag("any")]
            | Annotated[
                Sequence[AlertName],
                Field(min_length=1, max_length=100, examples=["any"]),
                Tag("list"),
            ],
            Discriminator(_alerts_form),
        ]
        | None
    ) = Field(default=None, description="`any` alert that fires, or one of a list of names")
    expr: str | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="PromQL; true: no day begins",
        examples=["sum(up) < 3"],
    )
    command: (
        Annotated[
            Sequence[str], Field(min_length=1, max_length=100, examples=[["./is-release-day"]])
        ]
        | None
    ) = Field(
        default=None, description="A program and its arguments; exit 0: no day begins, 1: it may"
    )
    timeout: Annotated[Duration, AfterValidator(_answered)] = Field(
        default=timedelta(seconds=30), description="No answer within it: no day begins"
    )


class Schedule(Model):
    """When a game day begins by itself."""

    cron: Cron = Field(
        description="Minute, hour, day of month, month, day of week", examples=["0 10 * * TUE"]
    )
    timezone: Zone = Field(default="UTC", description="The zone of these times, as Asia/Seoul")
    window: Duration = Field(
        default=timedelta(0), description="Begin at a random minute of this span, by seed"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="For the minute of the window")
    freeze: Sequence[Freeze] = Field(
        default=(), max_length=MOST_FREEZES, description="Days, FIRST..LAST, and .ics files"
    )
    skip_when: SkipWhen = Field(default=SkipWhen(), description="When no day begins")
    at_most: AtMostText | None = Field(default=None, description="As `1 per 7d`")
    misfire: Misfire = Field(
        default=timedelta(minutes=10),
        description="A day that is late: `skip` it, or `run_within 30m` of its time",
    )
    notify_before: Duration = Field(default=timedelta(0), description="When people are told")
    requires_ack: bool = Field(default=False, description="Nothing begins that nobody has agreed")

    @model_validator(mode="after")
    def _fits(self) -> "Schedule":
        if self.window > LONGEST_WINDOW:
            raise ValueError(f"a `window` is {format_duration(LONGEST_WINDOW)} at the most")
        if self.requires_ack and not self.notify_before:
            raise ValueError("`requires_ack` needs `notify_before`: else nobody is asked")
        return self

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)

    @property
    def late(self) -> timedelta:
        """The longest time after its own at which a day may still begin."""
        return SKIP_GRACE if self.misfire is None else max(self.misfire, SKIP_GRACE)
