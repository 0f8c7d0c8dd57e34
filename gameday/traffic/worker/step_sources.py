"""The starts of one scenario in one kind of request: what a client of that kind sees of them.

Each is its own recorder: what a client would note of a request, it tells to who goes through the
steps.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from gameday.traffic.history import Outcome, Reason
from gameday.traffic.worker.classify import Reading
from gameday.traffic.worker.client import StartSource
from gameday.traffic.worker.connection import Connection
from gameday.traffic.worker.errand import Errand
from gameday.traffic.worker.recorder import Start
from gameday.traffic.worker.step_recorder import StepEnd
from gameday.traffic.worker.vu_pool import Vu

LEFT_OPEN: Final = Reading(Outcome.UNKNOWN, Reason.INTERRUPTED)


class Steps(Protocol):
    """Who goes through the steps of starts."""

    now: Callable[[], int]

    def rendered(self, errand: Errand, attempt: int, /) -> bytes: ...

    def issue_over(self, errand: Errand, reading: Any, ended_ns: int, /) -> None: ...

    def holds(self, vu: Vu, errand: Errand | None, /) -> bool: ...


class StepSource:
    """The starts of one scenario in one kind of request, as their client sees them.

    It is its own recorder: what a client would note of a request, it tells the steps.
    """

    most_attempts = 1

    def __init__(self, steps: Steps, book: StartSource) -> None:
        self.errands: dict[int, Errand] = {}
        self.name = book.recorder.name
        self.scenario = book.recorder.scenario
        self._steps = steps
        self._book = book

    @property
    def recorder(self) -> Any:
        return self

    def over(self, vu: Vu) -> None:
        """Nobody waits for a step but its errand."""


class BesideSource(StepSource):
    """Requests beside the issue."""

    def __init__(
        self,
        steps: Steps,
        book: StartSource,
        ended: Callable[[Errand, Any, StepEnd], None],
    ) -> None:
        super().__init__(steps, book)
        self._ended = ended

    def request(self, k: int, _user: int, _attempt: int) -> bytes:
        return self.errands[k].request

    def record(self, c: Connection, reading: Any, sent_ns: int, ended_ns: int) -> None:
        errand = self.errands.pop(c.k)
        ended = StepEnd(c.status, sent_ns, ended_ns or self._steps.now())
        self._ended(errand, reading, ended)


class IssueSource(StepSource):
    """The issues themselves."""

    def __init__(self, steps: Steps, book: StartSource) -> None:
        super().__init__(steps, book)
        self.most_attempts = book.recorder.most_attempts
        self._last: Errand | None = None

    def request(self, k: int, _user: int, attempt: int) -> bytes:
        return self._steps.rendered(self.errands[k], attempt)

    def record(self, c: Connection, reading: Any, sent_ns: int, ended_ns: int) -> None:
        errand = self._last = self.errands.pop(c.k)
        self._book.recorder.record(c, reading, sent_ns, ended_ns)
        self._steps.issue_over(errand, reading, ended_ns)

    def left_open(self, start: Start, sent_ns: int, attempts: int) -> None:
        errand = self._last = self.errands.pop(start[0])
        self._book.recorder.left_open(start, sent_ns, attempts)
        self._steps.issue_over(errand, LEFT_OPEN, 0)

    def over(self, vu: Vu) -> None:
        """The request of a virtual user is over; he is, too, unless he waits for a decision."""
        if not self._steps.holds(vu, self._last):
            self._book.over(vu)
