"""The compose stack: the system under test in containers, by gameday's own compose.yml.

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
from pathlib import Path
from typing import Final

from gameday.core.clock import NS
from gameday.core.errors import GamedayError, StackError, UsageError
from gameday.core.files.logs import last_lines
from gameday.core.network.http import OK, Ask, HttpError, ask_once
from gameday.core.network.urls import at
from gameday.core.processes.deadlines import in_time
from gameday.core.secrets.redaction import Hidden
from gameday.injection import engine
from gameday.injection.drivers import project as projects
from gameday.injection.engine import Container, EngineError
from gameday.injection.process.launch import Launch
from gameday.injection.upstream import Published
from gameday.spec.inputs import compose_file
from gameday.spec.system import System
from gameday.spec.undos import ProjectUndo
from gameday.stacks.container_watch import ContainerWatch
from gameday.stacks.managed_process import Part
from gameday.stacks.placeholders import readdress, render
from gameday.stacks.ports import ATTEMPTS, HOST, lasting_ports
from gameday.stacks.stack import Addresses, Running, StackWorkdir
from gameday.stacks.supervisor import Supervisor, plain_environment

READY_S: Final = 90.0
"""From the first container on: the images are there by then."""
PROGRAM: Final = "compose"
STORES: Final = {"redis": 6379, "postgres": 5432}
PORTS: Final = {
    "PORT": "balancer",
    "ADMIN_PORT": "service",
    "TOXIPROXY_PORT": "toxiproxy",
    "REDIS_PORT": "redis",
    "POSTGRES_PORT": "postgres",
    "PROXIED_REDIS_PORT": "toxiproxy",
    "PROXIED_POSTGRES_PORT": "toxiproxy",
}
"""Variables of compose.yml that name a port here, and the service that is behind it."""
_PROGRAMS: Final = (("docker", "compose"), ("docker-compose",))
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
    """Puts up the services of the profile `core`, one replica of the service among them."""

    def __init__(self, *, ready_s: float = READY_S) -> None:
        self._ready_s = ready_s
        self._supervisor: Supervisor | None = None
        self._project: ProjectUndo | None = None
        self._watch: ContainerWatch | None = None

    async def start(self, system: System, workdir: StackWorkdir) -> Running:
        """Put it up. Raises StackError that names the part and shows its log; nothing is left."""
        if self._supervisor is not None:
            raise StackError("this stack is already started")
        command = await _command(workdir.system_dir)
        where = await asyncio.to_thread(engine.address)
        project = ProjectUndo(
            engine=where,
            engine_id=await asyncio.to_thread(engine.identity, where),
            name=f"gameday-{secrets.token_hex(6)}",
            token=secrets.token_hex(16),
        )
        supervisor = self._supervisor = Supervisor(workdir, outlives=False)
        try:
            supervisor.make_folder()
            workdir.announce("containers", [project])
            self._project = project
            up = _Up(supervisor, project, command, self._ready_s)
            running = await self._with_ports(up, system)
            self._watch = ContainerWatch(project, running.binaries.keys(), workdir.clock)
            return running
        except OSError as error:
            await asyncio.shield(self.stop())
            raise StackError(f"the stack cannot be put up: {error}") from error
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> list[str]:
        """Keep the logs, and take it down. Returns what could not be removed."""
        supervisor, project = self._supervisor, self._project
        if supervisor is None:
            return []
        if self._watch is not None:
            await self._watch.stop()
        left = [] if project is None else await _removed(project, supervisor.workdir.logs_dir)
        left += await supervisor.stop()
        if not left:
            self._supervisor = self._project = None
        return left

    def ended(self) -> list[str]:
        """The services that should run but do not, as of the last look, a second ago or so."""
        return [] if self._watch is None else self._watch.ended

    async def _with_ports(self, up: "_Up", system: System) -> Running:
        """Bring it up on free ports, on others where somebody was quicker."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await up.bring(system)
            except _PortTakenError:
                await projects.undo(up.project)
        return await up.bring(system)


class _PortTakenError(StackError):
    """Somebody else has a port that was free a moment ago."""


