"""The incident: where orders are heard, journaled, and carried out, whoever gives them.

The control socket and a program use this alike. An order is answered at once; an act follows when
those before it are over, and its end is journaled with the number of its order. Nothing that is
ordered ends or delays the run, but for the order that says so: acts wait in a short queue, which is
emptied when things are taken back, and there are only so many orders.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.events import AlertAcknowledged, OrderAnswered, OrderGiven, ResponderStarted
from gameday.run.responder.hands import Hands, StepOutcome
from gameday.run.responder.orders import (
    MOST_NAME,
    MOST_TEXT,
    SEVERITIES,
    Heard,
    IncidentOrder,
    Kind,
    clipped,
)
from gameday.spec.hypotheses import chosen

LOOK_S = 5.0  # alerts are looked for at every evaluation; without any they are all the same
# Of each kind of responder, so that a program cannot keep people from being heard.
MOST_WAITING: Final = 8  # acts; more than a person has in mind
MOST_ORDERS: Final = 2000  # a run of hours; with the longest texts their journal is still read


class Responder(Protocol):
    """Whoever works on the incident beside those who give orders from a terminal."""

    async def respond(self) -> None:
        """Work on it until it is over, or this is cancelled."""

    def stand_back(self) -> None:
        """Leave it to a person who has taken it, or to the end of the run."""

    async def finish(self) -> None:
        """Leave nothing behind, in bounded time."""


class _Act(NamedTuple):
    """An act that waits for its turn, and when it was ordered, in numbers of taking back.

    The order of the fields is that in which they are done: what people order comes first.
    """

    last: bool
    given: int
    order: IncidentOrder
    by: str
    through: Kind
    round: int


class Incident:
    """The incident of one run: its orders, and the hands that carry them out.

    `alerted` is set when an alert of the playbook fires, or any where there is no playbook;
    `taken` when somebody other than the bot has taken the incident. `abort` ends the run. `hints`,
    where there are any, is asked for the next one by whoever orders it, and says what it is.
    """

    def __init__(self, hands: Hands, abort: Callable[[str], None]) -> None:
        self.hands = hands
        self.responder: Responder | None = None
        self.alerted = asyncio.Event()
        self.taken = asyncio.Event()
        self.hints: Callable[[str], Message] | None = None
        self.hypotheses: Sequence[str] = ()
        self._abort = abort
        self._alert = ""
        self._alerted_ns = 0
        self._acknowledged_through: Kind | None = None
        self._begun: set[bool] = set()
        self._orders: Counter[Kind] = Counter()
        self._acts: asyncio.PriorityQueue[_Act] | None = None  # while acts can be done
        self._waiting: Counter[Kind] = Counter()
        self._round = 0
        self._over = False

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """The work that goes on beside the faults, to be cancelled when the run ends."""
        found = [self._follow(), self._work()]
        return found if self.responder is None else [*found, self.responder.respond()]

    @property
    def may_have_worked(self) -> bool:
        """True if something may be there to take back."""
        return bool(self.hands.worked) or self.responder is not None

    def begin(self, kind: Kind, delay_s: float | None) -> None:
        """Journal that somebody works on it from now on: once, and once more when there is one."""
        if self.alerted.is_set() not in self._begun:
            self._begun.add(self.alerted.is_set())
            started = ResponderStarted(alert=self._alert, by=kind, delay_s=delay_s)
            self.hands.journal.write(started)

    def give(self, order: IncidentOrder, by: str, through: Kind) -> Heard:
        """Hear an order, journal it and what is answered to it, and have it carried out."""
        order = self._spelled_out(order)
        self._orders[through] += 1
        if self._orders[through] > MOST_ORDERS and order.order != "abort":
            return Heard(ok=False, why=Message("order.too_many", most=MOST_ORDERS).text())
        order, unknown = self._masked(order), self._unknown(order)
        why = order.lacks() or unknown or self._why_not(order, through)
        given = self.hands.journal.write(_event(order, by, through, known=unknown is None)).seq
        if why is not None:
            self._answered(given, order, "refused", why)
            return Heard(ok=False, why=why.text(), given=given)
        return self._carry_out(order, given, by, through)

    def _spelled_out(self, order: IncidentOrder) -> IncidentOrder:
        """An order that declares an offered hypothesis, by number or nearly so, in its words."""
        if order.order != "declare":
            return order
        meant = chosen(order.text, self.hypotheses)
        return order if meant is None else replace(order, text=meant)

    async def take_back(self, at_most_s: float | None = None) -> None:
        """Undo what was done, last first. Nothing that was ordered before follows it."""
        self._round += 1
        if self.responder is not None:
            self.responder.stand_back()
        for act in [] if self._acts is None else self._emptied(self._acts):
            self._drop(act)
        await self.hands.take_back(at_most_s)

    def close(self) -> None:
        """Do nothing more that is ordered: the run ends."""
        self._over = True

    async def finish(self) -> None:
        """Leave nothing of the responder behind, in bounded time."""
        if self.responder is not None:
            await self.responder.finish()

    def _masked(self, order: IncidentOrder) -> IncidentOrder:
        """The order as it is kept: what is cut afterwards has no piece of a secret left."""
        hide = self.hands.journal.hide
        order = replace(order, text=hide(order.text), to=hide(order.to))
        if self._unknown(order) is None:
            return order
        return replace(order, action=hide(order.action), severity=hide(order.severity))

    def _unknown(self, order: IncidentOrder) -> Message | None:
        """Reason why nobody here knows what it names; None where it is a word of the run."""
        if order.order == "severity" and order.severity not in SEVERITIES:
            return Message("order.no_severity", known=", ".join(SEVERITIES))
        if order.order != "act":
            return None
        if order.step is not None and self.hands.step(order.step, order.playbook) is None:
            return self._no_such_step(order)
        if order.action and not self.hands.can(order.action):
            known = ", ".join(sorted({*self.hands.actions, *self.hands.scale})) or "-"
            action = clipped(self.hands.journal.hide(order.action), MOST_NAME)
            return Message("order.no_action", action=action, known=known)
        return None

    def _why_not(self, order: IncidentOrder, through: Kind) -> Message | None:
        """Reason why an order cannot be carried out now; None without one."""
        if order.order != "act":
            return None
        if self._over:
            return Message("order.over")
        if self._acts is None:
            return Message("order.early")
        busy = self._waiting[through] >= MOST_WAITING
        return Message("order.busy", most=MOST_WAITING) if busy else None

    def _no_such_step(self, order: IncidentOrder) -> Message:
        """Reason why a step is not known, or not which one is meant."""
        names = [book.head.name for book in self.hands.books]
        if len(names) > 1 and order.playbook not in names:
            return Message("order.which_playbook", known=", ".join(names))
        return Message("order.no_step", step=order.step)

    def _carry_out(self, order: IncidentOrder, given: int, by: str, through: Kind) -> Heard:
        match order.order:
            case "ack":
                self._acknowledged_through = self._acknowledged_through or through
                self._take(by, through)
            case "act":
                assert self._acts is not None, "it was looked at before"
                self._take(by, through)
                self.begin(through, None)
                last = through != "person"
                self._acts.put_nowait(_Act(last, given, order, by, through, self._round))
                self._waiting[through] += 1
                return Heard(ok=True, given=given, pending=True)
            case "hint":
                why = Message("order.no_hint") if self.hints is None else self.hints(by)
                self._answered(given, order, "answered", why)
                return Heard(ok=True, why=why.text(), given=given)
            case "abort":
                about = f": {clipped(order.text, MOST_TEXT)}" if order.text else ""
                self._abort(f"gameday incident abort by {by}{about}")
            case _:
                pass  # it is journaled: that is all there is to it
        return Heard(ok=True, given=given)

    def _take(self, by: str, through: Kind) -> None:
        """Somebody has taken it; only the first is journaled as the one who has."""
        if not self.taken.is_set():
            self.hands.journal.write(AlertAcknowledged(by=by, through=through))
            self.taken.set()
            if self.responder is not None and through == "person":
                self.responder.stand_back()
        if self.alerted.is_set():
            self._begin_taken(through)

    def _begin_taken(self, through: Kind) -> None:
        after_s = (self.hands.clock.now_ns() - self._alerted_ns) / NS
        self.begin(through, round(after_s, 3))

    async def _follow(self) -> None:
        """Wait for an alert of the playbook; where there is none, or several, for any."""
        readings, books = self.hands.readings, self.hands.books
        named = set(books[0].head.alerts) if len(books) == 1 and not self.hands.offered else None
        while not (firing := _named(readings.firing(), named)):
            await readings.next(LOOK_S)
        self._alert, self._alerted_ns = min(firing), self.hands.clock.now_ns()
        self.alerted.set()
        if self._acknowledged_through is not None:  # who has only acted before answers nothing yet
            self._begin_taken(self._acknowledged_through)

    async def _work(self) -> None:
        """Do the acts that are ordered, one after the other."""
        acts = self._acts = asyncio.PriorityQueue[_Act]()
        waiting: _Act | None = None
        try:
            while True:
                waiting = await acts.get()
                async with self.hands.one_at_a_time:
                    act, waiting = waiting, None
                    self._waiting[act.through] -= 1
                    await self._do_now(act)
        finally:
            self._acts, self._over = None, True
            for act in ([] if waiting is None else [waiting]) + self._emptied(acts):
                self._drop(act)

    async def _do_now(self, act: _Act) -> None:
        """Do an act and answer it, unless things were taken back since it was ordered."""
        if act.round != self._round:
            self._drop(act)
            return
        outcome = StepOutcome("interrupted", None, Message("order.cut_off"))
        try:
            outcome = await self._do(act)
        finally:
            self._answered(act.given, act.order, outcome.status, outcome.why)

    async def _do(self, act: _Act) -> StepOutcome:
        order, hands = act.order, self.hands
        step = None if order.step is None else hands.step(order.step, order.playbook)
        try:
            if order.undo:
                return await hands.undo(order.action if step is None else step, act.by)
            if step is not None:
                return await hands.work(step, act.by, act.through)
            return await hands.act(order.action, act.by, act.through)
        except (GamedayError, OSError) as error:
            why = Message("step.error", error=getattr(error, "message", str(error)))
            return StepOutcome("failed", None, why)

    def _emptied(self, acts: "asyncio.PriorityQueue[_Act]") -> list[_Act]:
        """Take out all that waits."""
        found = [acts.get_nowait() for _ in range(acts.qsize())]
        self._waiting.subtract(act.through for act in found)
        return found

    def _drop(self, act: _Act) -> None:
        self._answered(act.given, act.order, "refused", Message("order.taking_back"))

    def _answered(self, given: int, order: IncidentOrder, status: str, why: Message) -> None:
        self.hands.journal.write(
            OrderAnswered(
                given=given, order=order.order, status=status, why=why.text(), message=why
            )
        )


def _named(firing: set[str], named: set[str] | None) -> set[str]:
    return firing if named is None else firing & named


def _event(order: IncidentOrder, by: str, through: Kind, *, known: bool) -> OrderGiven:
    """The record of an order. What is not `known` to be a word of the run is text in it."""
    strange, act = "" if known else order.action or order.severity, order.order == "act"
    return OrderGiven(
        order=order.order,
        by=by,
        through=through,
        text=clipped(order.text or strange, MOST_TEXT) or None,
        to=clipped(order.to, MOST_NAME) or None,
        severity=(order.severity or None) if known and order.order == "severity" else None,
        step=order.step if known and act else None,
        action=(order.action or None) if known and act else None,
        undo=True if order.undo and act else None,
        playbook=(order.playbook or None) if known and act else None,
    )
