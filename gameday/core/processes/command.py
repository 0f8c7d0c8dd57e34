"""A command of somebody's own, run to its end: bounded in time and output, and ended as a whole.

It has a session of its own. It has ended when its output has, and all of its session: what it left
at work may still have something to say, and half of an output looks like a whole one. A session is
killed when it is late, says too much, or is waited for no more; so nothing of it stays. Arguments
are seen by every user of the machine, so no secret stands there: it gets them in its environment.
It reads nothing. Its program is looked for as a shell would, a path with a `/` from its folder on.

The session is killed while the number of its leader is still taken: a command that has ended is
looked at without being reaped, so the number is not yet that of somebody else's session.
"""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import UnknownError, excerpt
from gameday.core.files import MIB, size
from gameday.core.processes import session
from gameday.core.processes.deadlines import cancelled

Take = Callable[[bytes], object]
MOST_SAID: Final = 64 * 1024  # of what it says to people; the end is what tells
_PIECE: Final = 64 * 1024
_SHOWN: Final = 500  # characters of it in an error
_LOOK_S: Final = 0.02
_PIPES_S: Final = 1.0
_KILLED_S: Final = 5.0


class CommandError(UnknownError):
    """A command could not be started, did not end in time, said too much, or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A command as it will be run. `environment` is added to gameday's own."""

    argv: Sequence[str]
    folder: Path = field(default_factory=Path)
    environment: Mapping[str, str] = field(default_factory=dict)
    within_s: float = 60.0
    most_bytes: int = 64 * MIB

    def __str__(self) -> str:
        """As one would type it, without what it gets in its environment."""
        return shlex.join(self.argv)

    @property
    def program(self) -> str | None:
        """Path of the program, None where there is none."""
        name = self.argv[0]
        return shutil.which(str(self.folder / name) if "/" in name else name)


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended: its exit status, its output ("" where it was taken), and its errors."""

    status: int
    output: bytes
    errors: str

    def must_be_well(self, line: CommandLine, hide: Callable[[str], str] = str) -> None:
        """Raise CommandError for any status but 0; `hide` takes secrets out of what it said."""
        if self.status:
            how = f"status {self.status}" if self.status > 0 else f"signal {-self.status}"
            said = hide(self.errors).strip()[-_SHOWN:]  # hidden before it is cut
            raise CommandError(
                hide(f"{_quoted(line)} ended with {how}: {said or 'it said nothing'}")
            )


async def run_command(line: CommandLine, take: Take | None = None) -> CommandEnd:
    """Run it to its end. `take` is given its output as it comes; then none is kept.

    Raises CommandError; what `take` raises ends the command, too.
    """
    running = _Running(line, take)
    running.start()
    try:
        async with asyncio.timeout(line.within_s):
            return await running.go()
    except TimeoutError as error:
        raise CommandError(f"{_quoted(line)} {running.what_is_late}") from error
    finally:
        await running.end()


def _quoted(line: CommandLine) -> str:
    return f"command {excerpt(str(line))!r}"


class _Running:
    """One command at work."""

    def __init__(self, line: CommandLine, take: Take | None) -> None:
        self._line = line
        self._take = take
        self._output, self._errors = bytearray(), bytearray()
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._has_left = False

    def start(self) -> None:
        """Start it in a session of its own. Raises CommandError."""
        line, program = self._line, self._line.program
        if program is None:
            raise CommandError(f"{_quoted(line)}: there is no such program")
        try:
            self._process = subprocess.Popen(
                list(line.argv),
                executable=os.path.abspath(program),
                cwd=line.folder,
                env={**os.environ, **line.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise CommandError(f"{_quoted(line)} cannot be started: {why}") from error

    async def go(self) -> CommandEnd:
        """Read all that it says, until it has ended."""
        process = self._process
        assert process is not None and process.stdout is not None and process.stderr is not None
        self._reading = [
            asyncio.create_task(_read(process.stdout, self._hear)),
            asyncio.create_task(_read(process.stderr, self._hear_error)),
        ]
        clock = SystemClock()
        while not _has_ended(process):
            self._raise_what_was_raised()
            await clock.sleep(_LOOK_S)
        self._has_left = True
        while not all(task.done() for task in self._reading) or session.members(process.pid):
            self._raise_what_was_raised()
            await clock.sleep(_LOOK_S)
        self._raise_what_was_raised()
        errors = self._errors.decode("utf-8", "replace")
        return CommandEnd(process.wait(), bytes(self._output), errors)

    @property
    def what_is_late(self) -> str:
        """The rest of a sentence about a command that is late."""
        within = f"within {self._line.within_s:g} s"
        if not self._has_left:
            return f"did not end {within}"
        return f"ended, but what it has started did not {within}: its output may be half of it"

    def _raise_what_was_raised(self) -> None:
        for task in self._reading:
            if task.done():
                task.result()

    def _hear(self, piece: bytes) -> None:
        self._count += len(piece)
        if self._count > self._line.most_bytes:
            most = size(self._line.most_bytes)
            raise CommandError(f"{_quoted(self._line)} printed more than {most}")
        if self._take is None:
            self._output += piece
        else:
            self._take(piece)

    def _hear_error(self, piece: bytes) -> None:
        self._errors += piece
        del self._errors[:-MOST_SAID]

    async def _kill(self) -> None:
        """Kill its session; its leader is not reaped yet, so the number is still its own."""
        process, clock = self._process, SystemClock()
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        until_ns = clock.now_ns() + int(_KILLED_S * NS)
        while session.kill(process.pid) and clock.now_ns() < until_ns:
            await clock.sleep(_LOOK_S)

    async def end(self) -> None:
        """Kill what is left of it, and let go of its pipes. Harmless when it has ended."""
        try:
            await self._kill()
        finally:  # also where nobody waits any more
            await self._let_go()

    async def _let_go(self) -> None:
        if self._reading:
            await cancelled(*self._reading, within_s=_PIPES_S)
        process = self._process
        if process is None:
            return
        await asyncio.to_thread(process.wait)  # killed, so it is over at once
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """True if it has ended; it is not reaped where the system can tell without."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, how) is not None
    except ChildProcessError:
        return True


async def _read(pipe: IO[bytes], hear: Take) -> None:
    """Hand on what comes out of a pipe, without waiting for it in a thread."""
    loop, number = asyncio.get_running_loop(), pipe.fileno()
    os.set_blocking(number, False)
    ready = asyncio.Event()
    loop.add_reader(number, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                piece = os.read(number, _PIECE)
            except BlockingIOError:
                continue
            if not piece:
                return
            hear(piece)
            ready.set()  # there may be more; and others have their turn
            await asyncio.sleep(0)  # noqa: TID251  no time passes
    finally:
        loop.remove_reader(number)
