"""Occurrences: the instants at which a schedule wants a day, as pure functions.

The cron expression is read by `cronsim`, which does as the cron of Debian does; this module says in
words what became of a time on a day of daylight saving. A time of day that does not exist that day
(the clock is put forward over it) becomes the first that does; two that become the same are one. A
time that comes twice (the clock is put back) is taken the first time, but for expressions whose
minute or hour is a `*`: those go by time that passes, and both count.

All instants are compared in UTC: Python compares times of one zone by what their clocks show.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cronsim import CronSim

from gameday.core.messages import Message
from gameday.spec.schedule import Schedule

_MINUTE: Final = timedelta(minutes=1)
_LONGEST_GAP: Final = 26 * 60  # minutes; islands that crossed the date line have left out a day


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time of a schedule. `at` is by the expression, `start` within the window; both in UTC.

    `note` says what daylight saving did to it.
    """

    at: datetime
    start: datetime
    note: Message | None = None

    @property
    def at_s(self) -> int:
        """Whole seconds since 1970: the key that an occurrence is known by."""
        return int(self.at.timestamp())


def occurrences(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    """The occurrences whose `at` comes after an instant, in their order; it may never end.

    It ends where no day of the next 50 years fits.
    """
    found = _elapsed(schedule, after) if _is_elapsed(schedule.cron) else _wall(schedule, after)
    for at, note in found:
        yield Occurrence(at, at + drawn(schedule, at), note)


def drawn(schedule: Schedule, at: datetime) -> timedelta:
    """The minutes into its window at which an occurrence starts: by the seed and its instant."""
    minutes = schedule.window // _MINUTE
    if minutes == 0:
        return timedelta(0)
    told = f"{schedule.seed} window {int(at.timestamp())}".encode()
    number = int.from_bytes(hashlib.sha256(told).digest()[:8], "big")
    return number % minutes * _MINUTE


def _is_elapsed(cron: str) -> bool:
    """True where the cron of Debian goes by time that passes, and not by the time of day."""
    minute, hour, *_ = cron.split()
    return minute.startswith("*") or hour.startswith("*")


def _elapsed(schedule: Schedule, after: datetime) -> Iterator[tuple[datetime, Message | None]]:
    start = after.astimezone(schedule.zone)
    for at in CronSim(schedule.cron, start):
        yield at.astimezone(UTC), None


def _wall(schedule: Schedule, after: datetime) -> Iterator[tuple[datetime, Message | None]]:
    """Each time of day that fits, put into the zone. Neighbours may fall on one instant."""
    zone = schedule.zone
    begin = after.astimezone(zone).replace(tzinfo=None, fold=0)
    last = after.astimezone(UTC)
    # From a day before: what the clock left out since then may come out after `after`.
    for wall in CronSim(schedule.cron, begin - timedelta(minutes=_LONGEST_GAP)):
        at, note = _placed(wall, schedule)
        if at > last:
            yield at, note
            last = at


def _placed(wall: datetime, schedule: Schedule) -> tuple[datetime, Message | None]:
    """The instant of a time of day, and what became of it."""
    zone = schedule.zone
    shown = f"{wall:%H:%M}"
    moved = wall
    for _ in range(_LONGEST_GAP):
        at = moved.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None, fold=0) == moved:
            break
        moved += _MINUTE
    else:
        raise ValueError(f"{schedule.timezone}: more than a day is left out at {wall}")
    if moved != wall:
        to = f"{moved:%H:%M}" if moved.date() == wall.date() else f"{moved:%Y-%m-%d %H:%M}"
        return at, Message("schedule.note.gap", time=shown, instead=to)
    again = moved.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if again != at:
        return at, Message("schedule.note.twice", time=shown)
    return at, None
