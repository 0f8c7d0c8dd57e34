"""A part of the stack that ends: by itself it ends the run, by a fault of the run it does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gameday.core.clock import SystemClock
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.run import guards
from gameday.run.context import Abort, Run
from gameday.run.readings import Readings


class Watched:
    """As much of a run as a look at its parts needs."""

    def __init__(self, folder: Path) -> None:
        self.readings = Readings(SystemClock())
        self.journal = Journal(folder / "journal.jsonl", SystemClock(), "m1")
        self.abort = Abort()
        self.injection = SimpleNamespace(stopped_on_purpose=set())
        self.ended: list[str] = []

    def ended_parts(self) -> list[str]:
        return self.ended

    @asynccontextmanager
    async def under_watch(self) -> AsyncIterator[None]:
        task = asyncio.create_task(guards.parts(cast("Run", self)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.journal.close()

    async def a_while(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0.01)

    def problems(self) -> list[str]:
        return [r.data["problem"] for r in journal.read(self.journal.path).records]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(guards, "SILENT_S", 0.01)
    return Watched(tmp_path)


async def test_a_part_that_ends_by_itself_ends_the_run(watched: Watched) -> None:
    watched.ended = ["redis"]
    async with watched.under_watch():
        await asyncio.wait_for(watched.abort.event.wait(), 5)
    assert watched.abort.ended == "unhealthy"
    assert watched.problems() == ["redis has ended"]


async def test_a_part_that_a_fault_has_taken_down_ends_nothing_until_the_fault_is_out(
    watched: Watched,
) -> None:
    watched.injection.stopped_on_purpose, watched.ended = {"redis"}, ["redis"]
    async with watched.under_watch():
        await watched.a_while()
        assert not watched.abort.event.is_set()
        watched.injection.stopped_on_purpose.clear()  # the fault is out, and it has not come back
        await asyncio.wait_for(watched.abort.event.wait(), 5)
    assert watched.abort.why == "redis, a part of the stack, has ended"


async def test_the_end_of_the_service_is_told_each_time_and_ends_nothing(watched: Watched) -> None:
    async with watched.under_watch():
        for ended in (["service"], [], ["service"]):
            watched.ended = ended
            await watched.a_while()
    assert not watched.abort.event.is_set()
    assert watched.problems() == ["service has ended"] * 2


async def test_a_look_from_before_the_fault_was_out_ends_nothing(watched: Watched) -> None:
    """Containers are looked at once a second, and what they were then is told until the next."""
    watched.injection.stopped_on_purpose, watched.ended = {"redis"}, ["redis"]
    async with watched.under_watch():
        await watched.a_while()
        watched.injection.stopped_on_purpose.clear()
        await asyncio.sleep(0.01)  # a reading or so: it runs, and nobody has looked
        watched.ended = []
        await watched.a_while()
        assert not watched.abort.event.is_set()
        watched.ended = ["redis"]  # and later it ends by itself
        await asyncio.wait_for(watched.abort.event.wait(), 5)
