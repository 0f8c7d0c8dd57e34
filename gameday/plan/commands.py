"""Commands that a system file names: what they are, and whether this user has agreed to them.

A system file may have a command run: to read the audit, to prepare a run. `gameday plan` prints
all of them. Whoever works in a project has its files, and its commands, before their eyes; a system
file from anywhere else is asked about once: before anything of it is run, for exactly these words.
What was agreed to is kept in the state folder, as SHA-256 of the file's path and its commands, so
another command, or the same in another file, is another question.

A file of SQL before a start is asked about as a command is: gameday executes it as the superuser of
its own PostgreSQL, and so it can run programs as this user (`COPY … FROM PROGRAM`). Its content
counts, since all of it is executed.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import GamedayError, excerpt
from gameday.core.files.private import state_dir
from gameday.core.messages import Message
from gameday.plan.finding import Finding
from gameday.spec.audit import AuditCommand, CommandRun
from gameday.spec.campaign import CommandAct
from gameday.spec.inputs import LoadedSystem
from gameday.spec.start import SQL_BYTES, SqlFile
from gameday.spec.system import System

SETUP: Final = "start.setup"
_FILE: Final = "commands.json"
_SHOWN: Final = 300  # characters of a command
_MOST: Final = 1_000  # answers that are kept; the oldest go first
_MARKS: Final = (".git", ".hg", ".jj", "pyproject.toml", "package.json", "go.mod", "Makefile")
"""Names that the top folder of a project has one of."""
CURE: Final = "run `gameday plan` in a terminal once and answer; where nobody can: --allow-commands"


@dataclass(frozen=True, slots=True)
class NamedCommand:
    """A command, and the key of the system file that names it.

    `environment` is what it gets beside gameday's own, and `folder` where it is run: both may
    change what a program does.
    """

    key: str
    argv: tuple[str, ...]
    environment: tuple[str, ...] = ()
    folder: str = ""
    sql_sha256: str = ""
    """Of the file, where it is one of SQL; `argv` is its path then."""

    def __str__(self) -> str:
        if self.sql_sha256:
            return f"{self.key}: SQL of {shlex.join(self.argv)} (SHA-256 {self.sql_sha256})"
        where = f" (in {self.folder})" if self.folder else ""
        return f"{self.key}: {shlex.join([*self.environment, *self.argv])}{where}"


def commands_of(loaded: LoadedSystem) -> list[NamedCommand]:
    """Every command that a run with this system file may run, beside the service itself."""
    return [*_of_setup(loaded), *_of_runs(loaded.system)]


def _of_setup(loaded: LoadedSystem) -> Iterator[NamedCommand]:
    """Commands before the service, which have its environment, and files of SQL."""
    start = loaded.system.start
    if start is None:
        return
    environment = tuple(f"{name}={value}" for name, value in start.env.items())
    for number, step in enumerate(start.setup):
        key = f"{SETUP}.{number}"
        if isinstance(step, SqlFile):
            path = (loaded.path.parent / step.sql).resolve()
            yield NamedCommand(key, (str(path),), sql_sha256=_sha256(path))
        else:
            yield NamedCommand(key, tuple(step), environment)


def _sha256(path: Path) -> str:
    """Of a file's content; of one that cannot be read, and so is never executed, that of nothing.

    It is another one as soon as it can be read.
    """
    try:
        return hashlib.sha256(files.read_bytes(path, SQL_BYTES)).hexdigest()
    except (OSError, GamedayError):
        return hashlib.sha256(b"").hexdigest()


def _of_runs(system: System) -> Iterator[NamedCommand]:
    if isinstance(system.audit, AuditCommand):
        yield _named("audit.command", system.audit)
    for number, act in enumerate(system.before_run):
        if isinstance(act, CommandAct):
            yield _named(f"before_run.{number}.command", act)
    for name, command in system.commands.items():
        for key, argv in command.argvs.items():
            yield NamedCommand(f"commands.{name}.{key}", tuple(argv))


def _named(key: str, run: CommandRun) -> NamedCommand:
    """A command with its environment: values as they are written, secrets as references."""
    given = (
        (name, v if isinstance(v, str) else v.model_dump_json()) for name, v in run.env.items()
    )
    environment = tuple(f"{name}={value}" for name, value in given)
    return NamedCommand(key, tuple(run.command), environment, run.folder or "")


def unagreed(loaded: LoadedSystem) -> list[NamedCommand]:
    """The commands of a file from outside the current project that nobody has agreed to."""
    found = commands_of(loaded)
    if not found or is_inside_project(loaded.path) or _digest(loaded, found) in _agreed():
        return []
    return found


def agree(loaded: LoadedSystem) -> None:
    """Remember that the user has agreed. Raises StackError, UsageError or OSError."""
    digest = _digest(loaded, commands_of(loaded))
    kept = [each for each in _agreed() if each != digest]
    raw = json.dumps({"schema": 1, "agreed": [*kept[1 - _MOST :], digest]}).encode()
    files.replace(state_dir() / _FILE, [raw])


def findings(loaded: LoadedSystem) -> Iterator[Finding]:
    """All commands, for whoever reads the plan; a failure where they are to be asked about.

    Those that are done before a run, or before the service, are told with what else is.
    """
    for each in commands_of(loaded):
        if each.key.startswith((SETUP, "before_run.")):
            continue
        line = shlex.join(each.argv)
        yield Finding(each.key, "ok", Message("finding.command", command=excerpt(line, _SHOWN)))
    if asked := unagreed(loaded):
        yield Finding("commands", "fail", refusal(loaded, asked), CURE, usage=True)


def refusal(loaded: LoadedSystem, asked: Sequence[NamedCommand]) -> str:
    """Why nothing is run of a file whose commands nobody has agreed to."""
    more = "" if len(asked) == 1 else f" and {len(asked) - 1} more"
    return f"{loaded.path} is from outside this project, and has commands run: {asked[0]}{more}"


def is_inside_project(path: Path) -> bool:
    """True for a file of the project that the current folder is of; links count as where they lead.

    Without a mark of a project that is the current folder alone; a folder that holds the projects
    of all is none.
    """
    try:
        here, real = Path.cwd().resolve(), path.resolve()
    except (OSError, RuntimeError):  # the current folder is gone, or a link leads to itself
        return False
    top = _top(here)
    return top is not None and real.is_relative_to(top)


def _top(here: Path) -> Path | None:
    """The nearest folder that has a mark; never one that holds the projects of all."""
    if here == here.parent:
        return None
    with suppress(OSError, RuntimeError):
        home = Path.home().resolve()
        if here in (home, *home.parents):
            return None
        for folder in (here, *here.parents):
            if folder in (home, *home.parents):
                break
            if any((folder / mark).exists() for mark in _MARKS):
                return folder
    return here


def _digest(loaded: LoadedSystem, found: Sequence[NamedCommand]) -> str:
    told = [
        str(loaded.path.resolve()),
        *(_fields_of(each) for each in found),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _fields_of(each: NamedCommand) -> list[object]:
    """All that was agreed to of one; without SQL it is what it was before that was asked about."""
    told: list[object] = [each.key, each.argv, each.environment, each.folder]
    return [*told, each.sql_sha256] if each.sql_sha256 else told


def _agreed() -> list[str]:
    """Digests of what was agreed to; none where the file cannot be read: it is asked again."""
    try:
        raw = files.read_bytes(state_dir() / _FILE, files.SETTING_BYTES)
        agreed = json.loads(raw)["agreed"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, GamedayError):
        return []
    return [each for each in agreed if isinstance(each, str)] if isinstance(agreed, list) else []
