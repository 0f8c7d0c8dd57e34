"""When a link wants to be stepped again: one timer of the system for all links of the server.

The event loop counts whole milliseconds from a time that it looked up a while ago, so a chunk that
is due in 0.3 ms would go up to a millisecond late; a timerfd keeps to some 0.05 ms.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from gameday.core.clock import Clock
from gameday.core.timer import Alarm, alarm

NEVER = 1 << 200  # later than any instant in ns
LONGEST_NS = 3_600_000_000_000  # an hour, as in `at`: far below what a timer's field can hold
FORGOTTEN_KEPT = 64  # a few cancelled calls cost less than a clean-up at each


class ScheduledCall:
    """A call at an instant; one that is cancelled stays until its time, or until many are."""

    __slots__ = ("due_ns", "ring")

    def __init__(self, due_ns: int, ring: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "ScheduledCall") -> bool:
        return self.due_ns < other.due_ns


class Alarms:
    """All alarms of one event loop, which `new_alarm` wakes."""

    def __init__(
        self, clock: Clock, new_alarm: Callable[[Callable[[], None], Clock], Alarm] = alarm
    ) -> None:
        self.clock = clock
        self._new_alarm = new_alarm
        self._alarms: list[ScheduledCall] = []
        self._forgotten = 0
        self._armed_ns = NEVER
        self._alarm: Alarm | None = None
        self._ringing = False

    def __len__(self) -> int:
        return len(self._alarms)

    def at(self, due_ns: int, ring: Callable[[], None]) -> ScheduledCall:
        """Call `ring` at `due_ns`, or an hour from now when that is sooner; never before."""
        due_ns = min(due_ns, self.clock.now_ns() + LONGEST_NS)
        call = ScheduledCall(due_ns, ring)
        heappush(self._alarms, call)
        if due_ns < self._armed_ns and not self._ringing:
            self._arm(due_ns)
        return call

    def cancel(self, call: ScheduledCall) -> None:
        """Do not call; the memory is given back in time."""
        if call.ring is None:
            return
        call.ring = None
        self._forgotten += 1
        if self._forgotten > max(FORGOTTEN_KEPT, len(self._alarms) // 2):
            self._alarms = [kept for kept in self._alarms if kept.ring is not None]
            heapify(self._alarms)
            self._forgotten = 0

    def close(self) -> None:
        """Ring no more."""
        self._alarms.clear()
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        if self._alarm is None:
            self._alarm = self._new_alarm(self._due, self.clock)
        self._alarm.set(due_ns)

    def _due(self) -> None:
        """Ring all that are due, then set the timer anew."""
        self._ringing = True
        try:
            self._ring_all(self.clock.now_ns())
        finally:
            self._ringing = False
            self._armed_ns = NEVER
            if self._alarms:
                self._arm(self._alarms[0].due_ns)

    def _ring_all(self, now_ns: int) -> None:
        while self._alarms and (self._alarms[0].due_ns <= now_ns or self._alarms[0].ring is None):
            call = heappop(self._alarms)
            if call.ring is None:
                self._forgotten -= 1
                continue
            ring, call.ring = call.ring, None
            ring()
