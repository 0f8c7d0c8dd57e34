"""Work that a process does for its faults for as long as they last.

Some faults are there only while somebody works at them: a lock that a session holds, a proxy that
goes down and up. That work is a task of the process that acted, known by a name that the undo has
too; it ends with its process.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any


def wanted() -> bool:
    """True while this task is to go on.

    A client can swallow a cancellation that comes together with an answer; it is told here.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


class Held:
    """Work that this process does for faults, by name: the task, its count, its secrets."""

    def __init__(self) -> None:
        self._secrets: dict[str, Mapping[str, str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._done: dict[str, int] = {}

    def know(self, name: str, environment: Mapping[str, str]) -> None:
        """Remember that this process acts under that name, with the secrets of `environment`."""
        self._secrets[name] = environment
        self._done.pop(name, None)

    def secrets(self, name: str, given: Mapping[str, str] | None) -> Mapping[str, str]:
        """The secrets that are given; else those that this process acted with."""
        return given if given is not None else self._secrets.get(name, {})

    async def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Go on with `work` until `stop`; it has begun by then, so that it can clear up."""
        begun = asyncio.Event()

        async def carry() -> None:
            begun.set()
            await work

        self._tasks[name] = asyncio.create_task(carry(), name=name)
        await begun.wait()

    async def stop(self, name: str) -> None:
        """End the work of that name, if this process does any, and wait for its end."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def goes_on(self, name: str) -> bool:
        """True while this process works at it."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def count(self, name: str, more: int) -> None:
        """Note that `more` was done."""
        self._done[name] = self._done.get(name, 0) + more

    def done(self, name: str) -> int:
        """The number of things done so far."""
        return self._done.get(name, 0)
