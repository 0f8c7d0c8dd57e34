"""A stack that stays, whichever it is: put up once, used by many runs, taken down in the end.

`put_up` and `take_down` are `gameday up` and `gameday down`; `PersistentStack` is what `gameday run
--reuse` runs on. It starts nothing and stops nothing; a run keeps what the service said in it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from gameday.core.clock import NS, Clock, utc_now, wall_time_ns
from gameday.core.errors import GamedayError, StackError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.network.http import OK, Ask, HttpError, ask_once
from gameday.core.network.urls import at
from gameday.core.processes.deadlines import in_time
from gameday.core.stack_registry import EMBEDDED, STACKS
from gameday.injection import engine
from gameday.injection.drivers import Drivers
from gameday.injection.process.launch import is_being_started
from gameday.injection.process.process import alive, leaders
from gameday.injection.toxiproxy_client import read_token
from gameday.spec.system import System
from gameday.spec.undos import FolderUndo, ProcessUndo, ProjectUndo, ScaleUndo, Undo
from gameday.stacks.compose import ComposeStack
from gameday.stacks.compose_project import ShippedProject
from gameday.stacks.container_logs import keep_logs
from gameday.stacks.container_watch import ContainerWatch, with_replicas
from gameday.stacks.embedded import EmbeddedStack
from gameday.stacks.log_tails import LogTails, copies_of
from gameday.stacks.own_project import OwnProject
from gameday.stacks.placeholders import readdress
from gameday.stacks.stack import (
    Addresses,
    Progress,
    Running,
    Stack,
    StackWorkdir,
    new_work_dir,
    to_nobody,
)
from gameday.stacks.state import Kept, forget_kept, only_one, read_kept, write_kept
from gameday.stacks.supervisor import SERVICE

ANSWER_S = 5.0
_LOG_S = 20.0
_ANEW = "gameday down, then gameday up"


class PersistentStack:
    """The one that `gameday up` left running. `stack` is its name in the registry."""

    stack: ClassVar[str] = EMBEDDED

    def __init__(self) -> None:
        self._parts: list[ProcessUndo] = []
        self._watch: ContainerWatch | None = None
        self._scales = False
        self._logs_dir: Path | None = None
        self._tails: LogTails | None = None
        self._project: ProjectUndo | None = None
        self._since_s = 0

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Look that all of it is alive and fits `system`; nothing is started. Raises StackError."""
        kept = read_kept()
        if kept is None:
            raise StackError("no stack is kept running", help="gameday up")
        if kept.stack != self.stack:
            raise StackError(
                f"the kept stack is the {kept.stack} one, not the {self.stack} one",
                help=f"--stack {kept.stack}, or {_ANEW} --stack {self.stack}",
            )
        if kept.state == "starting" or kept.addresses is None:
            raise StackError("the kept stack was never ready", help=_ANEW)
        if ended := await asyncio.to_thread(kept.parts, run=False):
            raise StackError(f"the kept stack is broken: no {', '.join(ended)}", help=_ANEW)
        if (kept.name, kept.start) != (system.name, system.start):
            raise StackError(
                f"the kept stack runs {kept.name!r} as {kept.system_file} started it",
                help=f"{_ANEW} --system FILE",
            )
        self._scales = kept.replicas is not None
        running = await _with_replicas(_running(kept, kept.addresses, system))
        await _must_answer(running.system)
        self._parts = kept.undos(ProcessUndo)
        self._logs_dir, self._project = workdir.logs_dir, running.project
        self._since_s = wall_time_ns() // NS
        if running.project is None and SERVICE in running.logs:
            self._tails = await asyncio.to_thread(LogTails, copies_of([running.logs[SERVICE]]))
        if running.project is not None:
            self._watch = ContainerWatch(
                running.project, kept.binaries.keys(), kept.may_end, workdir.clock
            )
        return running

    def ended(self) -> list[str]:
        """The parts that should run but do not."""
        away = [each for each in self._parts if not leaders(each)]
        ended = [e.name for e in away if e.part is None or not is_being_started(e.part)]
        return ended + ([] if self._watch is None else self._watch.ended)

    def replicas(self) -> Mapping[str, str]:
        """Metrics address of each replica, by its name."""
        return self._watch.replicas if self._watch is not None and self._scales else {}

    async def stop(self) -> list[str]:
        """Nothing is stopped: the stack is kept. The run gets what its service has said in it."""
        if self._watch is not None:
            await self._watch.stop()
        if self._logs_dir is not None:
            with suppress(Exception):  # the log of a stack that is gone keeps no run from its end
                await in_time(asyncio.to_thread(self._keep_logs, self._logs_dir), _LOG_S)
        return []

    def _keep_logs(self, logs_dir: Path) -> None:
        if self._tails is not None:
            self._tails.keep(logs_dir)
        if self._project is not None:
            seen = [] if self._watch is None else self._watch.seen
            keep_logs(self._project, logs_dir, seen=seen, only=SERVICE, since_s=self._since_s)


