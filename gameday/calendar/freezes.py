"""Freezes: days and hours without changes, as a schedule lists them or an .ics file has them.

An .ics file counts from the file of the day. Its events are read with their repetitions; an event
that says it is `TRANSPARENT` or `CANCELLED` freezes nothing. A file that cannot be read freezes
everything: whoever named it meant something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from gameday.calendar.occurrences import Occurrence
from gameday.core.errors import excerpt
from gameday.core.messages import Message
from gameday.spec.calendars import CalendarError, read_calendar
from gameday.spec.schedule import CALENDAR, FrozenDays, Schedule, frozen_days

MOST_EVENTS: Final = 10_000  # of one day, of all files
LONGEST_SUMMARY: Final = 100


@dataclass(frozen=True, slots=True)
class _CalendarFile:
    """An .ics file; `events` is what the library made of it, None with the problem why not."""

    name: str
    events: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Freezes:
    """All that a schedule freezes."""

    zone: ZoneInfo
    days: Sequence[FrozenDays] = ()
    calendars: Sequence[_CalendarFile] = ()

    @classmethod
    def load(cls, schedule: Schedule, folder: Path) -> "Freezes":
        """Load those of a schedule; files count from `folder`. Raises nothing."""
        days = [frozen_days(each) for each in schedule.freeze if not each.endswith(CALENDAR)]
        names = [each for each in schedule.freeze if each.endswith(CALENDAR)]
        return cls(schedule.zone, days, [_read(folder / name, name) for name in names])

    def why(self, occurrence: Occurrence) -> Message | None:
        """The reason why an occurrence may not begin, None if it may."""
        local = occurrence.start.astimezone(self.zone)
        for span in self.days:
            if span.first <= local.date() <= span.last:
                return Message("schedule.left_out.freeze", days=str(span))
        for calendar in self.calendars:
            if (why := _why(calendar, local)) is not None:
                return why
        return None


def _read(path: Path, name: str) -> _CalendarFile:
    """A calendar with its repetitions. Broken ones are kept with their problem."""
    import recurring_ical_events

    try:
        calendar = read_calendar(path)
        return _CalendarFile(name, recurring_ical_events.of(calendar))
    except CalendarError as error:
        return _CalendarFile(name, problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a broken file makes a library raise
        first = (str(error).splitlines() or [""])[0]
        return _CalendarFile(name, problem=excerpt(first) or type(error).__name__)


def _why(calendar: _CalendarFile, local: datetime) -> Message | None:
    """The event of a calendar that goes on at an instant."""
    if calendar.events is None:
        told = {"file": calendar.name, "problem": calendar.problem}
        return Message("schedule.left_out.calendar_unreadable", **told)
    try:
        found = list(calendar.events.at(local.date()))[:MOST_EVENTS]
    except Exception as error:  # noqa: BLE001 - as above: a rule that only fails when it is used
        told = {"file": calendar.name, "problem": excerpt(str(error))}
        return Message("schedule.left_out.calendar_unreadable", **told)
    for event in found:
        if _is_idle(event) or not _goes_on(event, local):
            continue
        summary = excerpt(" ".join(str(event.get("SUMMARY", "")).split()), LONGEST_SUMMARY)
        told = {"file": calendar.name, "event": summary or "-"}
        return Message("schedule.left_out.calendar", **told)
    return None


def _is_idle(event: Any) -> bool:
    status = str(event.get("STATUS", "")).upper()
    return status == "CANCELLED" or str(event.get("TRANSP", "")).upper() == "TRANSPARENT"


def _goes_on(event: Any, local: datetime) -> bool:
    """True if an event has begun and has not ended. A time without a zone is of the schedule's."""
    first, last = event.start, event.end
    if not isinstance(first, datetime):
        return _day(first) <= local.date() < max(_day(last), _day(first) + timedelta(days=1))
    zone = local.tzinfo
    begin, end = (each if each.tzinfo else each.replace(tzinfo=zone) for each in (first, last))
    return begin.astimezone(UTC) <= local.astimezone(UTC) < end.astimezone(UTC)


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value
