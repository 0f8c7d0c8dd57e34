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
from gameday.core.messages import Message
from gameday.core.processes.deadlines import in_time
from gameday.evidence.event_fields import YesNo
from gameday.evidence.events import FaultDosed, FaultProbed, Observation
from gameday.injection.verify import traffic_needed
from gameday.injection.verify.impact_verdict import Felt, prompt, shifts
from gameday.injection.verify.injection_verdict import dose, injected, unmeasured
from gameday.injection.verify.probe_verdict import show
from gameday.injection.verify.readback import IN_PLACE, Place, in_place, proxy_of
from gameday.injection.verify.traffic_needed import CALM_S
from gameday.injection.verify.traffic_windows import Stretch, stretches, worst_lag_s
from gameday.run.context import Run
from gameday.run.readings import Readings
from gameday.spec.changes import Change, CommandChange, ExtraTraffic
from gameday.spec.faults import Fault
from gameday.spec.undos import NetworkUndo, ProxyState, Undo
from gameday.telemetry.catalogue import key
from gameday.telemetry.promql import parse
from gameday.traffic import history
from gameday.traffic.history import Outcome

AGAIN_S = 0.2  # a probe takes some ms where it is answered; a server is not hammered with them
WATCH_S = 0.5  # somebody who takes a fault out of a run of seconds is seen before it ends
PROBED_LONG = ("redis", "postgres")  # what a probe cannot show there needs their own metric
READ_S = 60.0  # for the histories, which are as long as the run has been
STARTED_SHARE = 0.95  # below it the generator counts as limited too (traffic.metrics.generator)


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
        self._seen: Observation | None = None
        self._looks: list[bool | None] = []
        self._lasts = True
        self._injected_ns = 0

    def begins(self, injected_ns: int, undos: Sequence[Undo]) -> None:
        """The fault is in since then."""
        self._injected_ns, self._undos = injected_ns, undos

    def tell_absent(self, why: Message) -> None:
        """Journal that it was not injected, and why."""
        self._dosed("no", None, [], why)

    async def look(self) -> None:
        """Witness P: asked until it says yes, and watched until the fault ends."""
        if isinstance(self._changes[0], ExtraTraffic):
            return
        self._proxies = [await self._proxy(undo) for undo in self._undos]
        while self._seen is None or not self._seen.ok:
            self._tell_seen(await self._sight())
            await self._run.clock.sleep(AGAIN_S)
        self._lasts = (await self._in_place())[0] is not False or self._changes[0].probed
        while self._lasts and self._seen.ok:
            there, why = await self._in_place()
            self._looks.append(there)
            if there is False:
                gone = Message("verify.did_not_stay", why=why)
                self._tell_seen(unmeasured(gone, ok=False))
            await self._run.clock.sleep(WATCH_S)

    def _tell_seen(self, seen: Observation) -> None:
        """Keep what P says now, and journal it when it is news."""
        if seen != self._seen:
            self._run.journal.write(FaultProbed.of(self._id, seen))
        self._seen = seen

    async def _sight(self) -> Observation:
        """Witness P, once."""
        own = await self._own_dose()
        if own is not None:
            return own
        there, why = await self._in_place()
        if not there:
            return unmeasured(why, ok=there)
        spot = self._run.spots.get(self._fault.on)
        return await show(self._changes[0], spot, self._run.clock)

    async def _own_dose(self) -> Observation | None:
        """The change's own measurement, if its kind has one; the first that is not a yes."""
        told = None
        for undo in self._undos:
            try:
                one = await self._run.drivers.dose(undo)
            except GamedayError as error:
                return unmeasured(Message("verify.no_dose", error=error.message), ok=None)
            if one is not None:
                ok, measured, unit, why = one
                told = Observation("P", ok, None, measured, unit, 1, message=why)
                if not ok:
                    break
        return told

    async def _in_place(self) -> Place:
        """True if every change is there as asked for; else the first that is not, and why."""
        environment = self._run.environment
        for change, undo, proxy in zip(self._changes, self._undos, self._proxies, strict=True):
            there, why = await in_place(self._run.drivers, change, undo, proxy, environment)
            if not there:
                return there, why
        return IN_PLACE

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
        by_traffic = p is not None and not p.shown and self._tells_by_traffic(change)
        felt = await self._felt(change, removed_ns, p, by_traffic=by_traffic)
        for seen in felt:
            self._run.journal.write(FaultProbed.of(self._id, seen))
        verdict, why = injected(p, felt, probed=change.probed, by_traffic=by_traffic)
        self._dosed(verdict, p, felt, why)

    def _tells_by_traffic(self, change: Change) -> bool:
        """True where no probe could show it, and the service's own metric is not named either."""
        if self._fault.on in self._run.system.dependencies:
            return False
        if isinstance(change, CommandChange):
            return True
        spot = self._run.spots.get(self._fault.on)
        return spot is not None and spot.protocol not in PROBED_LONG

    def _final(self) -> Observation | None:
        """The probe's observation; unknown if more than half of the read-backs failed."""
        blind = sum(there is None for there in self._looks)
        if self._seen is not None and self._seen.ok and blind > len(self._looks) / 2:
            return unmeasured(Message("verify.not_read_back"), ok=None)
        return self._seen

    async def _felt(
        self, change: Change, removed_ns: int, p: Observation | None, *, by_traffic: bool
    ) -> list[Observation]:
        """Witnesses S and T; `by_traffic`: T alone, if its reaction began with the fault."""
        begin = self._injected_ns
        width_s = traffic_needed.width_s((removed_ns - begin) / NS, lasts=self._lasts)
        calm_s = min(CALM_S, max(0.0, (begin - self._run.t0_ns) / NS))
        calm_ns = begin - int(calm_s / width_s) * round(width_s * NS)
        before = await self._traffic(calm_ns, begin, width_s)
        during = await self._traffic(begin, removed_ns, width_s)
        if by_traffic:
            return prompt(change, Felt([], before), Felt([], during), self._stock())
        metric = self._run.system.dependencies.get(self._fault.on)
        window_s = parse(metric).window_s if metric else 0.0
        seen = _Metric(key("dependency", self._fault.on), window_s, [*before, *during])
        return shifts(
            change,
            Felt(seen.between(self._run.readings, begin - int(CALM_S * NS), begin), before),
            Felt(seen.between(self._run.readings, begin, removed_ns + NS), during),
            dependency=metric is not None,
            window_s=window_s,
            stock=self._stock(),
            p=p,
        )

    def _stock(self) -> int | None:
        """How many can be issued; None where that is not known."""
        stock = self._run.stock
        return None if stock is None else self._run.system.semantics.issues_of(stock)

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
    ) -> tuple[YesNo, Observation | None, Sequence[Observation], Message]:
        """The dose of a spike: how many of its due starts were really made."""
        lasted_s = min((removed_ns - self._injected_ns) / NS, change.duration_s)
        due = max(1.0, change.rate_per_s * lasted_s)
        try:
            counting = asyncio.to_thread(self._started, change.scenario)
            started = await in_time(counting, READ_S)
        except (OSError, ValueError) as error:
            return "unknown", None, [], unreadable_history(error)
        share = min(1.0, started / due)
        why = Message("verify.extra_traffic", started=started, due=due)
        seen = Observation(
            "P", share >= STARTED_SHARE, 1.0, round(share, 3), "share", started, message=why
        )
        return ("yes" if seen.ok else "no"), seen, [], why

    def _started(self, scenario: str) -> int:
        started = 0
        for records in history.of_scenario(self._run.history_dir, scenario):
            dropped = int((records.records["outcome"] == Outcome.DROPPED).sum())
            started += records.dispatched - dropped
        return started

    def _dosed(
        self, verdict: YesNo, p: Observation | None, felt: Sequence[Observation], why: Message
    ) -> None:
        seen = dose(p, felt)
        self._run.journal.write(FaultDosed(self._id, verdict, seen, why.text(), message=why))


def unreadable_history(error: Exception) -> Message:
    """Why nothing can be said of requests; a history that takes too long has no text of its own."""
    if text := str(error):
        return Message("verify.no_history", error=text)
    return Message("verify.no_history_in_time", within_s=READ_S)