class PersistentComposeStack(PersistentStack):
    """The same of `gameday up --stack compose`."""

    stack: ClassVar[str] = "compose"


async def put_up(
    system: System,
    system_file: Path,
    clock: Clock,
    *,
    stack: str = EMBEDDED,
    open_toxiproxy: bool = False,
    progress: Progress = to_nobody,
    replicas: int = 1,
    project: OwnProject | None = None,
) -> Running:
    """Start a stack so that it outlives this process; `replicas` only in containers.

    `project` is a compose project of somebody's own.

    Raises UsageError when one is kept already, StackError when it does not start; then, as after
    a cancellation, nothing is left.
    """
    with only_one():
        await _refuse_second()
        writer = _StateWriter(system, system_file, stack, starts=project is None)
        logs = state_dir() / "logs"
        logs.mkdir(exist_ok=True, mode=0o700)
        for old in logs.glob("*.log"):
            old.unlink()
        where = system_file.resolve().parent
        workdir = StackWorkdir(new_work_dir(), logs, clock, writer.announce, where, progress)
        try:
            made: Stack = EmbeddedStack(outlives=True, open_toxiproxy=open_toxiproxy)
            if STACKS[stack].in_containers:
                made = ComposeStack(project or ShippedProject(replicas))
            running = await made.start(system, workdir)
            writer.complete(running)
        except BaseException as error:
            if left := await asyncio.shield(_undo_all(writer.kept)):
                _tell_left(error, f"still there: {'; '.join(left)}")
            raise
        return running


def _tell_left(error: BaseException, still: str) -> None:
    """Raise what ended a start with what it has left; what nobody foresaw only notes it."""
    cure = "gameday down"
    if isinstance(error, GamedayError):
        why, cure = error.message, f"{cure}, then: {error.help}" if error.help else cure
    elif isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        why = "it was interrupted"
    elif isinstance(error, OSError):  # a full disk, most likely
        why = str(error)
    else:
        error.add_note(f"{still}: {cure} ends it")
        return
    raise StackError(f"{why}; {still}", help=cure) from error


async def take_down() -> Kept | None:
    """End the kept stack; None when there was none. Raises StackError naming what stays."""
    with only_one():
        kept = read_kept()
        if kept is not None and (left := await _undo_all(kept)):
            raise StackError(
                f"still there: {'; '.join(left)}", help="end them by hand, then gameday down again"
            )
        return kept


