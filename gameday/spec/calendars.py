"""Calendar files (.ics) that a schedule names: read whole, or not at all.

The library passes over what it cannot read of an event. Here that is an error: an event whose time
or repetition nobody knows could be on any day.
"""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.errors import UsageError, excerpt

_OF_TIME: Final = frozenset(
    {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"}
)


class CalendarError(UsageError):
    """The problem why a calendar cannot be read, in a few words."""


def read_calendar(path: Path) -> Any:
    """The calendar, as the library has it. Raises CalendarError."""
    from icalendar import Calendar

    try:
        calendar = Calendar.from_ical(files.read_bytes(path, files.SETTING_BYTES))
    except OSError as error:
        raise CalendarError(str(error.strerror)) from error
    except Exception as error:  # whatever a broken file makes a library raise
        first = (str(error).splitlines() or [""])[0]
        raise CalendarError(excerpt(first) or type(error).__name__) from error
    for event in calendar.walk("VEVENT"):
        if problem := next(_problems(event), ""):
            raise CalendarError(f"{_name(event)}: {problem}")
    return calendar


def _name(event: Any) -> str:
    summary = " ".join(str(event.get("SUMMARY", "")).split())
    return excerpt(summary or "an event without a name")


def _problems(event: Any) -> Iterator[str]:
    for name, _ in event.errors:
        if str(name).upper() in _OF_TIME:
            yield f"its {str(name).upper()} makes no sense"
    first, last = _value(event, "DTSTART"), _value(event, "DTEND")
    if first is None:
        yield "it has no DTSTART"
    elif last is not None and _is_before(last, first):
        yield "it ends before it begins"
    rules = event.get("RRULE", ())
    for rule in rules if isinstance(rules, list) else [rules]:
        if rule and not set(map(str, rule.get("FREQ", ()))) <= _FREQUENCIES:
            yield "its RRULE makes no sense"


_FREQUENCIES: Final = {"SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"}


def _value(event: Any, name: str) -> Any:
    return getattr(event.get(name), "dt", None)


def _is_before(last: Any, first: Any) -> bool:
    if isinstance(last, datetime) and isinstance(first, datetime):
        both = last.tzinfo is not None and first.tzinfo is not None
        return last < first if both else last.replace(tzinfo=None) < first.replace(tzinfo=None)
    return isinstance(last, date) and isinstance(first, date) and _day(last) < _day(first)


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value
