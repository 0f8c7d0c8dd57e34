"""Verification that a fault is in effect: observed while it lasts, judged when it is out.

Witness P is asked as soon as the fault is in, and again until it says yes; then the change is
read back until the fault ends, for somebody may take it out or turn it down. What the service and
the traffic felt can only be told afterwards, from the readings and the history.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.core.processes.deadlines import in_time
from gameday.evidence.events import FaultDosed, FaultProbed
from gameday.injection.verify.impact_verdict import Felt, shifts
from gameday.injection.verify.observation import (
    BESIDE_ALL,
    BESIDE_PROXY,
    Certainty,
    Sighting,
    dose,
    injected,
    unmeasured,
)
from gameday.injection.verify.readback import in_place, proxy_of
from gameday.injection.verify.toxics import show
from gameday.injection.verify.traffic_windows import Stretch, stretches, worst_lag_s
from gameday.run.context import Run
from gameday.run.readings import Readings
from gameday.spec.changes import Change, ExtraTraffic
from gameday.spec.faults import Fault
from gameday.spec.undos import NetworkUndo, ProxyState, Undo
from gameday.telemetry.catalogue import key
from gameday.telemetry.promql import parse
from gameday.traffic import history
from gameday.traffic.history import Outcome

CALM_S = 5.0
AGAIN_S = 0.2
WATCH_S = 0.5
STRETCH_S = 0.5
MOMENT_S = 0.25
READ_S = 60.0  # for the histories


@dataclass(frozen=True, slots=True)
class _Metric:
    """The service's own metric of its dependency, a figure over the last `window_s`."""

    name: str
    window_s: float
    lags: Sequence[Stretch]

    def between(self, readings: Readings, begin_ns: int, end_ns: int) -> list[float | None]:
        """Its readings, less what the machine held everybody up by in their windows."""
        window_ns = int(self.window_s * NS)
        return [
            None if figure is None else max(0.0, figure - worst_lag_s(self.lags, t - window_ns, t))
            for t, figure in readings.figures(self.name, begin_ns, end_ns)
        ]


