"""The gate before the first fault looks at the last sample before it, not at an older one."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gameday.core.clock import NS
from gameday.run import guards
from gameday.run.context import Abort, Run
from gameday.run.readings import Readings
from gameday.spec.experiment import Experiment
from tests.support.rundirs import EXPERIMENT, SetClock

T0_NS = 1_000 * NS


class Gated:
    """A run that stands at its gate; samples come when the test says so."""

    def __init__(self, at_s: float) -> None:
        self.clock = SetClock(T0_NS + round(at_s * NS))
        self.readings = Readings(self.clock)
        self.abort = Abort()
        self.experiment = Experiment.model_validate({**EXPERIMENT, "failures": "expected"})
        self.playbook = None
        self.t0_ns = T0_NS

    def seconds(self, t_ns: int) -> float:
        return (t_ns - T0_NS) / NS

    async def until(self, at_s: float) -> None:
        """The test's clock stands already where the fault is due."""
        assert at_s <= self.seconds(self.clock.now_ns()) + 1

    def sample(self, at_s: int, *, fast: bool | None = True) -> None:
        line = {"t": T0_NS + at_s * NS, "readings": {"objective:fast": fast}, "alerts": []}
        self.readings.hear(json.dumps(line).encode())

    def samples(self, known: Sequence[int]) -> None:
        for at_s in known:
            self.sample(at_s)


async def looking(run: Gated) -> "asyncio.Task[None]":
    """The last look, as far as it gets before the next sample."""
    task = asyncio.create_task(guards.last_look(cast("Run", run)))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_sample_of_this_second_that_has_not_come_is_waited_for() -> None:
    """Its reading comes some milliseconds after its instant: the fault would be in before it."""
    run = Gated(10.01)
    run.samples(range(1, 10))
    task = await looking(run)
    assert not task.done()
    run.sample(10, fast=False)
    await task
    assert run.abort.ended == "not_steady"
    assert "it was false at 10.0 s" in run.abort.why


async def test_a_steady_system_is_let_through_with_the_sample_that_was_due() -> None:
    run = Gated(10.01)
    run.samples(range(1, 10))
    task = await looking(run)
    run.sample(10)
    await task
    assert run.abort.ended == "completed"


async def test_a_sample_that_is_there_lets_the_fault_in_at_once() -> None:
    run = Gated(10.3)
    run.samples(range(1, 11))
    assert (await looking(run)).done()
    assert run.abort.ended == "completed"


async def test_a_fault_just_before_the_next_sample_waits_for_that_one() -> None:
    run = Gated(10.97)
    run.samples(range(1, 11))
    task = await looking(run)
    assert not task.done()
    run.clock.at_ns = T0_NS + round(11.02 * NS)
    run.sample(11, fast=False)
    await task
    assert run.abort.ended == "not_steady"


@pytest.mark.parametrize("false_at", [6, 8, 10])
async def test_each_of_the_five_samples_counts(false_at: int) -> None:
    run = Gated(10.1)
    for at_s in range(1, 11):
        run.sample(at_s, fast=at_s != false_at)
    await guards.last_look(cast("Run", run))
    assert run.abort.ended == "not_steady"


async def test_what_was_false_longer_ago_does_not_count() -> None:
    run = Gated(10.1)
    for at_s in range(1, 11):
        run.sample(at_s, fast=at_s > 5)
    await guards.last_look(cast("Run", run))
    assert run.abort.ended == "completed"


async def test_a_run_that_is_aborted_meanwhile_waits_no_longer() -> None:
    run = Gated(10.01)
    run.samples(range(1, 10))
    task = await looking(run)
    run.abort("operator", "enough")
    run.readings.hear(json.dumps({"t": T0_NS, "readings": {}, "alerts": []}).encode())
    await asyncio.wait_for(task, 5)
    assert run.abort.ended == "operator"


def unsteady(**more: Any) -> str:
    """The reason where customers fail."""
    run = Gated(10.1)
    experiment = {k: v for k, v in EXPERIMENT.items() if k != "objectives"}
    del experiment["expect"]
    run.experiment = Experiment.model_validate({**experiment, **more})
    for at_s in range(1, 11):
        line = {"t": T0_NS + at_s * NS, "readings": {"objective:answered": False}, "alerts": []}
        run.readings.hear(json.dumps(line).encode())
    return guards.steady(cast("Run", SimpleNamespace(**vars(run), seconds=run.seconds)))


def test_the_reason_names_no_promql() -> None:
    why = unsteady(failures={"above": 0.05})
    assert "described by none of the `outcomes`" in why
    assert "k6_http_reqs" not in why
