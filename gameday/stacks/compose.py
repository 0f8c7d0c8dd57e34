"""The compose stack: the system under test in containers, by a compose file.

The compose program brings them up, and the engine itself is asked for what became of them: it
takes whichever of `docker compose` and `docker-compose` is there, and no format of theirs is read.
Each start is a project of its own, with random passwords, on free ports, so that it runs beside
others. One record, written down before anything starts, takes all of it down again, volumes
included: this process does it at the stop, and the reaper when this process was killed.
"""

import asyncio
import os
import re
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext
from typing import Final

from gameday.core.clock import NS
from gameday.core.errors import GamedayError, StackError
from gameday.core.files.logs import last_lines
from gameday.core.network.http import OK, Ask, HttpError, ask_once
from gameday.core.network.urls import at
from gameday.core.processes.deadlines import in_time
from gameday.core.secrets.redaction import Hidden
from gameday.injection import engine
from gameday.injection.drivers import project as projects
from gameday.injection.drivers.request import secrets_of
from gameday.injection.drivers.scale import scale
from gameday.injection.engine import Container
from gameday.injection.process.launch import Launch
from gameday.spec.system import MOST_REPLICAS, System
from gameday.spec.undos import ProjectUndo, ScaleUndo
from gameday.stacks.compose_project import (
    SERVICE_IMAGE,
    Project,
    ProjectStart,
    ShippedProject,
)
from gameday.stacks.container_logs import keep_logs
from gameday.stacks.container_watch import ContainerWatch, with_replicas
from gameday.stacks.managed_process import Part
from gameday.stacks.ports import ATTEMPTS, HOST, lasting_ports, lasting_range
from gameday.stacks.stack import (
    Addresses,
    Progress,
    Running,
    StackWorkdir,
    whole_or_nothing,
)
from gameday.stacks.supervisor import PARTS, SERVICE, Supervisor

READY_S: Final = 90.0
"""From the first container on: the images are there by then."""
PROGRAM: Final = "compose"
_PROGRAMS: Final = (("docker", "compose"), ("docker-compose",))
_ADDING: Final = ("up", "--detach", "--no-build", "--no-recreate", "--no-deps")
_ILL: Final = "mend what the log says: the image, its settings, or the health check; then again"
_POLL_S = 0.25
_PROBE_S = 2.0
_PROGRAM_S = 20.0  # it is a Python program, and the machine may be busy
_LOG_S = 20.0
_HANDED_ON: Final = (
    "COMPOSE_DOCKER_CLI_BUILD",
    "DOCKER_BUILDKIT",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
)
_TAKEN = re.compile(r"port is already allocated|address already in use|bind: |ports are not avail")
_CAUSES: Final = (
    (
        re.compile(
            r"pull access denied|manifest (?:for .* )?(?:unknown|not found)|no such image"
            r"|repository does not exist|failed to resolve|\bGet \"https?://\S+/v2/|unauthorized",
            re.IGNORECASE,
        ),
        "an image is missing here, and cannot be fetched",
        "name one that can be had: REDIS_IMAGE=… and its like stand in compose.yml",
    ),
    (
        re.compile(r"non-overlapping IPv4 address pool", re.IGNORECASE),
        "the engine has no addresses left for one more network",
        "docker network prune",
    ),
    (
        re.compile(r"no space left on device", re.IGNORECASE),
        "the engine's disk is full",
        "docker system prune",
    ),
)


class ComposeStack:
    """Puts up a project, by default gameday's own."""

    def __init__(self, what: Project | None = None, *, ready_s: float = READY_S) -> None:
        self._what = what or ShippedProject()
        self._ready_s = ready_s
        self._supervisor: Supervisor | None = None
        self._project: ProjectUndo | None = None
        self._watch: ContainerWatch | None = None

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Put it up. Raises StackError that names the part and shows its log; nothing is left."""
        if self._supervisor is not None:
            raise StackError("this stack is already started")
        command = await asyncio.to_thread(compose_command)
        await asyncio.to_thread(self._what.look, command, system, workdir.system_dir)
        workdir.conceal(self._what.secrets())
        where = await asyncio.to_thread(engine.address)
        project = ProjectUndo(
            engine=where,
            engine_id=await asyncio.to_thread(engine.identity, where),
            name=f"gameday-{secrets.token_hex(6)}",
            token=secrets.token_hex(16),
        )
        supervisor = self._supervisor = Supervisor(workdir, outlives=False)
        async with whole_or_nothing(self.stop):
            supervisor.make_folder()
            workdir.announce("containers", [project])
            self._project = project
            up = _Up(supervisor, project, command, self._what, self._ready_s)
            # Theirs, which their logs may quote.
            up.hidden = [*secrets_of(system, os.environ), *self._what.secrets()]
            running = await self._with_ports(up, system)
            self._watch = ContainerWatch(
                project, running.binaries.keys(), running.may_end, workdir.clock
            )
            return running

    async def stop(self) -> list[str]:
        """Keep the logs, and take it down. Returns what could not be removed."""
        supervisor, project = self._supervisor, self._project
        if supervisor is None:
            return []
        if self._watch is not None:
            await self._watch.stop()
        left = []
        if project is not None:
            seen = [] if self._watch is None else self._watch.seen
            left = await _removed(project, supervisor.workdir.logs_dir, seen)
        left += await supervisor.stop()
        if not left:
            self._supervisor = self._project = None
        return left

    def ended(self) -> list[str]:
        """The services that should run but do not, as of the last look, a second ago or so."""
        return [] if self._watch is None else self._watch.ended

    def replicas(self) -> Mapping[str, str]:
        """Metrics address of each replica as of the last look, by its name."""
        if self._watch is None or not self._what.replicas():
            return {}
        return self._watch.replicas

    async def _with_ports(self, up: "_Up", system: System) -> Running:
        """Bring it up on free ports, on others where somebody was quicker."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await up.bring(system)
            except _PortTakenError:
                await projects.undo(up.project)
        return await up.bring(system)


