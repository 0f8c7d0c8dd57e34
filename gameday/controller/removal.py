"""A fault taken out again, and the proof that things are as they were before it."""

from collections.abc import Sequence

from gameday import effects, history
from gameday.changes import Undo
from gameday.clock import NS
from gameday.controller.dosing import Certainty
from gameday.controller.run import Run
from gameday.effects.traffic import switch_off
from gameday.errors import GamedayError
from gameday.faults import Fault
from gameday.witness import back_to_normal, probe

GONE_WITHIN_S = 10.0
NORMAL_WITHIN_S = 10.0
ABORTED_NORMAL_WITHIN_S = 3.0


class Removal:
    """The end of one fault, in one run."""

    def __init__(self, run: Run, fault: Fault, undos: Sequence[Undo]) -> None:
        self._run = run
        self._fault = fault
        self._undos = undos

    async def take_out(self) -> bool | None:
        """Undo until every part reads back as gone; None when that could not be read."""
        deadline = self._run.clock.now_ns() + int(GONE_WITHIN_S * NS)
        gone: bool | None = None
        while True:
            try:
                for undo in reversed(self._undos):
                    await self._undo(undo)
                gone = all([await effects.read_back(u, self._run.environment) for u in self._undos])
            except GamedayError:
                gone = None
            if gone or self._run.clock.now_ns() > deadline:
                return gone
            await self._run.clock.sleep(0.1)

    async def _undo(self, undo: Undo) -> None:
        if undo.kind == "traffic":
            await switch_off(undo, self._run.site)
        else:
            await effects.undo(undo, self._run.environment)

    async def prove(self, *, gone: bool | None) -> tuple[Certainty, str]:
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
