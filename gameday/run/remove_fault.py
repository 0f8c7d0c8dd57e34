"""A fault taken out again, and the proof that things are as they were before it.

Taken out is one thing: every part reads back as gone, by whatever steps that needed. Proven is
another: latency is as before too. A loaded machine can deny the second without any fault, so a
fault that is gone but not proven is `unknown`, and nothing more is pressed for it.
"""

import asyncio
from collections.abc import Sequence

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.core.processes.deadlines import in_time
from gameday.evidence.event_fields import YesNo
from gameday.evidence.events import FaultEscalated
from gameday.injection.drivers.proxy import OWN_SERVER
from gameday.injection.drivers.traffic import switch_off
from gameday.injection.heal import all_gone
from gameday.injection.undo_policy import UndoPolicy
from gameday.injection.verify.probe import Spot, knock
from gameday.injection.verify.recovery import LatencyNow, compare
from gameday.run.context import Run
from gameday.run.verify_injection import READ_S, unreadable_history
from gameday.spec.faults import Fault
from gameday.spec.undos import CommandUndo, ProxyUndo, TrafficUndo, Undo
from gameday.traffic import history

GONE_WITHIN_S = 10.0  # as long as all steps of a removal take together (`injection.escalation`)
ATTEMPT_S = 2.5  # one more without a step: REMOVE_S and READ_S of `injection.escalation`, rounded
NORMAL_WITHIN_S = 10.0  # a pool of connections that the fault broke is made anew in seconds
ABORTED_NORMAL_WITHIN_S = 3.0  # somebody waits for the end of the run
BETWEEN_S = 0.1  # two attempts, or two looks: a server is not asked without a pause
ORDER_S = 0.3  # until the order to end extra traffic has reached every worker
COUNT_S = 1.0  # in which not one more request may start
LOOK_S = 3.0  # 40 probes, 4 at a time; a look that takes longer is not calm


