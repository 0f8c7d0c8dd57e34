"""How a run ends: what must not stop half-way is finished, and nothing is waited for for ever."""

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gameday.core.clock import Clock, SystemClock
from gameday.core.errors import UnknownError
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.injection.drivers.scale import PROGRAM_S
from gameday.plan.proxy_checks import left_behind
from gameday.run.context import Abort, to_the_end
from gameday.run.readings import Readings
from gameday.run.teardown import _bounded, _drain, end
from gameday.spec.system import Drain
from gameday.spec.undos import ProxyState, ToxicState


async def test_an_undo_is_finished_although_it_is_cancelled_again_and_again() -> None:
    done = []

    async def undo() -> None:
        await asyncio.sleep(0.1)
        done.append("undone")

    task = asyncio.create_task(to_the_end(undo()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["undone"]


async def test_what_an_undo_raises_is_told() -> None:
    async def undo() -> None:
        raise UnknownError("no")

    with pytest.raises(UnknownError):
        await to_the_end(undo())


class Ending:
    """As much of a run as a bounded part of its ending looks at."""

    def __init__(self, folder: Path) -> None:
        self.abort = Abort()
        self.journal = Journal(folder / "journal.jsonl", SystemClock(), "m1")

    async def part(self, work: Any, calm_s: float, hurried_s: float = 0.1) -> str:
        run: Any = SimpleNamespace(abort=self.abort, journal=self.journal)
        return await _bounded(run, "drain", work, calm_s, hurried_s)

    def problems(self) -> list[str]:
        records = journal.read(self.journal.path).records
        return [r.data["problem"] for r in records if "problem" in r.data]


async def test_an_abort_in_the_middle_of_a_part_of_the_ending_cuts_it_short(tmp_path: Path) -> None:
    ending = Ending(tmp_path)
    asyncio.get_running_loop().call_later(0.05, ending.abort, "operator", "SIGINT")
    began = time.monotonic()
    assert await ending.part(asyncio.sleep(60), calm_s=60) == ""
    assert time.monotonic() - began < 5
    assert len(ending.problems()) == 1


async def test_steps_on_a_stack_that_stays_have_the_time_of_a_scaling_without_an_abort_too(
    tmp_path: Path,
) -> None:
    """A compose program that is killed in the middle leaves replicas that nothing takes back."""

    async def take_back(at_most_s: float | None = None) -> None:
        del at_most_s

    class Child:
        async def finish(self, patience_s: float, clock: Clock) -> bool:
            del patience_s, clock
            return True

    child, limits = Child(), []
    for aborted in (False, True):
        folder = tmp_path / str(aborted)
        folder.mkdir()
        ending = Ending(folder)
        run: Any = SimpleNamespace(
            abort=ending.abort,
            journal=ending.journal,
            clock=SystemClock(),
            incident=SimpleNamespace(take_back=take_back, close=lambda: None, may_have_worked=True),
            scales_kept=True,
            t0_ns=0,
            campaign_made=False,
            autoscaler=None,
            traffic=SimpleNamespace(child=child),
            collector=child,
        )
        if aborted:
            ending.abort("operator", "SIGINT")
        await end(run)
        ending.journal.close()
        records = journal.read(ending.journal.path).records
        limits += [r.data["at_most_s"] for r in records if r.data.get("phase") == "steps"]
    assert len(limits) == 2
    assert min(limits) > PROGRAM_S


async def test_a_part_that_is_over_in_time_has_no_problem(tmp_path: Path) -> None:
    ending = Ending(tmp_path)
    assert await ending.part(asyncio.sleep(0.01), calm_s=5) == ""
    ending.abort("guard", "x")
    assert await ending.part(asyncio.sleep(0.01), calm_s=5) == ""
    assert ending.problems() == []


async def test_a_part_that_fails_says_why_and_the_ending_goes_on(tmp_path: Path) -> None:
    async def close() -> None:
        raise UnknownError("POST /close answered 500")

    ending = Ending(tmp_path)
    assert await ending.part(close(), calm_s=5) == "POST /close answered 500"
    assert ending.problems() == ["POST /close answered 500"]


async def test_nobody_waits_for_a_service_that_has_ended_to_finish_its_work(tmp_path: Path) -> None:
    readings = Readings(SystemClock())
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    drain = Drain.model_validate({"expr": "busy == 0", "within": "30s"})
    run: Any = SimpleNamespace(
        system=SimpleNamespace(drain=drain),
        clock=SystemClock(),
        readings=readings,
        journal=book,
        ended_parts=lambda: ["service"],
    )
    draining = asyncio.create_task(_drain(run))
    await asyncio.sleep(0)
    line = {"t": SystemClock().now_ns(), "readings": {"drain": None}, "alerts": []}
    readings.hear(json.dumps(line).encode())
    await asyncio.wait_for(draining, 5)
    (record,) = journal.read(book.path).records
    assert record.data["problem"] == "the service has ended"


def test_a_proxy_that_an_earlier_run_left_broken_is_seen() -> None:
    def shown(*toxics: str, enabled: bool = True) -> ProxyState:
        named = tuple(ToxicState(name=name) for name in toxics)
        return ProxyState(listen="", upstream="", enabled=enabled, toxics=named)

    assert left_behind(shown("somebody-elses")) == ""
    assert "gameday-r-1" in left_behind(shown("gameday-r-1"))
    assert left_behind(shown(enabled=False)) == "is disabled"