class _Progress:
    """Tells how the containers are doing, each time that this has changed."""

    def __init__(self, tell: Progress) -> None:
        self._tell = tell
        self._last: tuple[list[str], list[str]] | None = None

    def __call__(self, there: Sequence[Container]) -> None:
        now = ([e.host for e in there if e.is_well], [e.host for e in there if not e.is_well])
        if now != self._last:
            self._last = now
            self._tell(*now)


class _PortTakenError(StackError):
    """Somebody else has a port that was free a moment ago."""


class _Up:
    """One bringing up: the program that does it, and how its containers are doing."""

    def __init__(
        self,
        supervisor: Supervisor,
        project: ProjectUndo,
        command: Sequence[str],
        what: Project,
        ready_s: float,
    ) -> None:
        self.project = project
        self._what = what
        self._supervisor = supervisor
        self._command = command
        self._ready_s = ready_s
        self.hidden: Sequence[str] = ()
        self._secret = supervisor.new_secret()
        self._password = supervisor.new_secret()
        self._bridge_token = supervisor.new_secret()

    async def bring(self, system: System) -> Running:
        """Start everything, and wait until it is healthy. Raises StackError, _PortTakenError."""
        names = self._what.ports()
        scales = self._what.replicas() > 0
        start = ProjectStart(
            folder=self._supervisor.folder,
            system_dir=self._supervisor.workdir.system_dir,
            token=self.project.token,
            ports=dict(zip(names, lasting_ports(len(names)), strict=True)),
            admin=lasting_range(MOST_REPLICAS) if scales else range(0),
            secret=self._secret,
            password=self._password,
            bridge_token=self._bridge_token,
        )
        self._supervisor.ports[:] = [*start.ports.values(), *start.admin]
        launch = self._launch(start)
        build = ["--build"] if self._what.builds() else []
        part = self._supervisor.launch(
            replace(launch, argv=[*launch.argv, "up", "--detach", *build])
        )
        try:
            await self._until_up(part)
        finally:
            await self._supervisor.drop(part)
        found = self._what.running(system, start)
        replicas = await self._scaled(launch, start) if scales else None
        there = await asyncio.to_thread(engine.containers_of, self.project)
        if scales:
            found = replace(found, replicas=replicas, system=with_replicas(found.system, there))
        running = replace(
            found,
            logs=dict(self._supervisor.logs),
            secrets=found.secrets.union(self._supervisor.secrets, self._what.secrets()),
            binaries={each.service: each.image for each in there if each.runs},
            project=self.project,
            may_end=frozenset(each.service for each in there if self._what.may_end(each)),
        )
        await self._until_answers(running.system)
        await self._until_observed(running.addresses)
        return running

    async def _scaled(self, launch: Launch, start: ProjectStart) -> ScaleUndo:
        """Have all replicas serve; the record with which there can be more or fewer of them."""
        part = start.folder / PARTS / "scale.json"
        row = f"{start.admin.start}-{start.admin.stop - 1}"
        first = await self._image_of(SERVICE)
        environment = {**launch.environment, "ADMIN_PORT": row, SERVICE_IMAGE: first}
        replace(launch, argv=[*launch.argv, *_ADDING], environment=environment).write(part)
        replicas = ScaleUndo(
            name=SERVICE,
            project=self.project,
            replicas=self._what.replicas(),
            part=part,
            balancer=f"http://{HOST}:{start.ports['BALANCER_PORT']}",
        )
        if replicas.replicas > 1:
            await scale(replicas)
        return replicas

    async def _image_of(self, service: str) -> str:
        """The image that it runs: a later replica is of the same, whatever has its name then."""
        there = await asyncio.to_thread(engine.containers_of, self.project)
        return next(each.image_id for each in there if each.service == service)

    def _launch(self, start: ProjectStart) -> Launch:
        """The compose program, told of which project."""
        handed_on = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        options = ["--project-name", self.project.name, *self._what.options(start)]
        return Launch(
            name=PROGRAM,
            argv=[*self._command, *options],
            environment={
                **handed_on,
                **self._what.environment(start),
                "DOCKER_HOST": self.project.engine,
            },
            folder=self._supervisor.folder,
        )

    async def _until_up(self, part: Part) -> None:
        """Wait until compose has ended well and all containers are; say what keeps it."""
        clock, progress = self._supervisor.clock, _Progress(self._supervisor.workdir.progress)
        since_ns: int | None = None
        while True:
            code = part.exit_code()
            there = await self._needed()
            progress(there)
            await self._refuse_lost(there, "it did not come up")
            if code not in (None, 0):
                raise self._failure(part)
            if code == 0 and there and all(each.is_well for each in there):
                return
            if since_ns is None and there:
                since_ns = clock.now_ns()
            if since_ns is not None and clock.now_ns() > since_ns + int(self._ready_s * NS):
                ill = [each for each in there if not each.is_well]
                what = f"not healthy within {self._ready_s:g} s"
                raise StackError(await self._story(ill, what), help=_ILL)
            await clock.sleep(_POLL_S)

    async def _needed(self) -> list[Container]:
        """The containers that have to be well: all but those whose task is done."""
        there = await asyncio.to_thread(engine.containers_of, self.project)
        return [each for each in there if not (each.is_done and self._what.may_end(each))]

    async def _refuse_lost(self, there: Sequence[Container], what: str) -> None:
        """Raises StackError, with their logs, for those that will not get well by waiting."""
        if lost := [each for each in there if each.is_lost]:
            raise StackError(await self._story(lost, what), help=_ILL)

    async def _until_answers(self, system: System) -> None:
        """Wait until the service answers as it does when it is ready. Raises StackError.

        Where the system file does not say how that is, any answer will do.
        """
        url = at(system.base_url, system.ready_path)
        verify = system.tls.needed_for(url)
        await self._until_answered(url, verify=verify, any_answer=system.start is None)

    async def _until_observed(self, addresses: Addresses) -> None:
        """Wait until what measures is ready, where the project has it. Raises StackError."""
        for base, path in (
            (addresses.prometheus, "/-/ready"),
            (addresses.alertmanager, "/-/ready"),
            (addresses.bridge, "/healthz"),
        ):
            if base is not None:
                await self._until_answered(at(base, path))

    async def _until_answered(
        self, url: str, *, verify: SSLContext | bool = False, any_answer: bool = False
    ) -> None:
        clock = self._supervisor.clock
        deadline_ns = clock.now_ns() + int(self._ready_s * NS)
        while True:
            try:
                status = (await ask_once(Ask("GET", url), _PROBE_S, verify=verify)).status
                if status == OK or any_answer:
                    return
                found = str(status)
            except HttpError as error:
                found = error.message
            await self._refuse_lost(await self._needed(), "it did not stay up")
            if clock.now_ns() > deadline_ns:
                text = f"{url}: {found}, {self._ready_s:g} s after all were healthy"
                raise StackError(text)
            await clock.sleep(_POLL_S)

    async def _story(self, ill: Sequence[Container], what: str) -> str:
        """The containers that keep the stack from being up, with the end of their logs."""

        def words() -> str:
            with engine.of(self.project) as client:
                return "\n".join(engine.last_words(client, each) for each in ill)

        names = ", ".join(each.host for each in ill) or "the stack"
        return self._hide(f"{names}: {what}\n{await asyncio.to_thread(words)}")

    def _failure(self, part: Part) -> StackError:
        """The error of a compose program that has given up, with the cure where it is known."""
        log = self._supervisor.logs[PROGRAM]
        lines = last_lines(log)
        text = "\n".join(lines)
        end = "\n".join(f"  | {line}" for line in lines) or "  | (it wrote nothing)"
        tail = f"; the end of {log}:\n{end}"
        if _TAKEN.search(text):
            why, cure = "a port of this machine is taken", "end what listens there, then again"
            return _PortTakenError(self._hide(f"{PROGRAM}: {why}{tail}"), help=cure)
        for pattern, why, cure in _CAUSES:
            if pattern.search(text):
                return StackError(self._hide(f"{PROGRAM}: {why}{tail}"), help=cure)
        why = f"it ended with exit code {part.exit_code()}"
        return StackError(self._hide(f"{PROGRAM}: {why}{tail}"))

    @property
    def _hide(self) -> Hidden:
        return Hidden([*self._supervisor.secrets, *self.hidden])


def compose_command() -> Sequence[str]:
    """The compose program that is there. Raises StackError where there is none."""
    for command in _PROGRAMS:
        if _is_there(command):
            return command
    raise StackError(
        "there is no compose program: neither `docker compose` nor `docker-compose` answers",
        help="install one of them (Debian: docker-compose)",
    )


def _is_there(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            [*command, "version"], capture_output=True, timeout=_PROGRAM_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def _removed(project: ProjectUndo, logs_dir: Path, seen: Sequence[Container]) -> list[str]:
    """Keep the logs as far as they can be had, and remove the project; what is left, in words."""
    with suppress(Exception):  # no log is worth containers that stay
        await in_time(asyncio.to_thread(keep_logs, project, logs_dir, seen=seen), _LOG_S)
    try:
        await projects.undo(project)
    except GamedayError as error:
        return [error.message]
    state = await projects.look(project)
    return [] if state.gone else [state.why]
