"""Virtual users: who is busy with an iteration, and who may begin the next one.

An iteration is one request and the `sleep` after it; a virtual user is busy for both, and keeps
its own connection, as in k6. A `Pool` limits a scenario of a set rate by k6's rule: a start that
finds nobody free is dropped, and one more user is made in the background, one at a time, up to
the most. There is no queue. A sleep ends by the clock and not by the event loop's timer, which
counts in whole milliseconds from the last time the loop looked, and so ends it too early.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from gameday.traffic.schedule.scenario import VuLimit

if TYPE_CHECKING:
    from gameday.traffic.worker.connection import Connection


class Vu:
    """One virtual user; `number` is its place among all of this worker's."""

    __slots__ = ("busy", "connection", "leave_ns", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.busy = False
        self.connection: Connection | None = None
        self.leave_ns = 0  # when it is interrupted at the latest; 0: it may stay


class Pool:
    """The virtual users of a scenario of a set rate."""

    def __init__(self, limit: VuLimit, sleep_ns: int) -> None:
        self._idle = deque(Vu(number) for number in range(limit.first))
        self._most = limit.most
        self._sleep_ns = sleep_ns
        self._asleep: deque[tuple[int, Vu]] = deque()  # all sleep as long: who is first wakes first
        self._loop = asyncio.get_running_loop()
        self._growing = False
        self.made = limit.first

    def take(self, now_ns: int) -> Vu | None:
        """Who has been free the longest; None when nobody is, and then one more is made."""
        while self._asleep and self._asleep[0][0] <= now_ns:
            self._idle.append(self._asleep.popleft()[1])
        if self._idle:
            return self._idle.popleft()
        if self.made < self._most and not self._growing:
            self._growing = True
            self._loop.call_soon(self._grow)
        return None

    def _grow(self) -> None:
        self._growing = False
        self._idle.append(Vu(self.made))
        self.made += 1

    def over(self, vu: Vu, now_ns: int) -> None:
        """Its request is over; it is free after its sleep."""
        if self._sleep_ns:
            self._asleep.append((now_ns + self._sleep_ns, vu))
        else:
            self._idle.append(vu)
