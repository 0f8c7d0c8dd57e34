"""Supervisor of one stack, from the first folder to the last port: what was made is taken down.

The supervisor announces, starts and remembers each part, so that a start that fails or is cancelled
at any point leaves nothing, and a stop can prove it.
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError
from gameday.core.processes.deadlines import in_time
from gameday.injection.drivers.folder import mark, record
from gameday.injection.drivers.folder import undo as remove
from gameday.injection.process.launch import Account, Launch, me
from gameday.spec.undos import FolderUndo
from gameday.stacks.managed_process import Part, launch
from gameday.stacks.ports import is_free
from gameday.stacks.stack import StackWorkdir

SERVICE = "service"
PARTS = "parts"
STOP_S = 45.0
_KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
)


class Supervisor:
    """Everything that one start made. `outlives` says whether it is to survive this process."""

    def __init__(self, workdir: StackWorkdir, *, outlives: bool) -> None:
        self.workdir = workdir
        self.logs: dict[str, Path] = {}
        self.ports: list[int] = []
        self.secrets: set[str] = set()
        self._parts: list[Part] = []
        self._outlives = outlives
        self._folder: FolderUndo | None = None

    @property
    def clock(self) -> Clock:
        return self.workdir.clock

    @property
    def folder(self) -> Path:
        """The work folder."""
        return self.workdir.path

    def make_folder(self) -> None:
        """Make the work folder, which others may pass through but not list."""
        self._folder = record(self.folder)
        self.workdir.announce("folder", [self._folder])
        self.folder.mkdir(mode=0o711)
        self.folder.chmod(0o711)  # whatever the umask says
        mark(self._folder)
        (self.folder / PARTS).mkdir(mode=0o700)
        self.workdir.logs_dir.mkdir(parents=True, exist_ok=True)

    def new_secret(self, prefix: str = "") -> str:
        """A random text that will not be shown in any message."""
        secret = prefix + secrets.token_urlsafe(24)
        self.secrets.add(secret)
        return secret

    def launch(self, asked: Launch) -> Part:
        """Start one part; its token, log (`logs/<name>.log`) and death are added here."""
        log = self.workdir.logs_dir / f"{asked.name}.log"
        self.logs[asked.name] = log
        tied = not self._outlives and sys.platform == "linux"
        what = replace(
            asked,
            token=secrets.token_hex(8),
            log=log,
            death_signal=int(asked.death_signal or signal.SIGKILL) if tied else 0,
            owner=None if self._outlives else me(),
        )
        file = self.folder / PARTS / f"{what.name}.json"
        part = launch(what, file, self.workdir.announce, frozenset(self.secrets))
        self._parts.append(part)
        return part

    async def start(
        self, asked: Launch, healthy: Callable[[], Awaitable[bool]], within_s: float
    ) -> Part:
        """Launch a part and wait until it is healthy; one that is not is dropped.

        Raises StackError.
        """
        part = self.launch(asked)
        try:
            await part.until(healthy, within_s, self.clock)
        except BaseException:
            await self.drop(part)
            raise
        return part

    async def drop(self, part: Part) -> None:
        """End one part, which is to be started anew."""
        await part.stop(self.clock)
        self._parts.remove(part)
        part.file.unlink(missing_ok=True)

    def must_run(self) -> None:
        """Raises PartEndedError for a part that has ended meanwhile."""
        for part in self._parts:
            part.must_run()

    def ended(self) -> list[str]:
        """The names of the parts that no longer run."""
        return [part.name for part in self._parts if not part.runs()]

    def files(self) -> dict[str, Path]:
        """Path of each component's launch file, by name."""
        return {part.name: part.file for part in self._parts}

    async def stop(self) -> list[str]:
        """End the service first, then the rest; remove the folder; what is left, in words."""
        service = [part for part in self._parts if part.name == SERVICE]
        others = [part for part in self._parts if part.name != SERVICE]
        left = await self._end(service) + await self._end(others)
        if self._folder is not None:
            left.append(await _attempt(remove(self._folder, self.clock)))
        left += [f"port {port} is still open" for port in self.ports if not is_free(port)]
        return [text for text in left if text]

    async def _end(self, parts: Sequence[Part]) -> list[str]:
        return await asyncio.gather(*(_attempt(part.stop(self.clock)) for part in parts))


async def _attempt(stopping: Coroutine[None, None, str | None]) -> str:
    """Words about what one step of the ending leaves behind; its time is bounded, others go on."""
    try:
        return await in_time(stopping, STOP_S) or ""
    except TimeoutError:
        return f"a part of the stack does not end within {STOP_S:g} s"
    except GamedayError as error:
        return error.message


def plain_environment() -> dict[str, str]:
    """The environment of a component: only where programs are found, and the language.

    Nothing else: no secrets of the shell, no proxy settings, no Python settings.
    """
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Write a file that only its owner, `account` where given, may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    give(path, account)


def give(path: Path, account: Account | None) -> None:
    """Make `path` the property of `account`, where one is given."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
