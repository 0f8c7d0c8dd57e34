"""Launch of a component of a stack, as plain data: so that anybody can start it again.

A `Launch` is all that a start needs. It is written beside the stack, in a file that only its
owner may read (the environment holds passwords), and goes with the stack's folder. The file also
says which process the part is now, so that whoever knows the file finds the part after a restart.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gameday.core import files
from gameday.core.clock import NS, Clock
from gameday.core.errors import StackError, StuckFaultError
from gameday.core.json_objects import plain, read_object
from gameday.core.locks import is_locked, try_lock
from gameday.injection.process.exec_gate import GO
from gameday.injection.process.process import TOKEN_VARIABLE, private_bytes, start_time
from gameday.spec.undos import ProcessUndo

LAUNCHER = Path(__file__).with_name("exec_gate.py")
_POLL_S = 0.03  # parts are ready within tenths of a second to seconds
_ANSWER_S = 2.0  # a health check; one that takes longer is asked again
_LOCK_S = 10.0  # whoever holds it starts the part, which takes as long at most
_LONGEST_ANSWER = 256  # only its beginning is looked at
_NOT_A_LAUNCH = (OSError, ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Question:
    """Bytes to send to a port, and the beginnings of the answer of a healthy component."""

    host: str
    port: int
    say: bytes
    answers: Sequence[bytes]

    @classmethod
    def get(cls, host: str, port: int, path: str) -> "Question":
        """A GET over HTTP, answered with 200."""
        say = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        return cls(host, port, say, (b"HTTP/1.1 200", b"HTTP/1.0 200"))

    async def is_answered(self) -> bool:
        """True if the port gives such an answer now."""
        longest = max(map(len, self.answers))
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    writer.write(self.say)
                    said = await _first(reader, longest)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return False
        return any(said.startswith(answer) for answer in self.answers)


async def _first(reader: asyncio.StreamReader, length: int) -> bytes:
    said = b""
    while len(said) < length and (more := await reader.read(_LONGEST_ANSWER)):
        said += more
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that starting one part needs, and which process it is now.

    `output` takes standard output where that is not for the log. `death_signal` is what the
    kernel sends it when its parent dies, 0: nothing. `polite` lets it finish what it does, which
    `stop_signal` need not. `owner` is the process with which the stack
    ends, by PID and start time, None: it outlives them all. `stale` are files that a killed one
    leaves behind and the next would stumble over, `memory` those it would remember from.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    token: str = ""
    log: Path = Path(os.devnull)
    output: Path | None = None
    account: Account | None = None
    stop_signal: str = "SIGTERM"
    polite: str = "SIGTERM"
    death_signal: int = 0
    owner: tuple[int, str] | None = None
    question: Question | None = None
    ready_s: float = 30.0
    stale: Sequence[Path] = ()
    memory: Sequence[Path] = ()
    pid: int = 0
    start_time: str = ""

    def runs(self) -> bool:
        """True if its present process lives."""
        return self.pid > 0 and start_time(self.pid) == self.start_time

    def is_orphaned(self) -> bool:
        """True if the process with which its stack ends has ended."""
        return self.owner is not None and start_time(self.owner[0]) != self.owner[1]

    def is_ours(self) -> bool:
        """True if its stack ends with this very process, or with none."""
        return self.owner is None or self.owner == (os.getpid(), start_time(os.getpid()))

    async def is_ready(self) -> bool:
        """True if it runs and is healthy."""
        return self.runs() and (self.question is None or await self.question.is_answered())

    def process(self, part: Path | None = None) -> ProcessUndo:
        """Undo that ends the process that it is now; `part` is its own file."""
        return ProcessUndo(
            pid=self.pid,
            start_time=self.start_time,
            name=self.name,
            token=self.token,
            signal=self.stop_signal,
            part=part,
        )

    def write(self, path: Path) -> None:
        """Replace the file in one step; only its owner may read it."""
        files.replace(path, [json.dumps(plain(self)).encode()])

    @classmethod
    def read(cls, path: Path) -> "Launch | None":
        """Content of the file; None when it is gone, as it is with its stack.

        It says what is started, so it must be one that only this user can have written. Raises
        StuckFaultError.
        """
        try:
            return read_object(cls, json.loads(private_bytes(path)))
        except FileNotFoundError:
            return None
        except _NOT_A_LAUNCH as error:
            why = getattr(error, "strerror", None) or error
            raise StuckFaultError(
                f"{path}: not what gameday has written of a part of its stack: {why}",
                help="do it as the user who has put up the stack",
            ) from error


@asynccontextmanager
async def alone(part: Path, clock: Clock) -> AsyncIterator[None]:
    """One process at a time ends or starts a part; a dead one holds no lock.

    Raises StuckFaultError when the part's stack is gone, or another process never has done.
    """
    try:
        handle = os.open(_lock(part), os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        raise StuckFaultError(f"{part}: it is gone, and with it its stack") from None
    try:
        deadline_ns = clock.now_ns() + int(_LOCK_S * NS)
        while not try_lock(handle):
            if clock.now_ns() > deadline_ns:
                raise StuckFaultError(f"{part}: another process is starting it all the time")
            await clock.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def is_being_started(part: Path) -> bool:
    """True if somebody is ending or starting it just now."""
    return is_locked(_lock(part))


def _lock(part: Path) -> Path:
    return part.with_suffix(".lock")


def me() -> tuple[int, str]:
    """The process that asks, as an owner of a stack."""
    return os.getpid(), start_time(os.getpid()) or ""


def start(launch: Launch, announce: Callable[[Launch], None]) -> Launch:
    """Start it: announced while it waits, then let go. Raises StackError."""
    waiting, go = os.pipe()
    try:
        pid = _spawn(launch, waiting)
        started = replace(launch, pid=pid, start_time=start_time(pid) or "")
        announce(started)
        try:
            os.write(go, GO)
        except BrokenPipeError:
            pass  # it ended while waiting: whoever waits for its health will see
    finally:
        os.close(waiting)
        os.close(go)
    return started


async def until_ready(launch: Launch, within_s: float, clock: Clock) -> bool:
    """Wait until it is healthy; False when it ends or is not in time."""
    deadline_ns = clock.now_ns() + int(within_s * NS)
    while not await launch.is_ready():
        if not launch.runs() or clock.now_ns() >= deadline_ns:
            return False
        await clock.sleep(_POLL_S)
    return True


def _spawn(launch: Launch, waiting: int) -> int:
    account = launch.account or Account(-1, -1)
    how = [account.uid, account.gid, launch.death_signal]
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, how), str(launch.folder)]
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_DUP2, waiting, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(launch.output or launch.log), write, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(launch.log), write, 0o600),
    ]
    environment = {**launch.environment, TOKEN_VARIABLE: launch.token}
    try:
        return os.posix_spawn(
            argv[0], [*argv, *launch.argv], environment, file_actions=actions, setsigmask=[]
        )
    except OSError as error:
        raise StackError(f"{launch.name}: cannot start a process: {error.strerror}") from error
