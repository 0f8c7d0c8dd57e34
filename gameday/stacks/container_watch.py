"""The containers of a stack, looked at once a second while a run uses it.

A run asks once a second which parts have ended, and must not wait for the answer: the engine may be
slow, or away. So a task of its own looks, and what it saw last is the answer.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gameday.core.clock import Clock
from gameday.injection import engine
from gameday.injection.engine import Container, EngineError
from gameday.spec.system import System
from gameday.spec.undos import ProjectUndo
from gameday.stacks.ports import HOST
from gameday.stacks.supervisor import SERVICE

ADMIN_PORT: Final = 9102  # in the container
_EVERY_S = 1.0
_MISSED = 5  # looks in a row that the engine does not answer: then it is away itself


class ContainerWatch:
    """Begins at once. `ended` are the services that should run and did not when last looked at.

    `replicas` are the metrics addresses of the service's containers; one that has ended keeps its
    own until it is removed. `seen` are all the service's containers that there were.
    """

    def __init__(
        self,
        project: ProjectUndo,
        services: Collection[str],
        may_end: Collection[str],
        clock: Clock,
    ) -> None:
        self.ended: list[str] = []
        self.replicas: Mapping[str, str] = {}
        self._seen: dict[str, Container] = {}
        self._services = frozenset(services)
        self._may_end = frozenset(may_end)
        self._task = asyncio.create_task(self._watch(project, clock))

    @property
    def seen(self) -> Sequence[Container]:
        return list(self._seen.values())

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
            self._seen.update({each.id: each for each in there if each.service == SERVICE})
            self.ended = engine.ended(there, self._services, self._may_end)
            self.replicas = metrics_of(there, self.replicas)


def with_replicas(system: System, there: Sequence[Container]) -> System:
    """The system with the metrics addresses that its replicas have now."""
    return system.model_copy(update={"metrics": list(metrics_of(there, {}).values())})


def metrics_of(there: Sequence[Container], before: Mapping[str, str]) -> Mapping[str, str]:
    """Metrics address of each replica of the service, as of `before` for one without a port."""
    found = {}
    for each in (one for one in there if one.service == SERVICE):
        name = f"{SERVICE}-{each.number - 1}"
        port = each.ports.get(ADMIN_PORT)
        url = before.get(name) if port is None else f"http://{HOST}:{port}/metrics"
        if url is not None:
            found[name] = url
    return found
