"""The alarm rings once, on time, and is silent when nobody sets it again; both kinds of it."""

import asyncio
import time
from collections.abc import Callable

import pytest

from gameday.core.clock import SystemClock
from gameday.core.timer import Alarm, LoopAlarm, alarm

MS = 1_000_000


def timer_of_the_loop(ring: Callable[[], None]) -> Alarm:
    return LoopAlarm(ring, SystemClock())


def best(ring: Callable[[], None]) -> Alarm:
    """A timerfd, on Linux."""
    return alarm(ring, SystemClock())


KINDS = [timer_of_the_loop, best]


@pytest.mark.parametrize("make", KINDS, ids=["loop", "best"])
async def test_it_rings_once_and_then_is_silent(make: Callable[..., Alarm]) -> None:
    rung: list[int] = []
    one = make(lambda: rung.append(time.monotonic_ns()))
    due_ns = time.monotonic_ns() + 20 * MS
    one.set(due_ns)
    await asyncio.sleep(0.1)
    assert len(rung) == 1
    assert rung[0] >= due_ns - 2 * MS
    used_s = time.process_time()
    await asyncio.sleep(0.2)
    assert len(rung) == 1
    assert time.process_time() - used_s < 0.1  # the loop sleeps
    one.close()


@pytest.mark.parametrize("make", KINDS, ids=["loop", "best"])
async def test_setting_it_again_replaces_the_time(make: Callable[..., Alarm]) -> None:
    rung: list[int] = []
    one = make(lambda: rung.append(time.monotonic_ns()))
    one.set(time.monotonic_ns() + 10_000 * MS)
    one.set(time.monotonic_ns() - MS)  # in the past: at once
    await asyncio.sleep(0.1)
    assert len(rung) == 1
    one.close()


@pytest.mark.parametrize("make", KINDS, ids=["loop", "best"])
async def test_it_may_be_set_while_it_rings(make: Callable[..., Alarm]) -> None:
    rung: list[int] = []

    def ring() -> None:
        rung.append(time.monotonic_ns())
        if len(rung) < 5:
            one.set(time.monotonic_ns() + MS)

    one = make(ring)
    one.set(time.monotonic_ns() + MS)
    async with asyncio.timeout(5):
        while len(rung) < 5:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(rung) == 5
    one.close()
