"""The scheduler: one look at the clock, at the files and at what is remembered, and what follows.

`look` does what there is to do at an instant; a daemon calls it every few seconds, `due` once. It
keeps nothing that matters in memory, so it may be killed between any two of its steps:

1. settle: days whose processes are gone are *interrupted*; claims that nobody took up are planned
   again;
2. plan: the occurrences since the last look, and the next one of each file, are written down;
3. decide, for each that is due: left out, with its reason, or claimed and begun, or not yet.

A clock that jumps forward, a machine that slept and a scheduler that was down are one thing: an
occurrence that is too late is left out, and the reason says which of them it was. A clock that is
set back makes what was left out as missed count again; what has begun never does.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from secrets import token_hex
from typing import Final, Protocol

from gameday.calendar.entries import BrokenDay, Entries, ScheduledDay
from gameday.calendar.launch import is_alive, this_process
from gameday.calendar.occurrences import Occurrence, occurrences
from gameday.calendar.skip_when import why_skip
from gameday.calendar.state import Look, OccurrenceRow, ScheduleState
from gameday.core.errors import UnknownError
from gameday.core.files import shown_path
from gameday.core.files.private import make_folder
from gameday.core.messages import Message
from gameday.core.network.allow_list import Allowed
from gameday.core.units import format_duration
from gameday.run import hold

MOST_MISSED: Final = 500  # of one file, remembered one by one; more are told as one
MOST_LOOKED: Final = 100_000  # occurrences of one file in one look; the rest come in the next
JUMP_S: Final = 30.0  # two clocks that part by more have not merely been slewed
BUSY_S: Final = 60.0


class LaunchedDay(Protocol):
    """A day that this scheduler began."""

    def poll(self) -> int | None: ...


Launcher = Callable[[ScheduledDay, OccurrenceRow, str], LaunchedDay]
Tell = Callable[[Message], None]
Notify = Callable[[ScheduledDay, Occurrence], None]


@dataclass(frozen=True, slots=True)
class ProcessLauncher:
    """Starts each day as a process of its own session, with a log of its own."""

    state: ScheduleState
    command: Sequence[str] = (sys.executable, "-m", "gameday", "day")

    def __call__(self, entry: ScheduledDay, row: OccurrenceRow, token: str) -> LaunchedDay:
        folder = self.state.path.parent / "logs"
        if not folder.is_dir():
            make_folder(folder)
        at = datetime.fromtimestamp(row.at_s, UTC)
        log = folder / f"{at:%Y%m%dT%H%M%SZ}-{entry.name}.log"
        runner = [sys.executable, "-m", "gameday.calendar.launch", str(self.state.path), token]
        argv = [*runner, str(log), "--", *self.command, shown_path(entry.path)]
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "GAMEDAY_OCCURRENCE": f"{row.at_s}"},
        )


@dataclass
class Scheduler:
    """`tell` says what it does, `notify` tells people that a day comes."""

    state: ScheduleState
    launch: Launcher
    tell: Tell
    notify: Notify
    allowed: Allowed = field(default_factory=Allowed)
    look_back: timedelta = timedelta(0)
    _begun: dict[str, LaunchedDay] = field(default_factory=dict)

    def look(self, entries: Entries, now: Look) -> None:
        """Do what is to be done at an instant. Raises UnknownError where nothing can be written."""
        last = self.state.last_look()
        because = cause(last, now)
        if last is not None and now.wall_s < last.wall_s - JUMP_S:
            self.state.set_back(int(now.wall_s))
            span = _span(last.wall_s - now.wall_s)
            self.tell(Message("schedule.clock_back", span=span))
        self.settle(int(now.wall_s))
        for entry in entries.good:
            self._plan(entry, int(now.wall_s), because)
        for broken in entries.broken:
            self._leave_out_broken(broken, int(now.wall_s))
        for entry in entries.good:
            for row in self.state.rows("planned", entry.key):
                self._decide(entry, row, int(now.wall_s), because)
        self.state.looked(now)

    def settle(self, now_s: int) -> None:
        """Look after what was begun: by this scheduler, or by one that is gone."""
        for row in self.state.rows("claimed"):
            launched = self._begun.get(row.token or "")
            if launched is not None and launched.poll() is None:
                continue
            if launched is not None or not is_alive(row.pid, row.pid_start):
                self.state.take_back(row)
        for row in self.state.rows("running"):
            alive = is_alive(row.pid, row.pid_start) or is_alive(row.child, row.child_start)
            if not alive:
                self.state.interrupt(row, Message("schedule.ended.killed"), now_s)
        for token, launched in [*self._begun.items()]:
            if launched.poll() is not None:
                self._over(token)
                del self._begun[token]

    @property
    def is_busy(self) -> bool:
        """True while a day that this scheduler began goes on."""
        return bool(self._begun)

    def _over(self, token: str) -> None:
        for row in self.state.rows(newest=1000):
            if row.token == token and row.exit_code is not None:
                self.tell(Message("schedule.done", name=row.name, code=row.exit_code))

    def _plan(self, entry: ScheduledDay, now_s: int, because: Message) -> None:
        """Write down what has come since the last look, and what comes next."""
        late_s = int(entry.schedule.late.total_seconds())
        until_s = self.state.until(entry.key)
        if until_s is None:
            self._first_plan(entry, now_s)
            until_s = now_s
        found: list[Occurrence] = []
        for one in islice(occurrences(entry.schedule, _at(until_s)), MOST_LOOKED):
            found.append(one)
            if one.at_s > now_s:
                break
        looked_s = now_s if len(found) < MOST_LOOKED else min(now_s, found[-1].at_s)
        missed = [
            each.at_s
            for each in found
            if each.at_s <= now_s and int(each.start.timestamp()) + late_s < now_s
        ]
        if len(missed) > MOST_MISSED:
            self._summarize(entry, missed, because)
            found = [each for each in found if each.at_s > missed[-1]]
        rows = [(entry.name, each.at_s, int(each.start.timestamp())) for each in found]
        self.state.remember(entry.key, looked_s, rows)

    def _first_plan(self, entry: ScheduledDay, now_s: int) -> None:
        """Write down what is not over of a file that nobody knew until now.

        What is in its window is still to come. What was due a moment ago counts within `look_back`
        alone: nothing begins at once because somebody has just written a file.
        """
        since_s = now_s - int(self.look_back.total_seconds())
        late_s = int(entry.schedule.late.total_seconds())
        window_s = int(entry.schedule.window.total_seconds())
        begin_s = min(since_s, now_s - late_s) - window_s
        planned, before = [], []
        for one in islice(occurrences(entry.schedule, _at(begin_s)), MOST_LOOKED):
            start_s = int(one.start.timestamp())
            if one.at_s > now_s:
                break
            if start_s > now_s or one.at_s > since_s:
                planned.append((entry.name, one.at_s, start_s))
            elif start_s + late_s >= now_s:
                before = [(entry.name, one.at_s, start_s)]  # of many the last is enough
        self.state.remember(entry.key, now_s, [*planned, *before])
        for row in self.state.rows("planned", entry.key):
            if (entry.name, row.at_s, row.start_s) in before:
                told = {"ago": _span(now_s - row.start_s), "name": entry.name}
                self._leave_out(row, Message("schedule.left_out.before_known", **told), entry)

    def _summarize(self, entry: ScheduledDay, missed: Sequence[int], because: Message) -> None:
        limit = format_duration(entry.schedule.late)
        ends = {"first": zone_time(entry, missed[0]), "last": zone_time(entry, missed[-1])}

        def why(count: int) -> Message:
            told = "schedule.left_out.missed_many"
            return Message(told, count=count, limit=limit, because=because, **ends)

        self.state.summarize(entry.key, entry.name, missed, why)

    def _leave_out_broken(self, broken: BrokenDay, now_s: int) -> None:
        """Leave out, when its time comes, what was planned of a file that cannot be used."""
        why = Message("schedule.left_out.file_gone", problem=broken.problem)
        for row in self.state.rows("planned", broken.key):
            if row.start_s <= now_s:
                self._leave_out(row, why, None)

    def _decide(
        self, entry: ScheduledDay, row: OccurrenceRow, now_s: int, because: Message
    ) -> None:
        """Leave an occurrence out, begin it, or let it wait."""
        one = next(occurrences(entry.schedule, _at(row.at_s - 1)), None)
        if one is None or one.at_s != row.at_s:
            self._leave_out(row, Message("schedule.left_out.edited"), entry, reopens=True)
            return
        start_s = int(one.start.timestamp())
        if start_s != row.start_s:
            self.state.move(row, start_s)
        self._remind(entry, row, one, now_s)
        if start_s > now_s:
            return
        why = why_not(entry, one, self.state)
        if why is None and now_s - start_s > entry.schedule.late.total_seconds():
            told = {"late": _span(now_s - start_s), "limit": _span(entry.schedule.late)}
            missed = Message("schedule.left_out.missed", **told, because=because)
            was_busy = isinstance(row.why, Message)
            self._leave_out(row, row.why if was_busy else missed, entry, reopens=not was_busy)  # type: ignore[arg-type]
            return
        if why is None and entry.schedule.requires_ack and not row.acked_by:
            why = Message("schedule.left_out.no_ack", name=entry.name)
        if why is None:
            folder = entry.path.parent
            why = why_skip(entry.schedule.skip_when, entry.system, folder, self.allowed)
        if why is not None:
            self._leave_out(row, why, entry)
            return
        self._begin(entry, row)

    def _remind(self, entry: ScheduledDay, row: OccurrenceRow, one: Occurrence, now_s: int) -> None:
        """Tell people once, `notify_before` the start, unless it is left out anyway."""
        before_s = int(entry.schedule.notify_before.total_seconds())
        start_s = int(one.start.timestamp())
        if not before_s or row.told_s is not None or not start_s - before_s <= now_s <= start_s:
            return
        if why_not(entry, one, self.state) is None and self.state.mark_notified(row, now_s):
            self.notify(entry, one)

    def _begin(self, entry: ScheduledDay, row: OccurrenceRow) -> None:
        by = entry.in_use_by()
        token = token_hex(16)
        if not by:
            holder = self.state.claim(row, entry.target, token, this_process())
            if holder is None:
                self._start(entry, row, token)
                return
            if holder == row:
                return  # another scheduler was first
            by = holder.name
        self.state.wait(row, Message("schedule.left_out.busy", by=by))

    def _start(self, entry: ScheduledDay, row: OccurrenceRow, token: str) -> None:
        self.tell(Message("schedule.begins", name=entry.name, at=zone_time(entry, row.at_s)))
        try:
            self._begun[token] = self.launch(entry, row, token)
        except OSError as error:  # no memory, no room for its log: it is tried again
            claimed = next((r for r in self.state.rows("claimed") if r.token == token), None)
            if claimed is not None:
                self.state.take_back(claimed)
            raise UnknownError(f"{entry.name} cannot be started: {error}") from error

    def _leave_out(
        self, row: OccurrenceRow, why: Message, entry: ScheduledDay | None, *, reopens: bool = False
    ) -> None:
        if self.state.skip(row, why, reopens=reopens):
            at = zone_time(entry, row.at_s) if entry else f"{_at(row.at_s):%Y-%m-%d %H:%M} UTC"
            self.tell(Message("schedule.left_out_now", name=row.name, at=at, why=why))


def why_not(
    entry: ScheduledDay, one: Occurrence, state: ScheduleState, *, with_hold: bool = True
) -> Message | None:
    """A reason against an occurrence that is known before its time.

    A freeze, commands that nobody has agreed to, a hold, `at_most`.
    """
    if (frozen := entry.freezes.why(one)) is not None:
        return frozen
    if entry.unagreed is not None:
        return entry.unagreed
    if with_hold and (held := hold.current()) is not None:
        return Message("schedule.left_out.hold", hold=str(held))
    limit = entry.schedule.at_most
    if limit is None:
        return None
    since_s = int((one.start - limit.within).timestamp())
    count = state.begun_since(entry.key, since_s)
    if count < limit.count:
        return None
    since = zone_time(entry, since_s)
    return Message("schedule.left_out.at_most", limit=str(limit), count=count, since=since)


def next_of(
    entry: ScheduledDay, state: ScheduleState, now_s: int, count: int, *, with_hold: bool = True
) -> Iterator[tuple[Occurrence, Message | None]]:
    """The next occurrences of a file, with the reasons known now of those that are left out.

    One whose window has begun comes first, where its own minute is still to come.
    """
    begin_s = now_s - int(entry.schedule.window.total_seconds())
    found = occurrences(entry.schedule, _at(begin_s))
    coming = (one for one in found if one.start > _at(now_s))
    for one in islice(coming, count):
        yield one, why_not(entry, one, state, with_hold=with_hold)


def cause(last: Look | None, now: Look) -> Message:
    """The cause of what was missed between two looks."""
    if last is None:
        return Message("schedule.because.busy")
    gone_s = now.wall_s - last.wall_s
    if last.boot == now.boot:
        slept_s = (now.boot_s - last.boot_s) - (now.awake_s - last.awake_s)
        jumped_s = gone_s - (now.boot_s - last.boot_s)
        if jumped_s > max(JUMP_S, slept_s):
            return Message("schedule.because.jumped", span=_span(jumped_s))
        if slept_s > JUMP_S:
            return Message("schedule.because.asleep", span=_span(slept_s))
    if gone_s > BUSY_S:
        ends = [f"{_at(int(each)):%Y-%m-%d %H:%M} UTC" for each in (last.wall_s, now.wall_s)]
        return Message("schedule.because.down", since=ends[0], until=ends[1])
    return Message("schedule.because.busy")


def zone_time(entry: ScheduledDay, at_s: int) -> str:
    """An instant as people of its zone read it."""
    return f"{_at(at_s).astimezone(entry.schedule.zone):%Y-%m-%d %H:%M %Z}"


def _at(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _span(value: timedelta | float) -> str:
    """A span in whole seconds; in days where it is many."""
    whole = value if isinstance(value, timedelta) else timedelta(seconds=int(value))
    days = whole // timedelta(days=1)
    return f"{days}d" if days > 2 else format_duration(whole)
