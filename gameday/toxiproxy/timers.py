"""When a link wants to be stepped again: one timer of the system for all links of the server.

The event loop counts whole milliseconds from a time that it looked up a while ago, so a chunk that
is due in 0.3 ms goes up to a millisecond late. Linux has timers that are files (timerfd_create(2))
and keep to some 0.05 ms; the loop watches one of those like a socket. Elsewhere its own timers do.
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from gameday.core.clock import Clock

NEVER = 1 << 200  # later than any instant in ns
LONGEST_NS = 3_600_000_000_000  # an hour, as in `at`: far below what a timer's field can hold
FORGOTTEN_KEPT = 64  # a few cancelled calls cost less than a clean-up at each
_MS = 1_000_000
_ABSOLUTE = 1


class ScheduledCall:
    """A call at an instant; one that is cancelled stays until its time, or until many are."""

    __slots__ = ("due_ns", "ring")

    def __init__(self, due_ns: int, ring: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "ScheduledCall") -> bool:
        return self.due_ns < other.due_ns


class Alarms:
    """All alarms of one event loop; `timer_file` says whether to use a timer that is a file."""

    def __init__(self, clock: Clock, *, timer_file: bool = True) -> None:
        self.clock = clock
        self._alarms: list[ScheduledCall] = []
        self._forgotten = 0
        self._armed_ns = NEVER
        self._file = _timer_file() if timer_file else None
        self._handle: asyncio.TimerHandle | None = None
        self._watched = False
        self._ringing = False

    def __len__(self) -> int:
        return len(self._alarms)

    def at(self, due_ns: int, ring: Callable[[], None]) -> ScheduledCall:
        """Call `ring` at `due_ns`, or an hour from now when that is sooner; never before."""
        due_ns = min(due_ns, self.clock.now_ns() + LONGEST_NS)
        alarm = ScheduledCall(due_ns, ring)
        heappush(self._alarms, alarm)
        if due_ns < self._armed_ns and not self._ringing:
            self._arm(due_ns)
        return alarm

    def cancel(self, alarm: ScheduledCall) -> None:
        """Do not call; the memory is given back in time."""
        if alarm.ring is None:
            return
        alarm.ring = None
        self._forgotten += 1
        if self._forgotten > max(FORGOTTEN_KEPT, len(self._alarms) // 2):
            self._alarms = [kept for kept in self._alarms if kept.ring is not None]
            heapify(self._alarms)
            self._forgotten = 0

    def close(self) -> None:
        """Ring no more."""
        self._alarms.clear()
        if self._handle is not None:
            self._handle.cancel()
        if self._file is not None:
            if self._watched:
                asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._file = None

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        loop = asyncio.get_running_loop()
        if self._file is not None:
            if not self._watched:
                loop.add_reader(self._file, self._due)
                self._watched = True
            _set(self._file, due_ns)
            return
        if self._handle is not None:
            self._handle.cancel()
        delay_ms = max(1, -(-(due_ns - self.clock.now_ns()) // _MS))
        self._handle = loop.call_later(delay_ms / 1000, self._due)

    def _due(self) -> None:
        """Ring all that are due, then set the timer anew: that also empties its file."""
        self._ringing = True
        try:
            self._ring_all(self.clock.now_ns())
        finally:
            self._ringing = False
            if self._alarms:
                self._arm(self._alarms[0].due_ns)
            else:
                self._disarm()

    def _ring_all(self, now_ns: int) -> None:
        while self._alarms and (self._alarms[0].due_ns <= now_ns or self._alarms[0].ring is None):
            alarm = heappop(self._alarms)
            if alarm.ring is None:
                self._forgotten -= 1
                continue
            ring, alarm.ring = alarm.ring, None
            ring()

    def _disarm(self) -> None:
        self._armed_ns = NEVER
        if self._file is not None:
            _set(self._file, 0)


def _timer_file() -> int | None:
    """A timer of CLOCK_MONOTONIC that is a file; None where there is no such thing."""
    create = getattr(_LIBC, "timerfd_create", None)
    if create is None:
        return None
    file = int(create(1, os.O_NONBLOCK | os.O_CLOEXEC))
    return file if file >= 0 else None


def _set(file: int, due_ns: int) -> None:
    """Make `file` readable at `due_ns` and not before; 0 is never. Raises OSError."""
    once = struct.pack("qqqq", 0, 0, *divmod(due_ns, 1_000_000_000))
    if _LIBC.timerfd_settime(file, _ABSOLUTE, once, None):
        raise OSError(ctypes.get_errno(), "timerfd_settime")


_LIBC = ctypes.CDLL(None, use_errno=True)
