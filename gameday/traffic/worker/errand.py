"""One start on its way through the steps before its issue, the issue, and the question after it."""

from enum import Enum
from typing import TYPE_CHECKING

from gameday.traffic.escapes import Captured
from gameday.traffic.worker.recorder import Start

if TYPE_CHECKING:
    import asyncio

    from gameday.traffic.worker.client import StartSource
    from gameday.traffic.worker.vu_pool import Vu


class Leg(Enum):
    """The part of its way that an errand is on."""

    BEFORE = "before"
    ISSUE = "issue"
    POLL = "poll"
    OVER = "over"


class Errand:
    """One start, and what was captured on its way.

    `spent_ns` is the time that its steps took: the issue is due so much later. `may_hold`: a step
    that may have reserved something was sent, at `first_sent_ns`.
    """

    __slots__ = (
        *("asked", "at", "began_ns", "book", "captured", "due_ns", "first_sent_ns", "k"),
        "times",
        *("may_hold", "request", "spent_ns", "leg", "timer", "until_ns", "user", "vu"),
    )

    def __init__(self, book: "StartSource", start: Start, vu: "Vu | None") -> None:
        self.book = book
        self.k, self.user, self.due_ns = start
        self.vu = vu
        self.leg = Leg.BEFORE
        self.at = 0  # the step that is next
        self.times = 0  # how often it was asked, of one with a weight
        self.captured: Captured = {}
        self.spent_ns = 0
        self.began_ns = 0
        self.first_sent_ns = 0
        self.may_hold = False
        self.request = b""
        self.timer: asyncio.TimerHandle | None = None
        self.until_ns = 0
        self.asked = 0

    @property
    def start(self) -> Start:
        """The start of the issue: due once the steps before it are done."""
        return self.k, self.user, self.due_ns + self.spent_ns
