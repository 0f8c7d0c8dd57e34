"""Waiting with an end: for work that may hang, and for what was told to stop and may not.

`asyncio.timeout` and `wait_for` cancel what is late and then wait until it has let itself be
cancelled, which what hangs in a thread, a shield or a clean-up never does. Here the wait after
the cancelling is bounded too; what goes on even then is left behind.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")
CANCEL_S = 10.0  # long enough to close connections; after that nobody waits


async def in_time(work: Awaitable[T], within_s: float, cancel_s: float = CANCEL_S) -> T:
    """Await `work` for `within_s` at most. Raises TimeoutError where it takes longer."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=within_s)
        if task.done():
            return task.result()
    finally:
        if not task.done():
            await cancelled(task, within_s=cancel_s)
    raise TimeoutError


async def cancelled(*tasks: "asyncio.Future[Any]", within_s: float = CANCEL_S) -> bool:
    """Cancel them and wait for their end; False when one goes on, for which nobody waits then."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=within_s)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at: nobody is told that nobody did
    return all(task.done() for task in tasks)


async def first_set(*events: asyncio.Event, within_s: float | None = None) -> bool:
    """Wait until one of them is set; False when none is within `within_s`."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waiting, timeout=within_s, return_when="FIRST_COMPLETED")
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()