class _Up:
    """One bringing up: the program that does it, and how its containers are doing."""

    def __init__(
        self, supervisor: Supervisor, project: ProjectUndo, command: Sequence[str], ready_s: float
    ) -> None:
        self.project = project
        self._supervisor = supervisor
        self._command = command
        self._ready_s = ready_s
        self._secret = supervisor.new_secret()
        self._password = supervisor.new_secret()

    async def bring(self, system: System) -> Running:
        """Start everything, and wait until it is healthy. Raises StackError, _PortTakenError."""
        ports = dict(zip(PORTS, lasting_ports(len(PORTS)), strict=True))
        self._supervisor.ports[:] = ports.values()
        part = self._supervisor.launch(self._launch(ports))
        try:
            await self._until_up(part)
        finally:
            await self._supervisor.drop(part)
        there = await asyncio.to_thread(engine.containers_of, self.project)
        running = self._running(system, ports, {each.service: each.image for each in there})
        await self._until_answers(system, running.system.base_url)
        return running

    def _launch(self, ports: Mapping[str, int]) -> Launch:
        """The compose program with its variables: ours, and the images that the user names."""
        given = {k: v for k, v in os.environ.items() if k.endswith("_IMAGE") or k in _HANDED_ON}
        ours = {
            "DOCKER_HOST": self.project.engine,
            "SYSTEM_DIR": str(self._supervisor.workdir.system_dir.resolve()),
            "GAMEDAY_STACK": self.project.token,
            "ADMIN_TOKEN": self._secret,
            "POSTGRES_PASSWORD": self._password,
        }
        numbers = {name: str(port) for name, port in ports.items()}
        options = ["--project-name", self.project.name, "--file", str(compose_file())]
        # The folder of the project is where compose looks for a file of variables: there is none.
        options += ["--project-directory", str(self._supervisor.folder), "--profile", "core"]
        # An image of the service that somebody names is theirs; else it is made of what is here.
        build = [] if "SERVICE_IMAGE" in given else ["--build"]
        return Launch(
            name=PROGRAM,
            argv=[*self._command, *options, "up", "--detach", *build],
            environment={**plain_environment(), **given, **ours, **numbers},
            folder=self._supervisor.folder,
        )

    async def _until_up(self, part: Part) -> None:
        """Wait until compose has ended well and all containers are; say what keeps it."""
        clock = self._supervisor.clock
        since_ns: int | None = None
        while True:
            code = part.exit_code()
            there = await asyncio.to_thread(engine.containers_of, self.project)
            if lost := [each for each in there if each.is_lost]:
                raise StackError(await self._story(lost, "it did not come up"))
            if code not in (None, 0):
                raise self._failure(part)
            if code == 0 and there and all(each.is_well for each in there):
                return
            if since_ns is None and there:
                since_ns = clock.now_ns()
            if since_ns is not None and clock.now_ns() > since_ns + int(self._ready_s * NS):
                ill = [each for each in there if not each.is_well]
                raise StackError(await self._story(ill, f"not healthy within {self._ready_s:g} s"))
            await clock.sleep(_POLL_S)

    async def _until_answers(self, system: System, base_url: str) -> None:
        """Wait until the balancer passes a question on to a replica. Raises StackError."""
        url = at(base_url, "/" if system.start is None else system.start.ready)
        verify = system.tls.needed_for(url)
        clock = self._supervisor.clock
        deadline_ns = clock.now_ns() + int(self._ready_s * NS)
        while True:
            try:
                found = str((await ask_once(Ask("GET", url), _PROBE_S, verify=verify)).status)
            except HttpError as error:
                found = error.message
            if found == str(OK):
                return
            if clock.now_ns() > deadline_ns:
                raise StackError(f"{url} through the balancer: {found}, after {self._ready_s:g} s")
            await clock.sleep(_POLL_S)

    async def _story(self, ill: Sequence[Container], what: str) -> str:
        """The containers that keep the stack from being up, with the end of their logs."""

        def words() -> str:
            with engine.of(self.project) as client:
                return "\n".join(engine.last_words(client, each) for each in ill)

        names = ", ".join(each.service for each in ill) or "the stack"
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
        return Hidden(frozenset(self._supervisor.secrets))

    def _running(
        self, system: System, ports: Mapping[str, int], images: Mapping[str, str]
    ) -> Running:
        """The stack as it is reached at these ports."""
        urls = {
            "redis": "redis://{at}/0",
            "postgres": f"postgresql://gameday:{self._password}@{{at}}/gameday",
        }
        direct, proxied, published = {}, {}, {}
        for store, port in STORES.items():
            here, through = ports[f"{store.upper()}_PORT"], ports[f"PROXIED_{store.upper()}_PORT"]
            direct[store] = urls[store].format(at=f"{HOST}:{here}")
            proxied[store] = urls[store].format(at=f"{HOST}:{through}")
            published[store] = Published((HOST, through), (HOST, here), f"{store}:{port}")
        addresses = Addresses(
            port=ports["PORT"],
            admin_port=ports["ADMIN_PORT"],
            toxiproxy=f"http://{HOST}:{ports['TOXIPROXY_PORT']}",
            proxies={name: name for name in STORES},
        )
        values = {**proxied, **{f"{name}_direct": url for name, url in direct.items()}}
        values |= {"port": str(ports["PORT"]), "admin_port": str(ports["ADMIN_PORT"])}
        values["secret"] = self._secret
        start = {} if system.start is None else system.start.env
        return Running(
            system=readdress(system, addresses),
            environment={name: render(text, values) for name, text in start.items()},
            addresses=addresses,
            direct=direct,
            proxied=proxied,
            logs=dict(self._supervisor.logs),
            secrets=frozenset(self._supervisor.secrets),
            binaries=images,
            project=self.project,
            published=published,
        )


async def _command(system_dir: Path) -> Sequence[str]:
    """The compose program that is there. Raises UsageError, StackError where there is none."""
    if not (system_dir / "Dockerfile").is_file():
        raise UsageError(
            f"{system_dir}: no Dockerfile beside the system file, so the compose stack cannot run",
            help="put its containers up yourself, and use --stack external",
        )
    for command in _PROGRAMS:
        if await asyncio.to_thread(_is_there, command):
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


async def _removed(project: ProjectUndo, logs_dir: Path) -> list[str]:
    """Keep the logs as far as they can be had, and remove the project; what is left, in words."""
    with suppress(EngineError, OSError, TimeoutError):
        await in_time(asyncio.to_thread(_keep_logs, project, logs_dir), _LOG_S)
    try:
        await projects.undo(project)
    except GamedayError as error:
        return [error.message]
    state = await projects.look(project)
    return [] if state.gone else [state.why]


def _keep_logs(project: ProjectUndo, logs_dir: Path) -> None:
    """Write what each container has said to `logs/<name>.log`: the service's, or one a replica."""
    with engine.of(project) as client:
        there = engine.containers(client, project)
        services = [each.service for each in there]
        for each in there:
            name = each.service if services.count(each.service) == 1 else each.name
            with (logs_dir / f"{name}.log").open("wb") as file:
                file.writelines(client.api.logs(each.id, stream=True, follow=False))