class Dosing:
    """The dose of one fault, in one run."""

    def __init__(self, run: Run, fault: Fault) -> None:
        self._run = run
        self._fault = fault
        self._id = fault.id or fault.fault
        self._changes = fault.changes()
        self._undos: Sequence[Undo] = ()
        self._proxies: list[ProxyState | None] = []
        self._sighting: Sighting | None = None
        self._looks: list[bool | None] = []
        self._lasts = True
        self._injected_ns = 0

    def begins(self, injected_ns: int, undos: Sequence[Undo]) -> None:
        """The fault is in since then."""
        self._injected_ns, self._undos = injected_ns, undos

    def tell_absent(self, why: str) -> None:
        """Journal that it was not injected, and why."""
        self._dosed("no", None, [], why)

    async def look(self) -> None:
        """Witness P: asked until it says yes, and watched until the fault ends."""
        if isinstance(self._changes[0], ExtraTraffic):
            return
        self._proxies = [await self._proxy(undo) for undo in self._undos]
        while self._sighting is None or not self._sighting.ok:
            self._tell_seen(await self._sight())
            await self._run.clock.sleep(AGAIN_S)
        self._lasts = (await self._in_place())[0] is not False or self._changes[0].probed
        while self._lasts and self._sighting.ok:
            there, why = await self._in_place()
            self._looks.append(there)
            if there is False:
                self._tell_seen(unmeasured(f"it was in place and did not stay so: {why}", ok=False))
            await self._run.clock.sleep(WATCH_S)

    def _tell_seen(self, seen: Sighting) -> None:
        """Keep what P says now, and journal it when it is news."""
        if seen != self._sighting:
            self._run.journal.write(FaultProbed(id=self._id, **seen.as_json()))
        self._sighting = seen

    async def _sight(self) -> Sighting:
        """Witness P, once."""
        own = await self._own_dose()
        if own is not None:
            return own
        there, why = await self._in_place()
        if not there:
            return unmeasured(why, ok=there)
        spot = self._run.spots.get(self._fault.on)
        return await show(self._changes[0], spot, self._run.clock)

    async def _own_dose(self) -> Sighting | None:
        """The change's own measurement, if its kind has one; the first that is not a yes."""
        told = None
        for undo in self._undos:
            try:
                one = await self._run.drivers.dose(undo)
            except GamedayError as error:
                return unmeasured(f"its dose cannot be told: {error.message}", ok=None)
            if one is not None:
                ok, measured, unit, why = one
                told = Sighting("P", ok, None, measured, unit, 1, why)
                if not ok:
                    break
        return told

    async def _in_place(self) -> tuple[bool | None, str]:
        """True if every change is there as asked for; else the first that is not, and why."""
        environment = self._run.environment
        for change, undo, proxy in zip(self._changes, self._undos, self._proxies, strict=True):
            there, why = await in_place(self._run.drivers, change, undo, proxy, environment)
            if not there:
                return there, why
        return True, ""

    async def _proxy(self, undo: Undo) -> ProxyState | None:
        """The proxy as it is when the fault begins; None where there is none, or no answer."""
        if not isinstance(undo, NetworkUndo):
            return None
        try:
            return await proxy_of(undo)
        except GamedayError:
            return None

    async def conclude(self, removed_ns: int) -> None:
        """Journal the verdict of the witnesses, once the fault is out."""
        if not self._injected_ns:
            return
        change = self._changes[0]
        if isinstance(change, ExtraTraffic):
            self._dosed(*await self._extra_traffic(change, removed_ns))
            return
        p = self._final()
        felt = await self._felt(change, removed_ns)
        for sighting in felt:
            self._run.journal.write(FaultProbed(id=self._id, **sighting.as_json()))
        beside = BESIDE_PROXY if change.probed else BESIDE_ALL
        verdict, why = injected(p, felt, beside=beside)
        self._dosed(verdict, p, felt, why)

    def _final(self) -> Sighting | None:
        """The probe's observation; unknown if more than half of the read-backs failed."""
        blind = sum(there is None for there in self._looks)
        if self._sighting is not None and self._sighting.ok and blind > len(self._looks) / 2:
            why = "it was there at first, and could not be read back while it lasted"
            return unmeasured(why, ok=None)
        return self._sighting

    async def _felt(self, change: Change, removed_ns: int) -> list[Sighting]:
        """Witnesses S and T."""
        width_s = STRETCH_S if self._lasts else MOMENT_S
        begin = self._injected_ns
        width_s = min(width_s, max(0.1, (removed_ns - begin) / NS / 3))
        calm_s = min(CALM_S, max(0.0, (begin - self._run.t0_ns) / NS))
        calm_ns = begin - int(calm_s / width_s) * round(width_s * NS)
        before = await self._traffic(calm_ns, begin, width_s)
        during = await self._traffic(begin, removed_ns, width_s)
        metric = self._run.system.dependencies.get(self._fault.on)
        window_s = parse(metric).window_s if metric else 0.0
        seen = _Metric(key("dependency", self._fault.on), window_s, [*before, *during])
        return shifts(
            change,
            Felt(seen.between(self._run.readings, begin - int(CALM_S * NS), begin), before),
            Felt(seen.between(self._run.readings, begin, removed_ns + NS), during),
            dependency=metric is not None,
            window_s=window_s,
        )

    async def _traffic(self, begin_ns: int, end_ns: int, width_s: float) -> list[Stretch]:
        """The traffic of a stretch of time; none when the history cannot be read.

        In a thread: a history is as long as the run has been.
        """
        try:
            reading = asyncio.to_thread(self._stretches, begin_ns, end_ns, width_s)
            return await in_time(reading, READ_S)
        except (GamedayError, OSError, ValueError) as error:
            self._run.journal.write(FaultProbed(id=self._id, witness="T", problem=str(error)))
            return []

    def _stretches(self, begin_ns: int, end_ns: int, width_s: float) -> list[Stretch]:
        read = [history.read(path) for path in self._run.history_dir.glob("*.bin")]
        return stretches(read, begin_ns, end_ns, self._run.clock.now_ns(), width_s)

    async def _extra_traffic(
        self, change: ExtraTraffic, removed_ns: int
    ) -> tuple[Certainty, Sighting | None, Sequence[Sighting], str]:
        """The dose of a spike: how many of its due starts were really made."""
        lasted_s = min((removed_ns - self._injected_ns) / NS, change.duration_s)
        due = max(1.0, change.rate_per_s * lasted_s)
        try:
            counting = asyncio.to_thread(self._started, change.scenario)
            started = await in_time(counting, READ_S)
        except (OSError, ValueError) as error:
            why = f"its history cannot be read: {str(error) or f'no end within {READ_S:g} s'}"
            return "unknown", None, [], why
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
            FaultDosed(id=self._id, injected=verdict, dose=dose(p, felt), why=why)
        )
