"""Several traffic workers as one: they share the starts, and the books balance whoever dies."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import StackError
from gameday.run.children import Child, Traffic
from gameday.spec.changes import ExtraTraffic
from gameday.traffic.capacity.calibration import workers_for
from gameday.traffic.capacity.demand import Demand
from gameday.traffic.history import read
from gameday.traffic.metrics import summary
from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.messages import event_in
from tests.traffic.test_worker import answer, drop, serving, settings

CLOCK = SystemClock()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child can be a module of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
    await asyncio.sleep(0)


async def mostly(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
    if n % 5:
        writer.write(answer())


@asynccontextmanager
async def traffic(port: int, folder: Path, count: int, *scenarios: Any) -> AsyncIterator[Traffic]:
    """`count` workers, ready; they are gone in the end."""
    found = Traffic(folder / "traffic.log", CLOCK, count)
    await found.child.launch()
    config = Config.model_validate(settings(port, folder, *scenarios))
    try:
        await found.child.start(config, found.hear)
        yield found
    finally:
        await found.child.finish(5, CLOCK)


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()


def workers_here() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "gameday.traffic.worker" in child.cmdline()
    ]


async def test_three_workers_send_each_start_once(tmp_path: Path) -> None:
    async def always(_request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.write(answer())

    spec = drop("101/s", "1s")
    async with serving(always) as server, traffic(server.port, tmp_path, 3, spec) as found:
        found.begin(CLOCK.now_ns() + 50_000_000)
        await soon(found.idle)
        assert found.scheduled.is_set()
        assert not found.done.is_set()
        await found.on(ExtraTraffic("more", rate_per_s=50.0, duration_s=0.5))
        assert not found.idle.is_set()
        await soon(found.idle)
        found.stop(0.0)
        await soon(found.done)
    histories = [read(path) for path in sorted(tmp_path.glob("*.bin"))]
    assert len(histories) == 6
    drops = [history for history in histories if history.scenario == "drop"]
    ks = sorted(int(k) for history in drops for k in history.records["k"])
    assert ks == list(range(from_json(spec).count))
    assert summary(histories, {"drop": len(ks)}).completed == len(ks) + 25


@pytest.mark.parametrize("seed", range(4))
async def test_books_balance_over_all_when_workers_are_killed(seed: int, tmp_path: Path) -> None:
    """Whoever is killed, and whenever: each start is told of once, by some name."""
    chance = random.Random(seed)
    spec = drop("400/s", "30s")
    async with serving(mostly) as server, traffic(server.port, tmp_path, 3, spec) as found:
        found.begin(CLOCK.now_ns())
        victims = chance.sample(workers_here(), chance.randint(1, 3))
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        async with asyncio.timeout(10):
            while not found.child.died:
                await asyncio.sleep(0.01)
        assert await found.child.was_killed()
        assert "traffic worker" in found.child.name
        found.stop(0.1)
        await soon(found.child.gone if len(victims) == 3 else found.done)
    histories = [read(path) for path in sorted(tmp_path.glob("*.bin"))]
    total = from_json(spec).count
    books = summary(histories, {"drop": total})
    assert books.scheduled == total == books.started + books.dropped + books.never_started
    assert books.started == books.completed + books.failed + books.interrupted


async def test_the_one_that_died_is_named(tmp_path: Path) -> None:
    async with serving(never) as server, traffic(server.port, tmp_path, 2, drop()) as found:
        assert not found.child.died
        assert found.child.here == {0, 1}
        victim = max(workers_here(), key=lambda process: process.pid)
        victim.kill()
        async with asyncio.timeout(10):
            while not found.child.died:
                await asyncio.sleep(0.01)
        assert found.child.name.endswith(" of 2")
        assert len(found.child.here) == 1
        assert not found.child.gone.is_set()


async def test_one_worker_is_not_numbered(tmp_path: Path) -> None:
    assert Traffic(tmp_path / "traffic.log", CLOCK).child.name == "traffic worker"


def test_workers_are_as_many_as_the_rate_takes_and_no_more_than_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # nothing was measured here

    def workers(peak_per_s: float) -> int:
        return workers_for(Demand(peak_per_s=peak_per_s, open_most=1))

    assert workers(0) == 1
    assert workers(8_000) == 1
    assert workers(8_001) == min(2, psutil.cpu_count() or 1)
    assert workers(10_000_000) == psutil.cpu_count()


@asynccontextmanager
async def misbehaving(folder: Path, do: str, **settings: Any) -> AsyncIterator[Child]:
    """A child that does so, with nobody who understands what it says."""
    found = Child("collector", "tests.support.hostile_child", folder / "child.log")
    await found.launch()
    try:
        await found.start(json.dumps({"do": do, **settings}).encode(), event_in)
        yield found
    finally:
        async with asyncio.timeout(20):
            await found.finish(0.1, CLOCK)


@pytest.mark.usefixtures("root_on_path")
async def test_a_line_that_is_too_long_ends_the_child_for_the_run_and_nothing_waits(
    tmp_path: Path,
) -> None:
    """The reader ended, the child stood in its write, and the run waited for both for ever."""
    async with misbehaving(tmp_path, "long-line") as found:
        await soon(found.gone)
        assert found.died
        assert found.why() == "it said a line of more than 4 MiB"
        assert not await found.was_killed()


@pytest.mark.usefixtures("root_on_path")
@pytest.mark.parametrize(
    ("do", "why"),
    [
        ("killed", "it was ended by SIGKILL"),
        ("last-words", "it ended with exit code 7: the disk is on fire"),
        ("not-json", "it said what is no answer"),
        ("closed", "it does not end"),
    ],
)
async def test_a_child_that_died_says_why(tmp_path: Path, do: str, why: str) -> None:
    async with misbehaving(tmp_path, do) as found:
        await soon(found.gone)
        assert await found.was_killed() == (do == "killed")
        assert found.why().startswith(why)


@pytest.mark.usefixtures("root_on_path")
async def test_a_child_that_does_not_get_ready_says_why(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="exit code 7: the disk is on fire"):
        async with misbehaving(tmp_path, "last-words", ready=False):
            pass
