"""A game day from its first line to its last: conditions, experiments, breaks, the end.

How an experiment is run is not known here: it is given (`DayHands.run`), and is the code of
`gameday run`. Whatever ends a day ends it in order: the run under way takes its own faults out,
what was not begun is journaled as such, and those who were told of the beginning are told of the
end. A fault that may still be in, an order to stop, and a hold end every day; a verdict ends one
as its `stop_on` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gameday.calendar.conditions import Answered
from gameday.calendar.day_journal import (
    DayEnded,
    DayEntry,
    DayJournal,
    DayPlan,
    Event,
    LeftOut,
    now_text,
)
from gameday.core.clock import NS
from gameday.core.errors import ExitCode
from gameday.core.messages import Message
from gameday.run import hold
from gameday.spec.day import AnyItem, BreakItem, Condition, Day, ExperimentItem, Moment, StopOn

LOOK_S: Final = 0.2  # how soon a day that waits hears that it is to end
STOPPED: Final = frozenset({"operator", "signal"})
_FINE: Final = {
    "failed": frozenset({ExitCode.PASSED, ExitCode.UNKNOWN}),
    "unknown": frozenset({ExitCode.PASSED}),
    "never": frozenset(ExitCode),
}


class DayClock(Protocol):
    """A source of time that can wait."""

    def now_ns(self) -> int:
        """The monotonic time, in nanoseconds."""
        ...

    def pause(self, seconds: float) -> None:
        """Block this thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """End of the run of an item. `run` is its name, "" where it was refused before it began.

    `ended` is that of its result, `why` what is known beyond its verdict.
    """

    run: str
    exit_code: ExitCode
    ended: str = ""
    why: str = ""


class DayHands(Protocol):
    """Work that a day needs done, and cannot do itself."""

    def run(self, index: int, item: ExperimentItem, begun: Callable[[str], None]) -> RunEnd:
        """Run an experiment and judge it; `begun` is told the name of its run directory."""
        ...

    def ask(self, condition: Condition) -> Answered:
        """Ask a condition."""
        ...

    def announce(self, at: Moment, text: str) -> None:
        """Tell people."""
        ...

    def stopped(self) -> DayEnded | None:
        """The way in which it was ended from outside, None while it goes on."""
        ...

    def show(self, entry: DayEntry) -> None:
        """Show on the terminal what was journaled."""
        ...


