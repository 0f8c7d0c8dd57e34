"""What would hold up the controller is done beside its event loop, and can still be cancelled."""

import asyncio
import threading

import pytest

from gameday.core.errors import UnknownError
from gameday.core.processes import background as aside_module
from gameday.core.processes.background import run_in_thread

LIMIT_S = 20.0


async def test_what_it_returns_was_made_in_another_thread() -> None:
    async def who() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    assert await run_in_thread(who) != threading.get_ident()


async def test_the_loop_goes_on_while_the_work_lets_nobody_in() -> None:
    go_on = threading.Event()

    async def stubborn() -> bool:
        return go_on.wait(LIMIT_S)  # it blocks the loop that it is on

    working = asyncio.create_task(run_in_thread(stubborn))
    await asyncio.sleep(0.01)
    go_on.set()  # were it on this loop, nobody could
    assert await working


async def test_what_it_raises_is_raised_here() -> None:
    async def fails() -> None:
        raise UnknownError("no such table")

    with pytest.raises(UnknownError, match="no such table"):
        await run_in_thread(fails)


async def test_cancelling_it_cancels_the_work_and_waits_for_what_it_still_does() -> None:
    begun, told = threading.Event(), []

    async def long() -> None:
        begun.set()
        try:
            await asyncio.sleep(LIMIT_S)
        finally:
            await asyncio.sleep(0.02)
            told.append("closed")

    working = asyncio.create_task(run_in_thread(long))
    assert await asyncio.to_thread(begun.wait, LIMIT_S)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert told == ["closed"]


async def test_cancelled_before_it_began_it_ends_all_the_same() -> None:
    working = asyncio.create_task(run_in_thread(lambda: asyncio.sleep(LIMIT_S)))
    await asyncio.sleep(0)
    working.cancel()
    async with asyncio.timeout(LIMIT_S / 2):
        with pytest.raises(asyncio.CancelledError):
            await working


async def test_work_that_cannot_be_cancelled_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aside_module, "END_S", 0.05)
    begun, over, ended = threading.Event(), threading.Event(), threading.Event()

    async def deaf() -> None:
        begun.set()
        over.wait(LIMIT_S)
        ended.set()

    working = asyncio.create_task(run_in_thread(deaf))
    assert await asyncio.to_thread(begun.wait, LIMIT_S)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not ended.is_set()
    over.set()
    assert await asyncio.to_thread(ended.wait, LIMIT_S)
