"""Readings of the collector, as the controller uses them: the latest, and all so far.

Whoever waits for a reading names the instant after which its sample must have been taken, so
that a step is never proven by what was measured before it acted.
"""

import asyncio
from collections.abc import Callable

from gameday.core.clock import NS, Clock
from gameday.telemetry.samples import Evaluation, evaluation_of


class Readings:
    """Every evaluation of this run, in order, and a way to wait for the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.all: list[Evaluation] = []
        self._news = asyncio.Event()

    def hear(self, line: bytes) -> None:
        """One line of the collector."""
        evaluation = evaluation_of(line)
        if evaluation is None:
            return
        self.all.append(evaluation)
        self._news.set()
        self._news = asyncio.Event()

    async def next(self, timeout_s: float) -> bool:
        """Wait for one more evaluation; False when none came in time.

        Not by `wait_for`, which up to Python 3.11 forgets to be cancelled when both come at once.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def until(
        self, fine: Callable[[Evaluation], bool], *, after_ns: int, within_s: float
    ) -> Evaluation | None:
        """The first evaluation taken after `after_ns` that is fine; None if none is in time."""
        deadline = self._clock.now_ns() + int(within_s * NS)
        seen = 0
        while True:
            for evaluation in self.all[seen:]:
                if evaluation.t_ns > after_ns and fine(evaluation):
                    return evaluation
            seen = len(self.all)
            left_s = (deadline - self._clock.now_ns()) / NS
            if left_s <= 0 or not await self.next(left_s):
                return None

    def between(self, begin_ns: int, end_ns: int) -> list[Evaluation]:
        """Evaluations with begin < t ≤ end."""
        return [e for e in self.all if begin_ns < e.t_ns <= end_ns]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now, or did when it was last known."""
        known = next((each for each in reversed(self.all) if not each.alerts_problem), None)
        return {a.name for a in known.alerts if a.state == "firing"} if known else set()

    def figures(self, name: str, begin_ns: int, end_ns: int) -> list[tuple[int, float | None]]:
        """Instant and figure of one expression with begin < t ≤ end; None where it had no data."""
        return [(e.t_ns, e.figures.get(name)) for e in self.between(begin_ns, end_ns)]