class _StateWriter:
    """Keeps the file at what is really there."""

    def __init__(self, system: System, system_file: Path, stack: str, *, starts: bool) -> None:
        if starts and system.start is None:
            raise UsageError(f"{system_file}: system {system.name!r} has no `start`")
        self.kept = Kept(
            started_at=utc_now().isoformat(timespec="seconds"),
            stack=stack,
            name=system.name,
            system_file=str(system_file.resolve()),
            start=system.start,
        )

    def announce(self, name: str, records: list[Undo]) -> None:
        """Write down a part before it starts."""
        del name  # each record has it
        self.kept = self.kept.model_copy(update={"undo": (*self.kept.undo, *records)})
        write_kept(self.kept)

    def complete(self, running: Running) -> None:
        """The stack is up: only what runs is remembered, and how to reach it."""
        there = [e for e in self.kept.undo if not isinstance(e, ProcessUndo) or alive(e)]
        token = None if running.token_file is None else read_token(running.token_file)
        update = {
            "state": "running",
            "undo": tuple(there),
            "addresses": running.addresses,
            "base_url": running.system.base_url,
            "environment": running.environment,
            "direct": running.direct,
            "proxied": running.proxied,
            "logs": running.logs,
            "secrets": tuple(sorted(running.secrets)),
            "binaries": running.binaries,
            "may_end": tuple(sorted(running.may_end)),
            "toxiproxy_token": token,
            "token_file": running.token_file,
            "published": running.published,
            "replicas": running.replicas,
        }
        self.kept = self.kept.model_copy(update=update)
        write_kept(self.kept)


async def _refuse_second() -> None:
    """One stack is kept at a time; what a dead one left is cleared away."""
    kept = read_kept()
    if kept is None:
        return
    if await asyncio.to_thread(kept.parts, run=True):
        raise UsageError(
            f"a stack is kept already: {kept.name!r} at {kept.base_url or 'no address yet'}, "
            f"since {kept.started_at}",
            help="gameday run EXPERIMENT --reuse uses it; gameday down ends it",
        )
    if left := await _undo_all(kept):
        raise StackError(f"an earlier stack left {'; '.join(left)}", help="remove it by hand")


async def _undo_all(kept: Kept) -> list[str]:
    """End the service, the other parts, containers, folders; forget them if all are gone."""
    processes = kept.undos(ProcessUndo)
    service = [each for each in processes if each.name == SERVICE]
    others = [each for each in processes if each.name != SERVICE]
    left: list[str] = []
    for several in (service, others, kept.undos(ProjectUndo), kept.undos(FolderUndo)):
        said = await asyncio.gather(*(_take_back(each) for each in several))
        left += [text for text in said if text]
    if not left:
        forget_kept()
    return left


async def _take_back(record: Undo) -> str:
    """Take one record back; "" or what stays."""
    drivers = Drivers()
    try:
        await drivers.undo(record)
        gone = await drivers.read_back(record)
    except GamedayError as error:
        return error.message
    return "" if gone else f"{record.thing}: {record.as_json()}"


async def _with_replicas(running: Running) -> Running:
    """The stack with the replicas that it has now."""
    if running.replicas is None:
        return running
    there = await asyncio.to_thread(engine.containers_of, running.replicas.project)
    return replace(running, system=with_replicas(running.system, there))


def _running(kept: Kept, addresses: Addresses, system: System) -> Running:
    return Running(
        system=readdress(system, addresses),
        environment=kept.environment,
        addresses=addresses,
        direct=kept.direct,
        proxied=kept.proxied,
        logs=kept.logs,
        secrets=frozenset(kept.secrets),
        binaries=kept.binaries,
        may_end=frozenset(kept.may_end),
        parts={each.name: each.part for each in kept.undos(ProcessUndo) if each.part is not None},
        token_file=kept.token_file,
        project=next(iter(kept.undos(ProjectUndo)), None),
        published=kept.published,
        replicas=kept.replicas if isinstance(kept.replicas, ScaleUndo) else None,
    )


async def _must_answer(system: System) -> None:
    """Raises StackError unless it answers as it does when it is ready; at all, without `start`."""
    url = at(system.base_url, system.ready_path)
    try:
        verify = system.tls.needed_for(url)
        status = (await ask_once(Ask("GET", url), ANSWER_S, verify=verify)).status
    except HttpError as error:
        why = f"the kept stack does not answer: {url}: {error.message}"
        raise StackError(why, help=_ANEW) from error
    if system.start is not None and status != OK:
        raise StackError(f"the kept stack is not healthy: {url} answers {status}", help=_ANEW)
