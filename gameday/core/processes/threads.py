"""Threads that nobody has to wait for: they end with the process, whatever they hang in.

An event loop hands work that blocks (a file, a name to look up) to threads, and at its end waits
for all of them, for ever where a disk or a name server does not answer. So does the interpreter.
The threads of this executor are waited for a bounded time, and then left.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")
END_S: Final = 5.0  # a thread that hangs in the kernel must not keep a command from ending
MOST: Final = 32  # as asyncio's own pool has at most


class Threads(ThreadPoolExecutor):
    """An executor for `loop.set_default_executor`; a thread lives while there is work for it."""

    def __init__(self, most: int = MOST, end_s: float = END_S) -> None:
        super().__init__(max_workers=most)
        self._most = most
        self._end_s = end_s
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._over = False
        self._changed = threading.Condition()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have it done by a thread. Raises RuntimeError after the end."""
        future: Future[T] = Future()
        with self._changed:
            if self._over:
                raise RuntimeError("the event loop is ending")
            self._jobs.append((future, lambda: fn(*args, **kwargs)))
            if self._busy >= self._most:
                return future
            self._busy += 1
        threading.Thread(target=self._work, name="beside the loop", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as its base has it
        """Take no more work; wait for what is under way, for `end_s` at the most."""
        with self._changed:
            self._over = True
            if cancel_futures:
                while self._jobs:
                    self._jobs.popleft()[0].cancel()
            if wait:
                self._changed.wait_for(lambda: not self._busy, self._end_s)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            if self._jobs:
                return self._jobs.popleft()
            self._busy -= 1
            self._changed.notify_all()
            return None
