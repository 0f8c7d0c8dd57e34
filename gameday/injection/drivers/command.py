"""Commands of the system file: run, taken back by their undo, and looked at by their check.

A record holds no argv, only the SHA-256 of one. Whoever undoes looks the argv up in the system file
that the record names, or in the run's copy of it, and runs only what has that sum: a record cannot
have anything run that the user's own file did not say. Whose record it is, is the caller's to know:
a reaper obeys its controller's, `heal` those that this user has signed, and nobody any other.

An act that is still at work when it is to be undone is ended first, by whichever process undoes.
Without a check nothing reads the fault back. Then an undo that ended well is all there is to know.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gameday.core.clock import SystemClock
from gameday.core.errors import (
    ExitCode,
    GamedayError,
    StackError,
    StuckFaultError,
    UsageError,
    excerpt,
)
from gameday.core.files.private import own_folder, state_dir
from gameday.core.messages import Message
from gameday.core.secrets.redaction import Hidden, telling
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose, Driver, Environment
from gameday.injection.process.run_once import ProgramEnd, ProgramOrder, end_acting, run_once
from gameday.injection.removal_proof import (
    GONE,
    THERE,
    State,
    elsewhere,
    here,
    masked_name,
    was_masked,
)
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import CommandChange
from gameday.spec.commands import argv_sha256
from gameday.spec.undos import CommandUndo
from gameday.spec.yaml import load

CHECK_S: Final = 10.0  # it only looks
IS_IN, IS_OUT = 0, 3  # exit codes of a check; 1 and 2 are how programs fail
_SHOWN: Final = 400
UNCHECKED: Final = "no check tells; its undo was not run from here"


class CommandFaultError(GamedayError):
    """A command did not do what the fault asks of it."""

    exit_code = ExitCode.UNKNOWN


class CommandDriver(Driver):
    """The commands of one run, one healing or one reaper."""

    undo_s = 100.0  # an act that is ended, then the undo: 60 s at most

    def __init__(self) -> None:
        self._acted: set[CommandUndo] = set()
        self._undone: set[CommandUndo] = set()
        self._environment: Mapping[str, str] = {}

    async def prepare(self, change: CommandChange, context: InjectionContext) -> CommandUndo:
        """Find the command and the programs that it names; its check must say that it is out.

        Raises UsageError, and StackError where the fault is in before it was begun.
        """
        commands = context.direct.commands
        named = commands.by_name.get(change.name)
        if named is None or not commands.files:
            raise UsageError(f"the system file names no command {change.name!r}")
        folder = commands.files[0].parent
        for argv in named.argvs.values():
            _must_be_there(argv, folder)
        record = CommandUndo(
            name=change.name,
            sha256=argv_sha256(named.undo),
            checked=None if named.check is None else argv_sha256(named.check),
            files=commands.files,
            folder=folder,
            within_s=named.within.total_seconds(),
            acting=_acting_folder() / f"{context.next_name()}.json",
            seen_from=here(),
        )
        if record.checked is not None:
            self._environment = context.direct.environment
            state = await self._check(record)
            if state.gone is not True:
                raise StackError(f"{state.why}, before anything was broken")
        return record

    async def act(
        self, change: CommandChange, undo: CommandUndo, context: InjectionContext
    ) -> None:
        """Run it. Raises CommandFaultError where it does not end with 0."""
        self._environment = context.direct.environment
        argv = context.direct.commands.by_name[change.name].run
        own_folder(_acting_folder(), "remove it")
        end = await self._run(undo, argv, undo.within_s, undo.acting)
        self._acted.add(undo)
        if end.code != 0:
            raise CommandFaultError(self._in_words(f"the command {change.name!r}", end))

    async def dose(self, record: CommandUndo) -> Dose | None:
        """The answer of its check; None where it has none."""
        if record.checked is None:
            return None
        state = await self._check(record)
        there = None if state.gone is None else not state.gone
        id_ = {True: "command_in", False: "command_out", None: "command_unknown"}[there]
        return there, None, "", Message(f"dose.{id_}", name=record.name, why=state.why)

    async def undo(self, record: CommandUndo, environment: Environment, policy: UndoPolicy) -> None:
        """End the act if it is at work, then run the undo. Raises StuckFaultError."""
        del policy
        self._environment = environment or self._environment
        if was_masked(record):
            raise StuckFaultError(masked_name().why)
        if (away := elsewhere(record.seen_from)) is not None:
            raise StuckFaultError(away.why)
        argv = _looked_up(record, "undo", record.sha256)
        if record.acting is not None:
            await end_acting(record.acting, SystemClock())
        end = await self._run(record, argv, record.within_s, self._beside(record, "undo"))
        if end.code != 0:
            raise StuckFaultError(
                self._in_words(f"the undo of command {record.name!r}", end),
                help="take it back by hand; gameday heal runs the undo again",
            )
        self._undone.add(record)

    async def look(self, record: CommandUndo, environment: Environment) -> State:
        """State by its check; without one, by what this process has done."""
        self._environment = environment or self._environment
        if was_masked(record):
            return masked_name()
        if (away := elsewhere(record.seen_from)) is not None:
            return away
        if record.checked is not None:
            return await self._check(record)
        if record in self._undone:
            return GONE
        if record in self._acted:
            return State(gone=False, why=THERE)
        return State(gone=None, why=UNCHECKED)

    async def _check(self, record: CommandUndo) -> State:
        argv = _looked_up(record, "check", record.checked or "")
        end = await self._run(
            record, argv, min(CHECK_S, record.within_s), self._beside(record, "check")
        )
        if end.code == IS_IN:
            return State(gone=False, why=f"the check of command {record.name!r} ended with 0")
        if end.code == IS_OUT:
            return State(gone=True, why="")
        return State(gone=None, why=self._in_words(f"the check of command {record.name!r}", end))

    async def _run(
        self, record: CommandUndo, argv: Sequence[str], within_s: float, acting: Path | None
    ) -> ProgramEnd:
        order = ProgramOrder(
            name=f"command {record.name}",
            argv=argv,
            folder=record.folder,
            environment={**os.environ, **self._environment},
            within_s=within_s,
            acting=acting or self._beside(record, "act"),
        )
        return await run_once(order, SystemClock())

    def _beside(self, record: CommandUndo, what: str) -> Path:
        """A file for a process that nobody else has to find."""
        folder = own_folder(_acting_folder(), "remove it")
        return folder / f"{what}-{os.getpid()}-{record.sha256[:16]}-{id(self)}.json"

    def _in_words(self, what: str, end: ProgramEnd) -> str:
        """A sentence about an end, without secrets; hidden before it is cut."""
        hide = Hidden(telling({**os.environ, **self._environment}))
        return f"{what} {excerpt(hide(end.how), _SHOWN)}"


def _acting_folder() -> Path:
    return state_dir() / "commands"


def _must_be_there(argv: Sequence[str], folder: Path) -> None:
    """Raise UsageError for a program that is not there; a path counts from the system file."""
    program = str(folder / argv[0]) if "/" in argv[0] else argv[0]
    if shutil.which(program) is None:
        raise UsageError(
            f"there is no program {excerpt(repr(argv[0]), 200)} that can be run",
            help="a name is looked up in PATH, a path from the system file's folder",
        )


def _looked_up(record: CommandUndo, key: str, sha256: str) -> Sequence[str]:
    """The argv of that sum, from the first file that has it. Raises StuckFaultError."""
    for path in record.files:
        for argv in _argvs(path, record.name, key):
            if argv_sha256(argv) == sha256:
                return argv
    raise StuckFaultError(
        f"the {key} of command {record.name!r} is not run: no file has the one that was meant,"
        f" SHA-256 {sha256[:12]}…; looked at {', '.join(map(str, record.files))}",
        help="put the system file back as it was, or take the fault back by hand",
    )


def _argvs(path: Path, name: str, key: str) -> Iterator[list[str]]:
    """The argv under that key of a system file; none where the file is not as it was."""
    with suppress(GamedayError, OSError, ValueError, RecursionError):
        written: Any = load(path).plain()
        for step in ("commands", name, key):
            written = written.get(step) if isinstance(written, dict) else None
        if isinstance(written, list) and all(isinstance(each, str) for each in written):
            yield written
