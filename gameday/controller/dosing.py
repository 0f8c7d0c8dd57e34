"""Whether a fault's dose was there: probed while it lasts, judged when it is out.

The probe through the proxy is made as soon as the fault is in, and again until it says yes. What
the service and the traffic felt can only be told afterwards, from the readings.
"""

from collections.abc import Sequence
from typing import Literal

from gameday import effects, history
from gameday.changes import Change, Undo
from gameday.clock import NS
from gameday.controller.run import Run
from gameday.errors import GamedayError
from gameday.faults import Fault
from gameday.history import Outcome
from gameday.witness import (
    SILENCE_S,
    Sighting,
    Spot,
    dose,
    injected,
    judge_probes,
    probe,
    shifts,
)

CALM_S = 5.0
Certainty = Literal["yes", "no", "unknown"]


class Dosing:
    """The dose of one fault, in one run."""

    def __init__(self, run: Run, fault: Fault) -> None:
        self._run = run
        self._fault = fault
        self._id = fault.id or fault.fault
        self._undos: Sequence[Undo] = ()
        self._sighting: Sighting | None = None
        self._injected_ns = 0

    def begins(self, injected_ns: int, undos: Sequence[Undo]) -> None:
        """The fault is in since then."""
        self._injected_ns, self._undos = injected_ns, undos

    def tell_absent(self, why: str) -> None:
        """Journal that it was not injected, and why."""
        self._dosed("no", None, [], why)

    async def look(self) -> None:
        """Witness P, asked again until it says yes or the fault ends."""
        change = self._fault.changes()[0]
        spot = self._run.spots.get(self._fault.on)
        if spot is None:
            return
        while self._sighting is None or not self._sighting.ok:
            self._sighting = await self._sight(change, spot)
            self._run.journal.write("fault.probed", id=self._id, **self._sighting.as_json())
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

    def tell(self, removed_ns: int) -> None:
        """Journal the verdict of the witnesses, once the fault is out."""
        if not self._injected_ns:
            return
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
            self._run.journal.write("fault.probed", id=self._id, **sighting.as_json())
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
            "fault.dosed", id=self._id, injected=verdict, dose=dose(p, felt), why=why
        )
