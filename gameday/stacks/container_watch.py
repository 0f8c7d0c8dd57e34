"""The containers of a stack, looked at once a second while a run uses it.

A run asks once a second which parts have ended, and must not wait for the answer: the engine may be
slow, or away. So a task of its own looks, and what it saw last is the answer.
"""

import asyncio
from collections.abc import Collection

from gameday.core.clock import Clock
from gameday.injection import engine
from gameday.injection.engine import EngineError
from gameday.spec.undos import ProjectUndo

_EVERY_S = 1.0
_MISSED = 5  # looks in a row that the engine does not answer: then it is away itself


class ContainerWatch:
    """Begins at once. `ended` are the services that should run and did not when last looked at."""

    def __init__(self, project: ProjectUndo, services: Collection[str], clock: Clock) -> None:
        self.ended: list[str] = []
        self._services = frozenset(services)
        self._task = asyncio.create_task(self._watch(project, clock))

    async def stop(self) -> None:
        """Look no more; a look that is under way ends by itself."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _watch(self, project: ProjectUndo, clock: Clock) -> None:
        missed = 0
        while True:
            await clock.sleep(_EVERY_S)
            try:
                there = await asyncio.to_thread(engine.containers_of, project)
            except EngineError:
                missed += 1
                self.ended = ["the container engine"] if missed >= _MISSED else self.ended
                continue
            missed = 0
            self.ended = sorted(self._services - {each.service for each in there if each.runs})