class Removal:
    """The end of one fault, in one run."""

    def __init__(self, run: Run, fault: Fault, undos: Sequence[Undo]) -> None:
        self._run = run
        self._fault = fault
        self._undos = undos
        self._problem = ""

    async def take_out(self) -> bool | None:
        """Undo until every part reads back as gone; None when that could not be read."""
        begun_ns = self._run.clock.now_ns()
        policy = UndoPolicy(on_escalation=self._on_escalation)
        while True:
            gone = await self._attempt(policy)
            if policy.escalate and isinstance(self._undos[0], CommandUndo):
                begun_ns = self._run.clock.now_ns()  # its own undo may take all of that time
            passed_s = (self._run.clock.now_ns() - begun_ns) / NS
            if gone or passed_s + ATTEMPT_S > GONE_WITHIN_S:
                self._run.injection.stopped_on_purpose.discard(OWN_SERVER)
                return gone
            policy = UndoPolicy(
                escalate=False, refused_s=0
            )  # every step was taken; it may work now
            await self._run.clock.sleep(BETWEEN_S)

    async def _attempt(self, policy: UndoPolicy) -> bool | None:
        """Undo each part, whatever becomes of the others, and read back."""
        self._problem = ""
        for undo in reversed(self._undos):
            try:
                await self._undo(undo, policy)
            except GamedayError as error:
                self._problem = f"{error.message}; {error.help}" if error.help else error.message
                policy = UndoPolicy(escalate=False, refused_s=0)
        if self._problem:
            return None
        try:
            found = [
                await self._run.drivers.look(undo, self._run.environment) for undo in self._undos
            ]
        except GamedayError as error:
            self._problem = error.message
            return None
        self._problem = next((state.why for state in found if not state.gone), "")
        return all_gone([state.gone for state in found])

    async def _undo(self, undo: Undo, policy: UndoPolicy) -> None:
        if isinstance(undo, TrafficUndo):
            await switch_off(undo, self._run.injection)
        else:
            await self._run.drivers.undo(undo, self._run.environment, policy)

    async def _on_escalation(self, step: str, why: str, undos: Sequence[Undo]) -> None:
        """Journal a step beyond the fault itself, with what would take that one back."""
        if step == "restart":
            self._run.injection.stopped_on_purpose.add(OWN_SERVER)  # it is ended on purpose
        await self._run.journal.write_durably(
            FaultEscalated(
                id=self._fault.id or self._fault.fault,
                step=step,
                why=why,
                undo=undos,
            )
        )

    async def prove(self, *, gone: bool | None) -> tuple[YesNo, Message]:
        """Evidence that things are as they were before the fault."""
        if gone is False:
            return "no", Message("removal.still_there", problem=self._problem)
        if not gone:
            return "unknown", Message("removal.not_read_back", problem=self._problem)
        return await self._is_as_before(self._undos[0])

    async def _is_as_before(self, first: Undo) -> tuple[YesNo, Message]:
        """Evidence beyond the read-back, where there can be any."""
        if isinstance(first, TrafficUndo):
            return await self._rate_is_back(first.scenario)
        if isinstance(first, CommandUndo):
            if first.checked is None:
                return "unknown", Message("removal.command_unchecked")
            return "yes", Message("removal.command_checked")
        spot = self._run.spots.get(self._fault.on)
        if spot is not None and spot.before_ms is not None:
            return await self._latency_is_back(spot)
        if spot is not None and isinstance(first, ProxyUndo):
            return await self._takes_connections(spot)
        return "yes", Message("removal.not_compared")

    async def _takes_connections(self, spot: Spot) -> tuple[YesNo, Message]:
        """Connections are taken again, and not closed at once, where nothing may be asked."""
        begun_ns = self._run.clock.now_ns()
        while (self._run.clock.now_ns() - begun_ns) / NS < self._patience_s():
            if (await knock(spot.address, self._run.clock)).answer == "accepted":
                return "yes", Message("removal.takes_connections")
            await self._run.clock.sleep(BETWEEN_S)
        return "unknown", Message("removal.takes_no_connections")

    async def _latency_is_back(self, spot: Spot) -> tuple[YesNo, Message]:
        """Latency as before, or both figures where it is not."""
        both = "through" if spot.upstream is None else "difference"
        last = await self._calms_down(spot)
        if last is not None and last.is_calm:
            return "yes", Message(f"removal.{both}_is_back")
        if last is None or last.now_ms is None:
            return "unknown", Message("removal.too_few_answers")
        return "unknown", Message(
            f"removal.{both}_is_not_back", now_ms=last.now_ms, most_ms=last.most_ms
        )

    async def _calms_down(self, spot: Spot) -> LatencyNow | None:
        """The first comparison that is calm, else the last in the time for it; None without any."""
        begun_ns = self._run.clock.now_ns()
        last = None
        while (left_s := self._patience_s() - (self._run.clock.now_ns() - begun_ns) / NS) > 0:
            try:
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    last = await compare(spot, self._run.clock)
                if last.is_calm:
                    return last
            except TimeoutError:
                continue  # too few probes are answered for it to be calm
            await self._run.clock.sleep(BETWEEN_S)
        return last

    def _patience_s(self) -> float:
        """Seconds to wait for calm: fewer once somebody waits for the run to end."""
        return ABORTED_NORMAL_WITHIN_S if self._run.abort.event.is_set() else NORMAL_WITHIN_S

    async def _rate_is_back(self, name: str) -> tuple[YesNo, Message]:
        """No further start of the extra scenario within a second."""
        await self._run.clock.sleep(ORDER_S)
        try:
            early = await in_time(asyncio.to_thread(self._dispatched, name), READ_S)
            await self._run.clock.sleep(COUNT_S)
            late = await in_time(asyncio.to_thread(self._dispatched, name), READ_S)
        except (OSError, ValueError) as error:
            return "unknown", unreadable_history(error)
        if late == early:
            return "yes", Message("removal.rate_is_back")
        return "no", Message("removal.rate_goes_on", more=late - early)

    def _dispatched(self, scenario: str) -> int:
        found = history.of_scenario(self._run.history_dir, scenario)
        return sum(each.dispatched for each in found)
