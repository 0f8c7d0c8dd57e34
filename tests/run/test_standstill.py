"""The end of a run's books, where requests were left without an answer."""

from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.evidence.rows import Rows
from gameday.run.audit_file import AuditReading
from gameday.run.standstill import left_open, stood_still
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.user_ids import NUMBERS
from tests.support.rundirs import T0_NS, Answer, RunDir, issue


@pytest.mark.parametrize(
    ("answer", "open_"),
    [
        (issue(0, 0, 10.0), 0),
        (Answer(0, 0, Outcome.UNKNOWN, 10.0, reason=Reason.TIMEOUT), 1),
        (Answer(0, 0, Outcome.UNKNOWN, 10.0, reason=Reason.RESET), 1),
        (Answer(0, 0, Outcome.UNKNOWN, 10.0, reason=Reason.INTERRUPTED), 1),
        (Answer(0, 0, Outcome.SOLD_OUT, 10.0, attempts=2), 1),
        (Answer(0, 0, Outcome.UNKNOWN, 10.0, reason=Reason.UNMATCHED), 0),
        (Answer(0, 0, Outcome.UNKNOWN, 10.0, reason=Reason.CONNECT_REFUSED), 0),
        (Answer(0, 0, Outcome.DROPPED, 10.0, reason=Reason.LATE), 0),
    ],
)
def test_only_what_was_sent_and_not_answered_may_still_be_at_work(
    tmp_path: Path, answer: Answer, open_: int
) -> None:
    RunDir(answers=[answer]).write_history(tmp_path / "drop-0.bin")
    assert left_open(tmp_path, T0_NS + 30 * NS) == open_
    assert left_open(tmp_path, T0_NS + 50 * NS) == 0


def reading(count: int, problem: str = "") -> AuditReading:
    rows = Rows()
    rows.add(list(range(count)), [""] * count)
    return AuditReading("C", None, rows, problem=problem)


class Books:
    """Readings one after another, the last of them for ever, on a clock of their own."""

    def __init__(self, *counts: int, aborts_at: int = -1, problem_at: int = -1) -> None:
        self._counts, self._aborts_at, self._problem_at = counts, aborts_at, problem_at
        self.read_ = 0
        self.now_s = 0.0

    async def read(self) -> AuditReading:
        self.read_ += 1
        count = self._counts[min(self.read_, len(self._counts) - 1)]
        return reading(count, "broken" if self.read_ == self._problem_at else "")

    async def rest(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.read_ == self._aborts_at

    def now_ns(self) -> int:
        return int(self.now_s * NS)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def settled(books: Books, first: int) -> tuple[int, str]:
    found, why = await stood_still(
        reading(first), books.read, books.rest, books, ids=NUMBERS, still_s=5.0
    )
    return len(found.rows), why


async def test_rows_that_stand_still_are_read_once_more() -> None:
    books = Books(9)
    assert await settled(books, 9) == (9, "")
    assert (books.read_, books.now_s) == (1, 5.0)


async def test_rows_that_arrive_are_waited_for() -> None:
    assert await settled(Books(92, 100, 120), 92) == (120, "")


async def test_rows_that_never_stand_still_are_not_settled() -> None:
    books = Books(*range(1000))
    count, why = await settled(books, 0)
    assert count == books.read_ and "still changed" in why
    assert books.now_s == 35.0


async def test_an_abort_ends_the_wait_and_settles_nothing() -> None:
    count, why = await settled(Books(1, 2, 3, aborts_at=1), 1)
    assert count == 2 and "aborted" in why


async def test_an_audit_that_cannot_be_read_any_more_is_not_read_again() -> None:
    books = Books(1, 2, 3, 4, problem_at=2)
    assert await settled(books, 1) == (3, "")
    assert books.read_ == 2
