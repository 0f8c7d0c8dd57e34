"""One fault, from waiting for its moment to the proof that it is gone.

Each fault has a task of its own: wait until `at`, enter, wait out `duration`, leave. How to
undo it is journaled, on the disk, before it is injected. Leaving happens however the waiting
ended, so an abort only has to cancel the tasks, and each undoes itself.
"""

import asyncio
from collections.abc import Sequence

from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.events import (
    FaultInjected,
    FaultInjecting,
    FaultProven,
    FaultRemoved,
    FaultRemoving,
)
from gameday.injection.process.run_once import end_acting
from gameday.run.context import Run, to_the_end
from gameday.run.guards import last_look
from gameday.run.remove_fault import Removal
from gameday.run.verify_injection import Dosing
from gameday.spec.changes import Change
from gameday.spec.faults import Fault
from gameday.spec.undos import CommandUndo, Undo


class FaultTask:
    """One fault of the method, in one run."""

    def __init__(self, run: Run, fault: Fault) -> None:
        self._run = run
        self._fault = fault
        self.id = fault.id or fault.fault
        self._undos: list[Undo] = []
        self._dosing = Dosing(run, fault)
        self.entered = False

    async def work(self) -> None:
        """The whole life of the fault. Cancelling it, at whatever moment, makes it undo itself."""
        begin_s = self._fault.at.total_seconds()
        await self._run.until(begin_s)
        if self._run.drill is not None and self._run.drill.mitigated.is_set():
            return  # what it was a part of is over
        try:
            if await self._enter():
                await self._look_and_wait(begin_s + self._fault.duration.total_seconds())
        finally:
            if self.entered:
                await to_the_end(self._leave())

    @property
    def _is_first(self) -> bool:
        """True if no fault can have come before it."""
        return self._fault.at == min(fault.at for fault in self._run.experiment.method)

    async def _enter(self) -> bool:
        """Journal how to undo, then act; False when nothing could be injected."""
        changes = self._fault.changes()
        try:
            self._undos = [await self._run.drivers.prepare(c, self._run.injection) for c in changes]
        except GamedayError as error:
            self._dosing.tell_absent(Message("absent.not_prepared", error=error.message))
            return False
        if self._is_first:
            await last_look(self._run)  # preparing may have taken its time
        if self._run.abort.event.is_set():
            return False  # whoever ended the run must not see a fault begin after that
        self.entered = True  # from here on it is undone, however this task ends
        begun = await self._run.journal.write_durably(
            FaultInjecting(
                id=self.id,
                fault=self._fault.fault,
                target=self._fault.on,
                changes=[c.as_json() for c in changes],
                undo=self._undos,
            )
        )
        if self._run.journal.problem:
            self._dosing.tell_absent(Message("absent.no_record"))
            return False
        try:
            await to_the_end(self._act(changes))
        except GamedayError as error:
            self._dosing.tell_absent(Message("absent.not_injected", error=error.message))
            return False
        self._run.journal.write(FaultInjected(id=self.id))
        self._dosing.begins(begun.t_ns, self._undos)  # a restart is felt before it is complete
        return True

    async def _act(self, changes: Sequence[Change]) -> None:
        for change, undo in zip(changes, self._undos, strict=True):
            ending = asyncio.create_task(self._end_on_abort(undo))
            try:
                await self._run.drivers.act(change, undo, self._run.injection)
            finally:
                if not self._run.abort.event.is_set():
                    ending.cancel()  # else it ends what is left of the command's session
                await asyncio.gather(ending, return_exceptions=True)

    async def _end_on_abort(self, undo: Undo) -> None:
        """End a command that is still at work when the run is aborted: its fault comes out now."""
        if isinstance(undo, CommandUndo) and undo.acting is not None:
            await self._run.abort.event.wait()
            await end_acting(undo.acting, self._run.clock)

    async def _look_and_wait(self, end_s: float) -> None:
        """Probe the dose while the fault lasts; a failing probe never shortens it."""
        looking = asyncio.create_task(self._dosing.look())
        try:
            await self._run.fault_over(end_s)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _leave(self) -> None:
        """Take it out, read back that it is gone, and prove that things are as before."""
        self._run.journal.write(FaultRemoving(id=self.id))
        removal = Removal(self._run, self._fault, self._undos)
        gone = await removal.take_out()
        record = await self._run.journal.write_durably(FaultRemoved(id=self.id, gone=gone))
        self._run.injection.stopped_on_purpose -= {undo.thing for undo in self._undos}
        await self._dosing.conclude(record.t_ns)
        removed, why = await removal.prove(gone=gone)
        await self._run.journal.write_durably(
            FaultProven(id=self.id, removed=removed, why=why.text(), message=why)
        )
