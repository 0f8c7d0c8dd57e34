"""Alarms: rung in order, never early, soon after their time, and forgotten when cancelled."""

import asyncio
import random
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

from gameday.core.clock import SystemClock
from gameday.core.timer import Alarm, LoopAlarm, alarm
from gameday.toxiproxy.timers import LONGEST_NS, Alarms

MS = 1_000_000
LIMIT_S = 5
LOOPS = pytest.mark.parametrize(
    "loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
KINDS = pytest.mark.parametrize("new_alarm", [alarm, LoopAlarm], ids=["timer file", "loop's timer"])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.001)


@LOOPS
@KINDS
def test_alarms_ring_in_order_and_never_early(
    loop: Callable[[], asyncio.AbstractEventLoop], new_alarm: Callable[..., Alarm]
) -> None:
    async def scene() -> None:
        clock = SystemClock()
        alarms = Alarms(clock, new_alarm)
        rung: list[tuple[int, int]] = []

        def note(due_ns: int) -> None:
            rung.append((due_ns, clock.now_ns()))

        start_ns = clock.now_ns()
        dues = [start_ns + MS * number // 3 for number in range(-3, 60)]
        shuffled = random.Random(1).sample(dues, len(dues))
        for due_ns in shuffled:
            alarms.at(due_ns, partial(note, due_ns))
        await until(lambda: len(rung) == len(dues))
        assert [due_ns for due_ns, _ in rung] == dues
        assert all(now_ns >= due_ns for due_ns, now_ns in rung)
        late_ns = sorted(now_ns - due_ns for due_ns, now_ns in rung)
        assert late_ns[len(late_ns) // 2] < 20 * MS
        alarms.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


@KINDS
async def test_a_cancelled_alarm_does_not_ring_and_an_alarm_may_set_another(
    new_alarm: Callable[..., Alarm],
) -> None:
    clock = SystemClock()
    alarms = Alarms(clock, new_alarm)
    rung: list[str] = []

    def again() -> None:
        rung.append("first")
        alarms.cancel(never)
        alarms.at(clock.now_ns() + MS, lambda: rung.append("second"))

    alarms.at(clock.now_ns() + MS, again)
    never = alarms.at(clock.now_ns() + 2 * MS, lambda: rung.append("never"))
    alarms.cancel(alarms.at(clock.now_ns(), lambda: rung.append("never")))
    await until(lambda: len(rung) == 2)
    await asyncio.sleep(0.005)
    assert rung == ["first", "second"]
    alarms.close()


async def test_many_alarms_that_are_cancelled_take_no_memory() -> None:
    clock = SystemClock()
    alarms = Alarms(clock)
    far_ns = clock.now_ns() + 1000 * LONGEST_NS
    kept = alarms.at(far_ns, lambda: None)
    for _ in range(10_000):
        alarms.cancel(alarms.at(far_ns, lambda: None))
    assert len(alarms) < 200
    assert kept.due_ns <= clock.now_ns() + LONGEST_NS
    alarms.cancel(kept)
    alarms.close()
    assert len(alarms) == 0
