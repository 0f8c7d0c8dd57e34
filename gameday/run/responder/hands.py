"""The hands of a responder: how a step or an action is done, proven, and taken back.

A step counts as done when the state it names was seen on samples taken after it acted, not when its
request was answered. Whoever works it, an undo record is on the disk before it acts, and what has
an undo is taken back at the end, last first. An action that is done outside of the playbook is
undone by what undoes the step that does the same.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.events import ActionDone, ActionStarted, StepDone, StepStarted
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import Sender, undo_record
from gameday.injection.drivers.scale import scale
from gameday.injection.replicas import send
from gameday.run.readings import Readings
from gameday.run.replica_state import Replicas
from gameday.run.responder.orders import Kind
from gameday.spec.playbook import Playbook, Step
from gameday.spec.request import Request
from gameday.spec.undos import ProjectUndo, ScaleUndo, Undo
from gameday.telemetry.catalogue import key
from gameday.telemetry.samples import Evaluation

Status = Literal[
    "done", "failed", "placebo", "not_applicable", "needs_person", "not_started", "interrupted"
]
BOT: Final = "bot"
ITSELF: Final = "gameday"  # who takes back what is left at the end
SHARE = 0.8  # of the time for all undos, so that the answers of the last have some of it too
BETWEEN_S = 0.5  # two looks at each replica
NO_DATA_S = 3.0  # three evaluations of the collector: one may be late, or the first of all


class StepOutcome(NamedTuple):
    """End of a step or an action: its status, whether the state that it names was seen, and why."""

    status: Status
    verified: bool | None
    why: Message


@dataclass(frozen=True, slots=True)
class BareAction:
    """An action outside of the playbook, and the name of the one that takes it back, if any."""

    name: str
    undo: str | None


@dataclass(slots=True)
class Hands:
    """Tools of a responder: the probes and senders that it works with.

    `scale` are the actions that set the number of replicas; None where the stack cannot. `project`
    is the compose project that answers, where it is one. `replicas` are those of the service, where
    the stack has them: an action is for each. `offered` are all playbooks of a drill, whose steps
    say whose they are; there is no other then. Whoever works holds `one_at_a_time`.
    """

    playbook: Playbook | None
    actions: Mapping[str, Request]
    scale: Mapping[str, ScaleUndo | None]
    base_url: str
    sender: Sender
    readings: Readings
    journal: Journal
    clock: Clock
    project: ProjectUndo | None = None
    replicas: Replicas | None = None
    offered: Sequence[Playbook] = ()
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    worked: list[Step | BareAction] = field(default_factory=list)
    _acted_ns: int = 0  # what was sampled before this shows nothing of the newest act

    @property
    def books(self) -> Sequence[Playbook]:
        """The playbooks that are at hand."""
        return self.offered or ([] if self.playbook is None else [self.playbook])

    def step(self, number: int, playbook: str = "") -> Step | None:
        """The step of that number, None where there is none, or more than one playbook is meant."""
        books = [book for book in self.books if playbook in ("", book.head.name)]
        steps = books[0].steps if len(books) == 1 else ()
        return next((step for step in steps if step.number == number), None)

    def can(self, action: str) -> bool:
        """True if the system file has the action."""
        return action in self.actions or action in self.scale

    async def work(self, step: Step, by: str = BOT, through: Kind = BOT) -> StepOutcome:
        """Work a step: what must hold before, the act, and the state that proves it."""
        begun_ns = self.clock.now_ns()
        await self.journal.write_durably(  # its undo is on the disk before it acts
            StepStarted(
                step=step.number,
                text=step.text,
                do=step.block.do,
                by=by,
                through=through,
                undoing=False,
                undo=self._undo_of(step.block.undo),
                readings=self._state(step),
                playbook=step.book or None,
            )
        )
        result = await self._outcome(step, through)
        self._done(step, begun_ns, result, undoing=False)
        return result

    async def act(self, name: str, by: str, through: Kind) -> StepOutcome:
        """Do an action of the system file that is no step of the playbook."""
        begun_ns = self.clock.now_ns()
        action = BareAction(name, self._undoes(name))
        await self.journal.write_durably(  # its undo is on the disk before it acts
            ActionStarted(
                do=name,
                by=by,
                through=through,
                undoing=False,
                undo=self._undo_of(action.undo),
                readings=self._newest(),
            )
        )
        self._note(action, action.undo)
        result = await self._answer(name)
        await self._action_done(action, begun_ns, result, undoing=False)
        return result

    async def undo(self, what: Step | str, by: str) -> StepOutcome:
        """Take back one step, or one action, by its name, that was worked before."""
        for each in self.worked:
            if what == (each if isinstance(each, Step) else each.name):
                result = await self._take_back(each, None, by)
                if result.status == "done":
                    self.worked.remove(each)
                return result
        return StepOutcome("not_applicable", None, Message("step.nothing_to_undo"))

    async def take_back(self, at_most_s: float | None = None) -> None:
        """Undo all that was worked, last first; each has its share of `at_most_s`.

        One is forgotten when its undo is over: one that was cut off is undone again.
        """
        async with self.one_at_a_time:
            share_s = None if at_most_s is None else SHARE * at_most_s / max(1, len(self.worked))
            while self.worked:
                await self._take_back(self.worked[-1], share_s, ITSELF)
                self.worked.pop()

    def _undoes(self, action: str) -> str | None:
        """The action that takes another one back, as the playbook's steps say it."""
        steps = (step for book in self.books for step in book.steps)
        return next((s.block.undo for s in steps if s.block.do == action and s.block.undo), None)

    def _note(self, done: Step | BareAction, undo: str | None) -> None:
        """From here on it may have acted, so it is taken back; once, however often it is done."""
        if undo is not None and done not in self.worked:
            self.worked.append(done)

    async def _outcome(self, step: Step, through: Kind) -> StepOutcome:
        """Status, whether the state it names was seen, and why."""
        if step.block.do is None:
            if through == "person":
                return await self._by_hand(step)
            return StepOutcome("needs_person", None, Message("step.person"))
        if step.block.do in self.scale and self.scale[step.block.do] is None:
            return StepOutcome("needs_person", None, Message("step.cannot_scale"))
        early = await self._before(step)
        return early if early is not None else await self._do(step, step.block.do)

    async def _by_hand(self, step: Step) -> StepOutcome:
        """The end of a step that somebody says to have done; its state is looked for all the same.

        It may have held before this was heard, so that it is no placebo.
        """
        self._note(step, step.block.undo)
        if step.block.after is None:
            return StepOutcome("done", None, Message("step.by_hand"))
        within_s = step.block.within.total_seconds()
        return await self._seen(step, self.clock.now_ns(), within_s, wanted=True)

    async def _before(self, step: Step) -> StepOutcome | None:
        """The result of the probes before acting, if it makes the act needless; None: go on."""
        before = await self.probe(step, "before") if step.block.before else True
        if before is None:
            return StepOutcome("failed", None, Message("step.no_data_before"))
        if not before:
            return StepOutcome("not_applicable", None, Message("step.needless"))
        if step.block.after and await self.probe(step, "after"):
            return StepOutcome("placebo", verified=True, why=Message("step.already_held"))
        return None

    async def _do(self, step: Step, action: str) -> StepOutcome:
        acted_ns = self.clock.now_ns()
        self._note(step, step.block.undo)
        try:
            await self._act(action)
            if step.block.after is None:
                return StepOutcome("done", None, Message("step.answered_unverified"))
            within_s = step.block.within.total_seconds()
            return await self._seen(step, acted_ns, within_s, wanted=True)
        except GamedayError as error:
            return StepOutcome("failed", None, Message("step.error", error=error.message))

    async def _answer(self, action: str) -> StepOutcome:
        """The end of an action that names no state: its request's answer is all there is."""
        if action in self.scale and self.scale[action] is None:
            return StepOutcome("needs_person", None, Message("step.cannot_scale"))
        try:
            await self._act(action)
        except GamedayError as error:
            return StepOutcome("failed", None, Message("step.error", error=error.message))
        return StepOutcome("done", None, Message("step.answered"))

    async def _seen(
        self, step: Step, acted_ns: int, within_s: float, *, wanted: bool
    ) -> StepOutcome:
        name = key("step", f"{step.name}:after")
        seen = await self.readings.until(
            lambda e: e.sampled_ns > acted_ns and e.readings.get(name) is wanted,
            after_ns=acted_ns,
            within_s=within_s,
        )
        left_s = within_s - (self.clock.now_ns() - acted_ns) / NS
        if lagging := await self._without(step, 0.0 if seen is None else left_s, wanted=wanted):
            why = Message("step.not_on_each", replicas=", ".join(lagging), within_s=within_s)
            return StepOutcome("failed", verified=False, why=why)
        if seen is None:
            return StepOutcome(
                "failed", verified=False, why=Message("step.not_seen", within_s=within_s)
            )
        after_s = (seen.t_ns - acted_ns) / NS
        return StepOutcome("done", verified=True, why=Message("step.seen", after_s=after_s))

    async def _without(self, step: Step, within_s: float, *, wanted: bool) -> list[str]:
        """The replicas that do not show a step's state by themselves, after `within_s` at most."""
        known, clock, probe = self.replicas, self.clock, step.block.after
        acted = step.block.do if wanted else step.block.undo
        if known is None or probe is None or acted in self.scale:
            return []
        deadline_ns = clock.now_ns() + int(within_s * NS)
        while lagging := await known.without(probe, clock, wanted=wanted):
            if clock.now_ns() >= deadline_ns:
                break
            await clock.sleep(BETWEEN_S)
        return lagging

    async def probe(self, step: Step, which: str) -> bool | None:
        """The newest reading of a probe, of after the newest act; waits 3 s for one with data.

        The samples of a Prometheus are older than its answer: as much longer.
        """
        name, acted_ns = key("step", f"{step.name}:{which}"), self._acted_ns

        def tells(e: Evaluation) -> bool:
            return e.sampled_ns > acted_ns and e.readings.get(name) is not None

        newest = self.readings.all[-1:]
        if newest and tells(newest[0]):
            return newest[0].readings.get(name)
        seen = await self.readings.until(
            tells, after_ns=self.clock.now_ns() - NS, within_s=NO_DATA_S + self._lag_s()
        )
        return None if seen is None else seen.readings.get(name)

    async def _take_back(
        self, worked: Step | BareAction, at_most_s: float | None, by: str
    ) -> StepOutcome:
        if isinstance(worked, Step):
            return await self._take_step_back(worked, at_most_s, by)
        begun_ns, undo = self.clock.now_ns(), worked.undo or ""
        self.journal.write(ActionStarted(do=worked.name, by=by, undoing=True))
        result = await self._answer(undo)
        await self._action_done(worked, begun_ns, result, undoing=True)
        return result

    async def _take_step_back(self, step: Step, at_most_s: float | None, by: str) -> StepOutcome:
        begun_ns = self.clock.now_ns()
        within_s = step.block.within.total_seconds()
        if at_most_s is not None:
            within_s = min(within_s, at_most_s)
        undo = step.block.undo
        if undo is None or (undo in self.scale and self.scale[undo] is None):
            return StepOutcome("needs_person", None, Message("step.cannot_scale"))
        self.journal.write(
            StepStarted(
                step=step.number,
                text=step.text,
                do=undo,
                by=by,
                undoing=True,
                playbook=step.book or None,
            )
        )
        result = StepOutcome("done", None, Message("step.answered"))
        try:
            await self._act(undo)
            if step.block.after is not None:
                result = await self._seen(step, begun_ns, within_s, wanted=False)
        except GamedayError as error:
            result = StepOutcome("failed", None, Message("step.error", error=error.message))
        self._done(step, begun_ns, result, undoing=True)
        return result

    def _done(self, step: Step, begun_ns: int, result: StepOutcome, *, undoing: bool) -> None:
        # The sample that verified a step may be older than the answer to its request.
        after_ns = begun_ns if result.verified else max(begun_ns, self._acted_ns)
        self.journal.write(
            StepDone(
                step=step.number,
                status=result.status,
                took_s=round((self.clock.now_ns() - begun_ns) / NS, 3),
                verified=result.verified,
                why=result.why.text(),
                message=result.why,
                undoing=undoing,
                refuses=step.block.refuses,
                readings=self._state(step, after_ns),
                playbook=step.book or None,
            )
        )

    async def _action_done(
        self, action: BareAction, begun_ns: int, result: StepOutcome, *, undoing: bool
    ) -> None:
        """Journal its end, with what was sampled after it unless it is being undone."""
        took_s = round((self.clock.now_ns() - begun_ns) / NS, 3)
        after_ns = self._acted_ns
        try:
            if not undoing and after_ns > begun_ns:
                within_s = NO_DATA_S + self._lag_s()
                await self.readings.until(
                    lambda e: e.sampled_ns > after_ns, after_ns=after_ns, within_s=within_s
                )
        finally:  # also when nobody waits any more
            self.journal.write(
                ActionDone(
                    do=action.name,
                    status=result.status,
                    took_s=took_s,
                    why=result.why.text(),
                    message=result.why,
                    undoing=undoing,
                    readings=self._newest(max(begun_ns, after_ns)),
                )
            )

    def _lag_s(self) -> float:
        """The age (s) of the newest samples when they are read, which a Prometheus has."""
        newest = self.readings.all[-1:]
        return (newest[0].t_ns - newest[0].sampled_ns) / NS if newest else 0.0

    def _newest(self, after_ns: int = 0) -> Mapping[str, bool | None] | None:
        """The newest readings, None where none was sampled after an instant."""
        newest = self.readings.all[-1:]
        return newest[0].readings if newest and newest[0].sampled_ns > after_ns else None

    def _state(self, step: Step, after_ns: int = 0) -> Mapping[str, bool | None] | None:
        """The newest readings of a step's probes, as far as there are any."""
        known = self._newest(after_ns) or {}
        names = (key("step", f"{step.name}:{which}") for which in ("before", "after"))
        return {name: known[name] for name in names if name in known} or None

    async def _act(self, action: str) -> None:
        """Send its request, or bring the service to its number of replicas."""
        try:
            await self._send(action)
        finally:
            self._acted_ns = self.clock.now_ns()

    async def _send(self, action: str) -> None:
        wanted, known = self.scale.get(action), self.replicas
        if wanted is not None:
            await scale(wanted)
            return
        found = {} if known is None else await known.addresses()
        await send(self.sender, self.actions[action], found)

    def _undo_of(self, name: str | None) -> Undo | None:
        """The record of an action that takes something back; None where there is none."""
        if name is None:
            return None
        if name in self.scale:
            return self.scale[name]
        sender, known = self.sender, self.replicas
        return undo_record(
            name,
            self.actions[name],
            self.base_url,
            sender.values,
            tls=sender.tls,
            project=self.project,
            service="" if known is None else known.service,
        )
