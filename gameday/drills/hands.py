"""Hands of a session without a system: what is done is told, not done.

A step or an action has its records as in any run; what came of it is asked of whoever knows, a
recording or the playbook. Nothing is sent anywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from gameday.core.clock import Clock
from gameday.core.messages import Message
from gameday.evidence.events import ActionDone, ActionStarted, StepStarted
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import Sender
from gameday.run.readings import Readings
from gameday.run.responder.hands import Hands, StepOutcome
from gameday.spec.playbook import Playbook, Step
from gameday.spec.system import System

_NOWHERE: Final = "http://127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class AskedAct:
    """An act that is asked about: an action of the system file, a step, or both."""

    action: str | None
    step: Step | None = None
    undoing: bool = False


@dataclass(frozen=True, slots=True)
class ActEnd:
    """The end of an act, and how long it takes to be seen (s)."""

    outcome: StepOutcome
    took_s: float = 0.0


class DetachedHands(Hands):
    """Hands whose acts end as `end_of` says."""

    end_of: Callable[[AskedAct], ActEnd]

    async def work(self, step: Step, by: str = "bot") -> StepOutcome:
        begun_ns = self.clock.now_ns()
        self._begins(step, by, undoing=False)
        result = await self._end(AskedAct(step.block.do, step))
        if result.status == "done":
            self._note(step, step.block.undo)
        self._done(step, begun_ns, result, undoing=False)
        return result

    async def act(self, name: str, by: str) -> StepOutcome:
        self.journal.write(ActionStarted(do=name, by=by, undoing=False, readings=self._newest()))
        result = await self._end(AskedAct(name))
        self._ends(name, result, undoing=False)
        return result

    async def undo(self, what: Step | str, by: str) -> StepOutcome:
        if isinstance(what, Step):
            if what not in self.worked:
                return StepOutcome("not_applicable", None, Message("step.nothing_to_undo"))
            begun_ns = self.clock.now_ns()
            self._begins(what, by, undoing=True)
            result = await self._end(AskedAct(what.block.undo, what, undoing=True))
            self.worked.remove(what)
            self._done(what, begun_ns, result, undoing=True)
            return result
        self.journal.write(ActionStarted(do=what, by=by, undoing=True))
        result = await self._end(AskedAct(self._undoes(what), undoing=True))
        self._ends(what, result, undoing=True)
        return result

    async def take_back(self, at_most_s: float | None = None) -> None:
        """Nothing was done, so there is nothing to take back."""

    async def _end(self, act: AskedAct) -> StepOutcome:
        end = self.end_of(act)
        await self.clock.sleep(end.took_s)
        return end.outcome

    def _begins(self, step: Step, by: str, *, undoing: bool) -> None:
        self.journal.write(
            StepStarted(
                step=step.number,
                text=step.text,
                do=step.block.undo if undoing else step.block.do,
                by=by,
                undoing=undoing,
                playbook=step.book or None,
                readings=None if undoing else self._state(step),
            )
        )

    def _ends(self, name: str, result: StepOutcome, *, undoing: bool) -> None:
        self.journal.write(
            ActionDone(
                do=name,
                status=result.status,
                why=result.why.text(),
                message=result.why,
                undoing=undoing,
                readings=self._newest(),
            )
        )

    async def _act(self, action: str) -> NoReturn:
        raise AssertionError(f"{action}: there is no system to do it to")


def detached_hands(
    system: System, books: Sequence[Playbook], readings: Readings, journal: Journal, clock: Clock
) -> DetachedHands:
    """Hands at a system that is not there; `end_of` is still to be set."""
    scale: Mapping[str, None] = dict.fromkeys(system.scale)
    return DetachedHands(
        None,
        system.actions,
        scale,
        _NOWHERE,
        Sender(_NOWHERE, {}, {}),
        readings,
        journal,
        clock,
        offered=books,
    )
