"""A session under way: hints when they are asked for, injects when their time has come.

The same for every mode. It knows the journal that it writes to, the records that it hears, and a
clock; what it waits for, it learns from them. A pause holds back injects and hints; traffic, fault
and clocks go on, and everybody is told so. At a table nothing goes on: what happens is only told.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from gameday.core.clock import NS, Clock
from gameday.core.messages import Message
from gameday.drills.scenario import SessionPlan
from gameday.evidence import events
from gameday.evidence.journal import Journal, Record
from gameday.run.responder.hands import BOT
from gameday.run.responder.orders import MOST_TEXT, Heard, clipped
from gameday.spec.drill import InjectEvent, Role

LOOK_S: Final = 0.25  # how late an inject may be said
ROLES: Final = ("all", *get_args(Role))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Command of a facilitator: a planned inject or hint by its number, or a text of his own."""

    cmd: str
    by: str = "facilitator"
    number: int | None = None
    to: str = "all"
    text: str = ""


class Session:
    """The session's engine: it says what is due, and does what a facilitator asks for.

    `heard` is to be called with each record of the journal, `alert` when the first alert fires;
    `work` goes on beside the run. `debriefed` is set when the facilitator asks for the debrief.
    Times of the plan pass `speed` times as fast as the clock.
    """

    def __init__(
        self, journal: Journal, clock: Clock, plan: SessionPlan, *, speed: float = 1.0
    ) -> None:
        self.plan = plan
        self.debriefed = asyncio.Event()
        self.given: set[int] = set()
        self.said: set[int] = set()
        self._journal = journal
        self._clock = clock
        self._speed = speed
        self._at: dict[InjectEvent, int] = {}
        self._paused_ns: int | None = None
        self._pauses: list[tuple[int, int]] = []
        self._unsaid: list[events.DrillInject] = []
        self._going = asyncio.Event()
        self._going.set()
        self._news = asyncio.Event()

    @property
    def stops(self) -> bool:
        """True where a pause stops everything, since there is no system that would go on."""
        return self.plan.started.mode == "tabletop"

    def heard(self, record: Record) -> None:
        """Note what a record says of the instants that injects wait for."""
        what = _instant(record.event)
        if what is not None:
            self.happened(what, record.t_ns)

    def alert(self) -> None:
        """An alert fires."""
        self.happened("alert", self._clock.now_ns())

    def happened(self, what: InjectEvent, t_ns: int) -> None:
        """Note the first instant of something."""
        if what not in self._at:
            self._at[what] = t_ns
            self._news.set()

    async def work(self) -> None:
        """Say what is due, until this is cancelled."""
        while True:
            self._news.clear()
            self.tick()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    def tick(self) -> None:
        """Say every inject whose time has come."""
        if self._paused_ns is not None:
            return
        while self._unsaid:
            self._journal.write(self._unsaid.pop(0))
        for inject in self.plan.injects:
            if inject.number not in self.said and self._is_due(inject):
                self._say(inject)

    def say(self, text: str) -> None:
        """Say something to all that is in no plan: now, or after the pause."""
        self._unsaid.append(events.DrillInject(to="all", text=text))
        self.tick()

    async def going(self) -> None:
        """Wait for the end of a pause."""
        await self._going.wait()

    def hint(self, by: str) -> Message:
        """The next hint whose time has come, which is journaled; or why there is none."""
        waiting = [each for each in self.plan.hints if each.number not in self.given]
        if not self.plan.hints:
            return Message("order.no_hint")
        if not waiting:
            return Message("drill.no_more_hints")
        if self._paused_ns is not None:
            return Message("drill.hints_wait")
        if self.elapsed_s() < waiting[0].after_s:
            return Message("drill.hint_later")  # not when: that would tell when the fault came
        return self._give(waiting[0], by)

    def elapsed_s(self) -> float:
        """The time of the plan since the fault, without the pauses; negative before it."""
        begin_ns = self._at.get("fault")
        if begin_ns is None:
            return -1.0
        return (self._clock.now_ns() - begin_ns - self.paused_ns(begin_ns)) / NS * self._speed

    def paused_ns(self, since_ns: int) -> int:
        """How long it was paused since an instant, with a pause that goes on."""
        now_ns = self._clock.now_ns()
        open_ = [] if self._paused_ns is None else [(self._paused_ns, now_ns)]
        spans = [*self._pauses, *open_]
        return sum(max(0, end - max(begin, since_ns)) for begin, end in spans)

    def command(self, asked: Asked) -> Heard | None:
        """Do what a facilitator asks for; None for what a session does not know."""
        match asked.cmd:
            case "inject":
                return self._inject(asked)
            case "hint":
                return self._hint(asked)
            case "pause":
                return self._pause(asked.by)
            case "resume":
                return self._resume(asked.by)
            case "debrief":
                self.debriefed.set()
                return Heard(ok=True)
            case _:
                return None

    def _is_due(self, inject: events.DrillInjectPlanned) -> bool:
        if inject.on is not None:
            return inject.on in self._at
        return inject.at_s is not None and 0 <= inject.at_s <= self.elapsed_s()

    def _say(self, inject: events.DrillInjectPlanned, by: str = "gameday") -> None:
        self.said.add(inject.number)
        self._journal.write(
            events.DrillInject(to=inject.to, text=inject.text, number=inject.number, by=by)
        )

    def _give(self, hint: events.DrillHintPlanned, by: str) -> Message:
        self.given.add(hint.number)
        self._journal.write(
            events.DrillHint(number=hint.number, text=hint.text, cost=hint.cost, by=by)
        )
        return Message("drill.hint_given", number=hint.number, cost=hint.cost, text=hint.text)

    def _inject(self, asked: Asked) -> Heard:
        """A planned one at once, by its number, or a text of the facilitator's own."""
        if asked.number is not None:
            return self._inject_planned(asked.number, asked.by)
        why = _lacks(asked)
        if why is not None:
            return _no(why)
        text = clipped(asked.text, MOST_TEXT)
        self._journal.write(events.DrillInject(to=asked.to, text=text, by=asked.by))
        return Heard(ok=True)

    def _inject_planned(self, number: int, by: str) -> Heard:
        planned = next((each for each in self.plan.injects if each.number == number), None)
        if planned is None:
            return _no(Message("drill.no_inject", number=number))
        if number in self.said:
            return _no(Message("drill.said_before", number=number))
        self._say(planned, by)
        return Heard(ok=True)

    def _hint(self, asked: Asked) -> Heard:
        """A hint that the facilitator gives, whether or not its time has come.

        Where nothing comes there is nothing to hint at: the plan has hints all the same, since
        their number is told to everybody.
        """
        if self.plan.planned.fault_at_s is None:
            return _no(Message("drill.nothing_comes"))
        waiting: Sequence[events.DrillHintPlanned] = [
            each for each in self.plan.hints if each.number not in self.given
        ]
        if asked.number is not None:
            waiting = [each for each in waiting if each.number == asked.number]
        if not waiting:
            return _no(Message("drill.no_more_hints"))
        return Heard(ok=True, why=self._give(waiting[0], asked.by).text())

    def _pause(self, by: str) -> Heard:
        if self._paused_ns is not None:
            return _no(Message("drill.is_paused"))
        self._paused_ns = self._journal.write(events.DrillPaused(by=by)).t_ns
        self._going.clear()
        told = "drill.paused_table" if self.stops else "drill.paused"
        return Heard(ok=True, why=Message(told).text())

    def _resume(self, by: str) -> Heard:
        if self._paused_ns is None:
            return _no(Message("drill.is_not_paused"))
        resumed_ns = self._journal.write(events.DrillResumed(by=by)).t_ns
        self._pauses.append((self._paused_ns, resumed_ns))
        self._paused_ns = None
        self._going.set()
        self._news.set()
        return Heard(ok=True)


def _lacks(asked: Asked) -> Message | None:
    """Reason why a text of the facilitator's own cannot be said; None without one."""
    if not asked.text.strip():
        return Message("drill.inject_what")
    if len(asked.text) > MOST_TEXT:
        return Message("drill.too_long", most=MOST_TEXT)
    return None if asked.to in ROLES else Message("drill.no_role", known=", ".join(ROLES))


def _no(why: Message) -> Heard:
    return Heard(ok=False, why=why.text())


def _instant(event: events.Event) -> InjectEvent | None:
    """Instant that an event is the first sign of."""
    match event:
        case events.FaultInjected() | events.DrillTruth(what="injected"):
            return "fault"
        case events.FaultProven(removed="yes") | events.DrillTruth(what="recovered"):
            return "recovered"
        case events.AlertAcknowledged(through=through) if through != BOT:
            return "ack"
        case (
            events.StepStarted(undoing=False, through=through)
            | events.ActionStarted(undoing=False, through=through)
        ) if through != BOT:
            return "act"
        case events.OrderGiven(order="mitigated"):
            return "mitigated"
        case _:
            return None
