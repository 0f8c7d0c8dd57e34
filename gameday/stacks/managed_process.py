"""One part of a stack: a child process with a log, announced before it is let go.

How it is started stands in a file of its own (`process/launch.py`), so that it can be started
again by whoever must. Until it is healthy, its end is an error that shows its exit code and the
end of its log.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gameday.core.clock import NS, Clock
from gameday.core.errors import StackError
from gameday.core.files.logs import cause, how_it_ended
from gameday.core.secrets.redaction import Hidden
from gameday.injection.process.launch import Launch, Question, is_being_started, start
from gameday.injection.process.process import alive, leaders, record, undo
from gameday.spec.undos import ProcessUndo, Undo

_POLL_S = 0.03


class PartEndedError(StackError):
    """A part ended although it should run."""


class Part:
    """A running part. `file` holds its `Launch`; `hidden` are texts that no message shows."""

    def __init__(self, launched: Launch, file: Path, hidden: frozenset[str], log_from: int) -> None:
        self.name = launched.name
        self.pid = launched.pid
        self.file = file
        self.undo = _ending(launched, file)
        self._launch = launched
        self._hide = Hidden(hidden)
        self._log_from = log_from
        self._status: int | None = None

    def is_healthy_when(
        self,
        question: Question,
        *,
        argv: Sequence[str] | None = None,
        stale: Sequence[Path] = (),
        memory: Sequence[Path] = (),
    ) -> None:
        """Complete the file, so that the part can be started again as it is now."""
        self._launch = replace(
            self._launch,
            question=question,
            argv=self._launch.argv if argv is None else argv,
            stale=stale,
            memory=memory,
        )
        self._launch.write(self.file)

    def runs(self) -> bool:
        """True while it runs, or is being started again, by anybody."""
        if self.exit_code() is None or is_being_started(self.file):
            return True
        now = Launch.read(self.file)
        if now is None or now.pid == self.pid:
            return False
        with suppress(ChildProcessError):  # somebody else has started it
            os.waitpid(now.pid, os.WNOHANG)
        return bool(leaders(self.undo))

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    async def until(
        self,
        healthy: Callable[[], Awaitable[bool]],
        within_s: float,
        clock: Clock,
        late: str = "not ready",
    ) -> None:
        """Wait until `healthy`. Raises PartEndedError, or StackError (`late`) after `within_s`."""
        deadline_ns = clock.now_ns() + int(within_s * NS)
        while not await healthy():
            if (code := self.exit_code()) is not None:
                raise PartEndedError(self._story(f"{how_it_ended(code)} while starting"))
            if clock.now_ns() >= deadline_ns:
                raise StackError(self._story(f"{late} within {within_s:g} s"))
            await clock.sleep(_POLL_S)

    def must_run(self) -> None:
        """Raises PartEndedError when it has ended."""
        if self.exit_code() is not None:
            raise PartEndedError(self._story(how_it_ended(self.exit_code())))

    async def finish(self, within_s: float, clock: Clock) -> None:
        """Wait for it to end by itself. Raises PartEndedError when it fails."""

        async def ended() -> bool:
            return self.exit_code() is not None

        await self.until(ended, within_s, clock, "not over")
        if self.exit_code() != 0:
            raise PartEndedError(self._story(how_it_ended(self.exit_code())))

    async def stop(self, clock: Clock) -> str:
        """End it; "" or what is left of it."""
        await undo(self.undo, clock)
        self.exit_code()
        left = alive(self.undo)
        self.runs()
        return f"{self.name}: process {', '.join(map(str, left))} does not end" if left else ""

    def _story(self, what: str) -> str:
        """The event, and the cause of it that the component's log has."""
        log = self._launch.log
        lines = cause(log, self._log_from, self._hide)
        end = "\n".join(f"  | {line}" for line in lines) or "  | (it wrote nothing)"
        return self._hide(f"{self.name}: {what}; the end of {log}:\n{end}")


def launch(
    what: Launch, file: Path, announce: Callable[[str, list[Undo]], None], hidden: frozenset[str]
) -> Part:
    """Start it, and write `file`: announced while it waits, then let go. Raises StackError."""
    log_from = what.log.stat().st_size if what.log.exists() else 0

    def on_launch(launched: Launch) -> None:
        launched.write(file)
        announce(launched.name, [_ending(launched, file)])

    return Part(start(what, on_launch), file, hidden, log_from)


def _ending(launched: Launch, file: Path) -> ProcessUndo:
    return record(
        launched.pid,
        launched.name,
        token=launched.token,
        stop_signal=launched.stop_signal,
        part=file,
    )
