"""One fault, from waiting for its moment to the proof that it is gone.

Each fault has a task of its own: wait until `at`, enter, wait out `duration`, leave. How to
undo it is journaled, on the disk, before it is injected. Leaving happens however the waiting
ended, so an abort only has to cancel the tasks, and each undoes itself.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from gameday import effects, history
from gameday.changes import Change, Undo
from gameday.clock import NS
from gameday.controller.run import Run, to_the_end
from gameday.effects.traffic import switch_off
from gameday.errors import GamedayError
from gameday.faults import Fault
from gameday.history import Outcome
from gameday.witness import (
    SILENCE_S,
    Sighting,
    Spot,
    back_to_normal,
    dose,
    injected,
    judge_probes,
    probe,
    shifts,
)

GONE_WITHIN_S = 10.0
NORMAL_WITHIN_S = 10.0
ABORTED_NORMAL_WITHIN_S = 3.0
CALM_S = 5.0
Certainty = Literal["yes", "no", "unknown"]


class FaultTask:
    """One fault of the method, in one run."""

    def __init__(self, run: Run, fault: Fault) -> None:
        self._run = run
        self._fault = fault
        self.id = fault.id or fault.fault
        self._undos: list[Undo] = []
        self._sighting: Sighting | None = None
        self._injected_ns = 0
        self.entered = False

    async def work(self) -> None:
        """The whole life of the fault. Cancelling it, at whatever moment, makes it undo itself."""
        begin_s = self._fault.at.total_seconds()
        await self._run.until(begin_s)
        try:
            if await self._enter():
                await self._look_and_wait(begin_s + self._fault.duration.total_seconds())
        finally:
            if self.entered:
                await to_the_end(self._leave())

    async def _enter(self) -> bool:
        """Journal how to undo, then act; False when nothing could be injected."""
        changes = self._fault.changes()
        try:
            self._undos = [await effects.prepare(c, self._run.site) for c in changes]
        except GamedayError as error:
            self._dosed("no", None, [], f"it could not be prepared: {error.message}")
            return False
        self.entered = True  # from here on it is undone, however this task ends
        await self._run.journal.write_durably(
            "fault.injecting",
            id=self.id,
            fault=self._fault.fault,
            target=self._fault.on,
            changes=[c.as_json() for c in changes],
            undo=[u.as_json() for u in self._undos],
        )
        if self._run.journal.problem:
            self._dosed("no", None, [], "how to undo it could not be written down")
            return False
        try:
            await to_the_end(self._act(changes))
        except GamedayError as error:
            self._dosed("no", None, [], f"it could not be injected: {error.message}")
            return False
        self._injected_ns = self._run.journal.write("fault.injected", id=self.id).t_ns
        return True

    async def _act(self, changes: Sequence[Change]) -> None:
        for change, undo in zip(changes, self._undos, strict=True):
            await effects.act(change, undo, self._run.site)

    async def _look_and_wait(self, end_s: float) -> None:
        """Probe the dose while the fault lasts; a failing probe never shortens it."""
        change = self._fault.changes()[0]
        looking = asyncio.create_task(self._look(change))
        try:
            await self._run.until(end_s)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self, change: Change) -> None:
        """Witness P, asked again until it says yes or the fault ends."""
        spot = self._run.spots.get(self._fault.on)
        if spot is None:
            return
        while self._sighting is None or not self._sighting.ok:
            self._sighting = await self._sight(change, spot)
            self._run.journal.write("fault.probed", id=self.id, **self._sighting.as_json())
            await self._run.clock.sleep(0.2)

    async def _sight(self, change: Change, spot: Spot) -> Sighting:
        if not await self._in_place():
            why = "it does not read back as in place"
            return Sighting("P", ok=False, asked=None, measured=None, unit="", n=0, why=why)
        if spot.protocol == "unknown":
            why = "it reads back as in place; no probe speaks this service's protocol"
            return Sighting("P", ok=True, asked=None, measured=None, unit="", n=0, why=why)
        patience_s = SILENCE_S + change.data.get("attributes", {}).get("latency", 0) / 500
        probes = await probe(spot.address, spot.protocol, self._run.clock, patience_s)
        return judge_probes(change, probes, spot.before_ms)

    async def _in_place(self) -> bool:
        try:
            return not any([await effects.read_back(u) for u in self._undos])
        except GamedayError:
            return False

    async def _leave(self) -> None:
        """Take it out, read back that it is gone, and prove that things are as before."""
        self._run.journal.write("fault.removing", id=self.id)
        gone = await self._take_out()
        record = await self._run.journal.write_durably("fault.removed", id=self.id, gone=gone)
        if self._injected_ns:
            self._tell_dose(record.t_ns)
        removed, why = await self._prove(gone=gone)
        await self._run.journal.write_durably("fault.proven", id=self.id, removed=removed, why=why)

    async def _take_out(self) -> bool | None:
        """Undo until every part reads back as gone; None when that could not be read."""
        deadline = self._run.clock.now_ns() + int(GONE_WITHIN_S * NS)
        gone: bool | None = None
        while True:
            try:
                for undo in reversed(self._undos):
                    await self._undo(undo)
                gone = all([await effects.read_back(u) for u in self._undos])
            except GamedayError:
                gone = None
            if gone or self._run.clock.now_ns() > deadline:
                return gone
            await self._run.clock.sleep(0.1)

    async def _undo(self, undo: Undo) -> None:
        if undo.kind == "traffic":
            await switch_off(undo, self._run.site)
        else:
            await effects.undo(undo)

    def _tell_dose(self, removed_ns: int) -> None:
        change = self._fault.changes()[0]
        if change.kind == "traffic":
            self._dosed(*self._extra_traffic(change, removed_ns))
            return
        begin = self._injected_ns
        before = self._run.readings.felt(self._fault.on, begin - int(CALM_S * NS), begin)
        during = self._run.readings.felt(self._fault.on, begin, removed_ns + NS)
        known = self._fault.on in self._run.system.dependencies
        felt = shifts(change, before, during, dependency=known)
        for sighting in felt:
            self._run.journal.write("fault.probed", id=self.id, **sighting.as_json())
        verdict, why = injected(self._sighting, felt)
        self._dosed(verdict, self._sighting, felt, why)

    def _extra_traffic(
        self, change: Change, removed_ns: int
    ) -> tuple[Certainty, Sighting | None, Sequence[Sighting], str]:
        """The dose of a spike: how many of its due starts were really made."""
        lasted_s = min((removed_ns - self._injected_ns) / NS, change.data["duration_s"])
        due = max(1.0, change.data["rate_per_s"] * lasted_s)
        started = self._started(change.data["scenario"])
        share = min(1.0, started / due)
        why = f"{started} of {due:.0f} due requests were started"
        sighting = Sighting("P", share >= 0.95, 1.0, round(share, 3), "share", started, why)
        return ("yes" if sighting.ok else "no"), sighting, [], why

    def _started(self, scenario: str) -> int:
        started = 0
        for path in self._run.history_dir.glob(f"{scenario}-*.bin"):
            records = history.read(path)
            dropped = int((records.records["outcome"] == Outcome.DROPPED).sum())
            started += records.dispatched - dropped
        return started

    def _dosed(
        self, verdict: Certainty, p: Sighting | None, felt: Sequence[Sighting], why: str
    ) -> None:
        self._run.journal.write(
            "fault.dosed", id=self.id, injected=verdict, dose=dose(p, felt), why=why
        )

    async def _prove(self, *, gone: bool | None) -> tuple[Certainty, str]:
        """Whether things are as they were before the fault."""
        if not gone:
            why = "it still reads back as in place" if gone is False else "it cannot be read back"
            return "no", why
        if self._undos[0].kind == "traffic":
            return await self._rate_is_back()
        spot = self._run.spots.get(self._fault.on)
        if spot is None or spot.before_ms is None:
            return "yes", "it reads back as gone; latency was not known before, so not compared"
        begun_ns = self._run.clock.now_ns()
        while self._run.clock.now_ns() - begun_ns < self._patience_s() * NS:
            probes = await probe(spot.address, spot.protocol, self._run.clock)
            if back_to_normal(probes, spot.before_ms):
                return "yes", "it reads back as gone, and latency through the proxy is as before"
            await self._run.clock.sleep(0.2)
        return "unknown", "it reads back as gone, but latency through the proxy is not as before"

    def _patience_s(self) -> float:
        """How long to wait for calm: less once somebody waits for the run to end."""
        return ABORTED_NORMAL_WITHIN_S if self._run.abort.event.is_set() else NORMAL_WITHIN_S

    async def _rate_is_back(self) -> tuple[Certainty, str]:
        """No further start of the extra scenario within a second."""
        name = self._undos[0].data["scenario"]
        await self._run.clock.sleep(0.3)
        early = self._dispatched(name)
        await self._run.clock.sleep(1.0)
        late = self._dispatched(name)
        if late == early:
            return "yes", "its last request was started; the offered rate is as before"
        return "no", f"{late - early} more requests were started in the second after it ended"

    def _dispatched(self, scenario: str) -> int:
        paths = self._run.history_dir.glob(f"{scenario}-*.bin")
        return sum(history.read(path).dispatched for path in paths)
