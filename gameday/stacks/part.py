"""One part of a stack: a child process with a log, announced before it is let go.

A part is started by `launcher.py`, which waits until this side has announced the PID and then
becomes the program. Until it is healthy, its end is an error that shows its exit code and the
end of its log.
"""

import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gameday.changes import Undo
from gameday.clock import NS, Clock
from gameday.effects.process import TOKEN_VARIABLE, alive, record, undo
from gameday.errors import StackError
from gameday.stacks import hide

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_LINES = 20
_POLL_S = 0.03


class PartEndedError(StackError):
    """A part ended although it should run."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `output` takes standard output where that is not for the log."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    output: Path | None = None
    account: Account | None = None
    stop_signal: str = "SIGTERM"
    death_signal: signal.Signals | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)


class Part:
    """A running part."""

    def __init__(self, command: Command, pid: int, undo: Undo, log_from: int) -> None:
        self.name = command.name
        self.pid = pid
        self.undo = undo
        self._command = command
        self._log_from = log_from
        self._status: int | None = None

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    async def until(
        self, healthy: Callable[[], Awaitable[bool]], within_s: float, clock: Clock
    ) -> None:
        """Wait until `healthy`. Raises PartEndedError, or StackError after `within_s`."""
        deadline_ns = clock.now_ns() + int(within_s * NS)
        while not await healthy():
            if self.exit_code() is not None:
                raise PartEndedError(self._story(f"{self._how_it_ended()} while starting"))
            if clock.now_ns() >= deadline_ns:
                raise StackError(self._story(f"not ready within {within_s:g} s"))
            await clock.sleep(_POLL_S)

    def must_run(self) -> None:
        """Raises PartEndedError when it has ended."""
        if self.exit_code() is not None:
            raise PartEndedError(self._story(self._how_it_ended()))

    async def finish(self, within_s: float, clock: Clock) -> None:
        """Wait for it to end by itself. Raises PartEndedError when it fails."""

        async def ended() -> bool:
            return self.exit_code() is not None

        await self.until(ended, within_s, clock)
        if self.exit_code() != 0:
            raise PartEndedError(self._story(self._how_it_ended()))

    async def stop(self, clock: Clock) -> str:
        """End it; "" or what is left of it."""
        await undo(self.undo.data, clock)
        self.exit_code()
        left = alive(self.undo.data)
        return f"{self.name}: process {', '.join(map(str, left))} does not end" if left else ""

    def _how_it_ended(self) -> str:
        code = self.exit_code()
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _story(self, what: str) -> str:
        """What happened, and the end of what it wrote to the log."""
        log = self._command.log
        written = log.read_bytes()[self._log_from :].decode(errors="replace")
        lines = written.splitlines()[-LOG_LINES:]
        end = "\n".join(f"  | {line}" for line in lines) or "  | (it wrote nothing)"
        return hide(f"{self.name}: {what}; the end of {log}:\n{end}", self._command.hidden)


def launch(command: Command, announce: Callable[[str, list[Undo]], None]) -> Part:
    """Start it: announced while it waits, then let go. Raises StackError."""
    token = secrets.token_hex(8)
    log_from = command.log.stat().st_size if command.log.exists() else 0
    waiting, go = os.pipe()
    try:
        pid = _spawn(command, waiting, token)
        ends = record(pid, command.name, token=token, stop_signal=command.stop_signal)
        announce(command.name, [ends])
        with suppress(BrokenPipeError):  # it ended while waiting: `until` will say why
            os.write(go, b"1")
    finally:
        os.close(waiting)
        os.close(go)
    return Part(command, pid, ends, log_from)


def _spawn(command: Command, waiting: int, token: str) -> int:
    account = command.account or Account(-1, -1)
    how = [account.uid, account.gid, int(command.death_signal or 0)]
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, how), str(command.folder)]
    write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_DUP2, waiting, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(command.output or command.log), write, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(command.log), write, 0o600),
    ]
    environment = {**command.environment, TOKEN_VARIABLE: token}
    try:
        return os.posix_spawn(
            argv[0], [*argv, *command.argv], environment, file_actions=actions, setsigmask=[]
        )
    except OSError as error:
        raise StackError(f"{command.name}: cannot start a process: {error.strerror}") from error
