"""Work that would hold up the controller, done in a thread, on an event loop of its own.

The controller's loop renews the lease, hears the guards and whoever gives orders. Some work lets
no other task run for as long as it lasts, because all that it waits for is there already: fifty
thousand rows to take apart, for instance. In a thread it takes turns with the loop.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from gameday.core.network.event_loop import allowed_here, run

T = TypeVar("T")
END_S = 3.0  # work that ignores its cancellation must not keep a command from ending


async def run_in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work()` in a thread with its own loop; return its result or raise its error.

    When this is cancelled the work is too, and has `END_S` to end. After that nobody waits for
    it: its thread goes when the process does.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()
    done: Future[T] = Future()
    allowed = allowed_here()

    async def begin() -> T:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work()

    def whole() -> None:
        done.set_running_or_notify_cancel()  # so that it can be set, whoever waits no more
        try:
            done.set_result(run(begin(), allowed))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=whole, name="aside", daemon=True).start()
    waiting = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        begun.add_done_callback(_cancel)
        await asyncio.wait({waiting}, timeout=END_S)
        waiting.cancel()
        raise


def _cancel(begun: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]]") -> None:
    """Cancel the task that began there, if it is still at it."""
    loop, task = begun.result()
    if task is not None:
        try:
            loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:
            return  # it has ended meanwhile, and its loop is closed
