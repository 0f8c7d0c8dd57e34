"""Who works the playbook: the bot, which does and verifies the steps by itself.

The responder starts when an alert of the playbook's front matter fires, after a delay in which
a person may take the incident (`gameday ack`); then the bot stays out. Steps are worked in
order. A step counts as done when the state it names was seen on samples taken after it acted,
not when its request was answered. Once every fault is proven out, the steps that name an
`undo` are taken back in reverse.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.events import AlertAcknowledged, ResponderStarted, StepDone, StepStarted
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import Sender, undo_record
from gameday.injection.drivers.scale import scale
from gameday.injection.replicas import send
from gameday.run.readings import Readings
from gameday.run.replica_state import Replicas
from gameday.spec.playbook import Playbook, Step
from gameday.spec.request import Request
from gameday.spec.undos import ProjectUndo, ScaleUndo, Undo
from gameday.telemetry.catalogue import key
from gameday.telemetry.samples import Evaluation

Status = Literal[
    "done", "failed", "placebo", "not_applicable", "needs_person", "not_started", "interrupted"
]
LOOK_S = (
    5.0  # an alert is looked for at every evaluation; without any it is looked for all the same
)
SHARE = 0.8  # of the time for all undos, so that the answers of the last have some of it too
BETWEEN_S = 0.5  # two looks at each replica
NO_DATA_S = 3.0  # three evaluations of the collector: one may be late, or the first of all


class StepOutcome(NamedTuple):
    """End of a step: its status, whether the state that it names was seen, and why."""

    status: Status
    verified: bool | None
    why: Message


@dataclass(slots=True)
class Hands:
    """Tools of a responder: the probes and senders that it works with.

    `scale` are the actions that set the number of replicas; None where the stack cannot. `project`
    is the compose project that answers, where it is one. `replicas` are those of the service, where
    the stack has them: an action is for each.
    """

    playbook: Playbook
    actions: Mapping[str, Request]
    scale: Mapping[str, ScaleUndo | None]
    base_url: str
    sender: Sender
    readings: Readings
    journal: Journal
    clock: Clock
    project: ProjectUndo | None = None
    replicas: Replicas | None = None


@dataclass(slots=True)
class Bot:
    """The automatic responder. `acknowledged` is set when somebody has taken the incident."""

    hands: Hands
    delay_s: float
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    taken_by_person: bool = False
    worked: list[Step] = field(default_factory=list)
    _goes_on: bool = False  # until a person takes it, or its steps are taken back
    _acted_ns: int = 0  # what was sampled before this shows nothing of the newest act
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, who: str) -> None:
        """A person has taken the incident: the bot does no further step."""
        self.taken_by_person = True
        self._goes_on = False
        self.hands.journal.write(AlertAcknowledged(by=who))
        self.acknowledged.set()

    async def respond(self) -> None:
        """Wait for an alert of the playbook, then work its steps."""
        alert = await self._wait_for_alert()
        if not self.taken_by_person:
            await self._delay()
        journal = self.hands.journal
        if self.taken_by_person:
            journal.write(ResponderStarted(alert=alert, by="person", delay_s=self.delay_s))
            return
        journal.write(ResponderStarted(alert=alert, by="bot", delay_s=self.delay_s))
        journal.write(AlertAcknowledged(by="bot"))
        self._goes_on = True  # also after a fault: its alert may be late
        for step in self.hands.playbook.steps:
            async with self._one_at_a_time:
                if not self._goes_on:
                    return
                status = await self._work(step)
            if status == "failed" and not step.block.optional:
                return

    async def take_back(self, at_most_s: float | None = None) -> None:
        """Undo the steps that were worked, last first; each has its share of `at_most_s`.

        A step is forgotten when its undo is over: one that was cut off is undone again. Of a
        playbook that is being worked, no step follows the one that is under way.
        """
        self._goes_on = False
        async with self._one_at_a_time:
            share_s = None if at_most_s is None else SHARE * at_most_s / max(1, len(self.worked))
            while self.worked:
                await self._take_back(self.worked[-1], share_s)
                self.worked.pop()

    async def _wait_for_alert(self) -> str:
        named = set(self.hands.playbook.head.alerts)
        while True:
            firing = sorted(self.hands.readings.firing() & named)
            if firing:
                return firing[0]
            await self.hands.readings.next(LOOK_S)

    async def _delay(self) -> None:
        try:
            await asyncio.wait_for(self.acknowledged.wait(), self.delay_s)
        except TimeoutError:
            return

    async def _work(self, step: Step) -> Status:
        begun_ns = self.hands.clock.now_ns()
        block = step.block
        await self.hands.journal.write_durably(  # its undo is on the disk before it acts
            StepStarted(
                step=step.number,
                text=step.text,
                do=block.do,
                by="bot",
                undoing=False,
                undo=self._undo_of(step),
            )
        )
        result = await self._outcome(step)
        self._done(step, begun_ns, result, undoing=False)
        return result.status

    async def _outcome(self, step: Step) -> StepOutcome:
        """Status, whether the state it names was seen, and why."""
        if step.block.do is None:
            return StepOutcome("needs_person", None, Message("step.person"))
        if step.block.do in self.hands.scale and self.hands.scale[step.block.do] is None:
            return StepOutcome("needs_person", None, Message("step.cannot_scale"))
        early = await self._before(step)
        return early if early is not None else await self._do(step, step.block.do)

    async def _before(self, step: Step) -> StepOutcome | None:
        """The result of the probes before acting, if it makes the act needless; None: go on."""
        before = await self._probe(step, "before") if step.block.before else True
        if before is None:
            return StepOutcome("failed", None, Message("step.no_data_before"))
        if not before:
            return StepOutcome("not_applicable", None, Message("step.needless"))
        if step.block.after and await self._probe(step, "after"):
            return StepOutcome("placebo", verified=True, why=Message("step.already_held"))
        return None

    async def _do(self, step: Step, action: str) -> StepOutcome:
        acted_ns = self.hands.clock.now_ns()
        if step.block.undo is not None and step not in self.worked:
            self.worked.append(step)  # from here on it may have acted, so it is taken back
        try:
            await self._act(action)
            if step.block.after is None:
                return StepOutcome("done", None, Message("step.answered_unverified"))
            within_s = step.block.within.total_seconds()
            return await self._seen(step, acted_ns, within_s, wanted=True)
        except GamedayError as error:
            return StepOutcome("failed", None, Message("step.error", error=error.message))

    async def _seen(
        self, step: Step, acted_ns: int, within_s: float, *, wanted: bool
    ) -> StepOutcome:
        name = key("step", f"{step.number}:after")
        seen = await self.hands.readings.until(
            lambda e: e.sampled_ns > acted_ns and e.readings.get(name) is wanted,
            after_ns=acted_ns,
            within_s=within_s,
        )
        left_s = within_s - (self.hands.clock.now_ns() - acted_ns) / NS
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
        known, clock, probe = self.hands.replicas, self.hands.clock, step.block.after
        acted = step.block.do if wanted else step.block.undo
        if known is None or probe is None or acted in self.hands.scale:
            return []
        deadline_ns = clock.now_ns() + int(within_s * NS)
        while lagging := await known.without(probe, clock, wanted=wanted):
            if clock.now_ns() >= deadline_ns:
                break
            await clock.sleep(BETWEEN_S)
        return lagging

    async def _probe(self, step: Step, which: str) -> bool | None:
        """The newest reading of a probe, of after the newest act; waits 3 s for one with data.

        The samples of a Prometheus are older than its answer: as much longer.
        """
        name, acted_ns = key("step", f"{step.number}:{which}"), self._acted_ns

        def tells(e: Evaluation) -> bool:
            return e.sampled_ns > acted_ns and e.readings.get(name) is not None

        newest = self.hands.readings.all[-1:]
        if newest and tells(newest[0]):
            return newest[0].readings.get(name)
        lag_s = (newest[0].t_ns - newest[0].sampled_ns) / NS if newest else 0.0
        seen = await self.hands.readings.until(
            tells, after_ns=self.hands.clock.now_ns() - NS, within_s=NO_DATA_S + lag_s
        )
        return None if seen is None else seen.readings.get(name)

    async def _take_back(self, step: Step, at_most_s: float | None) -> None:
        begun_ns = self.hands.clock.now_ns()
        within_s = step.block.within.total_seconds()
        if at_most_s is not None:
            within_s = min(within_s, at_most_s)
        undo = step.block.undo
        if undo is None or (undo in self.hands.scale and self.hands.scale[undo] is None):
            return
        self.hands.journal.write(
            StepStarted(step=step.number, text=step.text, do=undo, by="bot", undoing=True)
        )
        result = StepOutcome("done", None, Message("step.answered"))
        try:
            await self._act(undo)
            if step.block.after is not None:
                result = await self._seen(step, begun_ns, within_s, wanted=False)
        except GamedayError as error:
            result = StepOutcome("failed", None, Message("step.error", error=error.message))
        self._done(step, begun_ns, result, undoing=True)

    def _done(self, step: Step, begun_ns: int, result: StepOutcome, *, undoing: bool) -> None:
        self.hands.journal.write(
            StepDone(
                step=step.number,
                status=result.status,
                took_s=round((self.hands.clock.now_ns() - begun_ns) / NS, 3),
                verified=result.verified,
                why=result.why.text(),
                message=result.why,
                undoing=undoing,
                refuses=step.block.refuses,
            )
        )

    async def _act(self, action: str) -> None:
        """Send its request, or bring the service to its number of replicas."""
        try:
            await self._send(action)
        finally:
            self._acted_ns = self.hands.clock.now_ns()

    async def _send(self, action: str) -> None:
        wanted, known = self.hands.scale.get(action), self.hands.replicas
        if wanted is not None:
            await scale(wanted)
            return
        found = {} if known is None else await known.addresses()
        await send(self.hands.sender, self.hands.actions[action], found)

    def _undo_of(self, step: Step) -> Undo | None:
        name = step.block.undo
        if name is None:
            return None
        if name in self.hands.scale:
            return self.hands.scale[name]
        sender = self.hands.sender
        action, url = self.hands.actions[name], self.hands.base_url
        known = self.hands.replicas
        return undo_record(
            name,
            action,
            url,
            sender.values,
            tls=sender.tls,
            project=self.hands.project,
            service="" if known is None else known.service,
        )