class DayRun:
    """One day under way."""

    def __init__(
        self, day: Day, plan: DayPlan, hands: DayHands, journal: DayJournal, clock: DayClock
    ) -> None:
        self._day = day
        self._plan = plan
        self._hands = hands
        self._journal = journal
        self._clock = clock
        self._begun_ns = clock.now_ns()
        self._ended: DayEnded | None = None
        self._why = ""
        self.codes: list[ExitCode] = []

    def conduct(self, *, breaks: bool = True, optional: bool = True) -> ExitCode:
        """The whole day; its exit code. `breaks` and `optional`: whether these are done."""
        self._write("day.started", plan=self._plan)
        try:
            if self._may_go_on() and self._go("day"):
                self._announce("start")
                self._agenda(breaks=breaks, optional=optional)
        except BaseException as error:
            self._end("error", repr(error))
            self.codes.append(ExitCode.BUG)
            raise
        finally:
            ended = self._ended or "completed"
            code = worst([*self.codes, *_of_ending(ended)])
            self._write("day.ended", ended=ended, why=self._why, exit_code=int(code))
        return code

    def _agenda(self, *, breaks: bool, optional: bool) -> None:
        for index, item in enumerate(self._day.agenda):
            if not self._may_go_on():
                return
            if (
                why := self._why_left_out(index, item, breaks=breaks, optional=optional)
            ) is not None:
                self._write("item.left_out", item=index, why=why)
            elif isinstance(item, BreakItem):
                self._break(index, item)
            elif not self.codes or self._go("each"):  # before the first all was asked just now
                self._experiment(index, item)

    def _why_left_out(
        self, index: int, item: AnyItem, *, breaks: bool, optional: bool
    ) -> LeftOut | None:
        """Reason for leaving an item out, None where it is to be done."""
        if isinstance(item, BreakItem):
            return None if breaks else "asked"
        if not item.optional:
            return None
        if not optional:
            return "asked"
        return None if self._fits(index) else "no_time"

    def _experiment(self, index: int, item: ExperimentItem) -> None:
        self._write("item.started", item=index)

        def begun(run: str) -> None:
            self._write("run.begun", item=index, run=run)

        end = self._hands.run(index, item, begun)
        self.codes.append(end.exit_code)
        self._write(
            "item.ended",
            item=index,
            run=end.run,
            exit_code=int(end.exit_code),
            ended=end.ended,
            why=end.why,
        )
        self._heed(end, self._day.stops_on(item))

    def _heed(self, end: RunEnd, stop_on: StopOn) -> None:
        """End the day after a run where it has to be."""
        if end.exit_code is ExitCode.STUCK:
            self._end("stuck", end.why)
        elif end.ended in STOPPED:
            self._end("operator" if end.ended == "operator" else "signal", end.why)
        elif end.exit_code not in _FINE[stop_on]:
            self._end("stop_on", stop_on)

    def _break(self, index: int, item: BreakItem) -> None:
        self._write("item.started", item=index)
        self._announce("break")
        until_ns = self._clock.now_ns() + round(item.break_.total_seconds() * NS)
        while self._may_go_on() and (left_ns := until_ns - self._clock.now_ns()) > 0:
            self._clock.pause(min(LOOK_S, left_ns / NS))
        self._write("item.ended", item=index, ended=self._ended or "completed")

    def _fits(self, index: int) -> bool:
        """True if an optional item, and all that must come after it, fit in the time of the day."""
        if self._day.within is None:
            return True
        agenda = self._plan.agenda
        needed_s = agenda[index].planned_s
        needed_s += sum(each.planned_s for each in agenda[index + 1 :] if not each.optional)
        gone_s = (self._clock.now_ns() - self._begun_ns) / NS
        return gone_s + needed_s <= self._day.within.total_seconds()

    def _go(self, before: str) -> bool:
        """Ask every condition that is asked now; False where the day must not go on."""
        asked = [each for each in self._day.go if before == each.before]
        if before == "day":
            asked = list(self._day.go)
        answers = []
        for condition in asked:
            if not self._may_go_on():
                return False
            answer = self._hands.ask(condition)
            answers.append(answer)
            self._write(
                "condition",
                name=answer.name,
                go=answer.go,
                why=answer.why,
                message=answer.message,
            )
        no = [each.name for each in answers if not each.go]
        if no and self._may_go_on():
            self._end("no_go", ", ".join(no))
        return not no

    def _may_go_on(self) -> bool:
        if self._ended is None and (stopped := self._hands.stopped()) is not None:
            self._end(stopped, "")
        if self._ended is None and self._journal.problem:
            self._end("error", self._journal.problem)
        if self._ended is None and (held := hold.current()) is not None:
            self._end("hold", str(held))
        return self._ended is None

    def _end(self, ended: DayEnded, why: str) -> None:
        """End the day; the first reason counts."""
        if self._ended is None:
            self._ended, self._why = ended, why

    def _announce(self, at: Moment) -> None:
        texts = [each.text for each in self._day.announcements if each.at == at]
        self._hands.announce(at, "\n".join(texts))

    def _write(
        self,
        event: Event,
        *,
        plan: DayPlan | None = None,
        item: int | None = None,
        name: str = "",
        run: str = "",
        exit_code: int | None = None,
        go: bool | None = None,
        why: str = "",
        message: Message | None = None,
        ended: str = "",
    ) -> None:
        entry = DayEntry(
            at=now_text(),
            event=event,
            plan=plan,
            item=item,
            name=name,
            run=run,
            exit_code=exit_code,
            go=go,
            why=why,
            message=message,
            ended=ended,
        )
        self._hands.show(self._journal.write(entry))


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The one that comes first in the order of `ExitCode`; of none: passed."""
    order = list(ExitCode)
    return min(codes, key=order.index, default=ExitCode.PASSED)


def _of_ending(ended: DayEnded) -> Sequence[ExitCode]:
    """The exit code of an ending that no run of the day has."""
    if ended in ("operator", "signal", "hold", "interrupted"):
        return [ExitCode.ABORTED]
    return [ExitCode.UNKNOWN] if ended in ("no_go", "error") else []
