"""What the effects on stores share: the address behind a reference, names, and held work.

An `Undo` carries only the *reference* to an address (`{"env": "AUDIT_REDIS"}`): its password
never reaches a journal. Some faults last only as long as somebody works at them, such as a lock
that a session holds. That work is a task of the process that acted, known by the undo's name; it
ends with its process, and each file says how the store itself ends it when the process is frozen.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from gameday.effects.request import secret
from gameday.effects.site import Site
from gameday.errors import GamedayError
from gameday.system import FromEnv, FromFile

LONGEST_NAME = 63  # of a PostgreSQL identifier or application_name; longer ones are cut off
_SHOWN = 40


class StoreError(GamedayError):
    """A store refused what was asked of it, or does not answer."""

    exit_code = 4


class StoreGoneError(StoreError):
    """Nothing listens at the address: what lived only in the store's memory is gone with it."""


def address(reference: Mapping[str, str], environment: Mapping[str, str] | None) -> str:
    """The address that a reference stands for. Raises UsageError when it cannot be found."""
    if "file" in reference:
        return secret(FromFile(file=reference["file"]), environment or {})
    return secret(FromEnv(env=reference["env"]), environment or {})


def short(name: str) -> str:
    """`name`, or one as unique that a store takes whole."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:_SHOWN]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def part_of(site: Site, name: str) -> dict[str, str]:
    """The file of the stack that tells of that store; nothing where the store is not ours."""
    path = site.direct.parts.get(name)
    return {} if path is None else {"part": str(path)}


def thrown_away(data: Mapping[str, Any]) -> bool:
    """Whether the store was a stack's own, and has gone with all its data."""
    return "part" in data and not Path(data["part"]).exists()


def wanted() -> bool:
    """Whether this task is to go on.

    A client can swallow a cancellation that comes together with an answer; it is told here.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


class Held:
    """What this process does for faults, by name: the work, how much of it, with which secrets."""

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
        """Whether this process is at it."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def count(self, name: str, more: int) -> None:
        """Note that `more` was done."""
        self._done[name] = self._done.get(name, 0) + more

    def done(self, name: str) -> int:
        """How much was done so far."""
        return self._done.get(name, 0)


def refused(error: BaseException | None) -> bool:
    """Whether nothing listened: only a refused connection says that a store is gone."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False
