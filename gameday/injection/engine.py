"""The container engine: which one it is, and the containers of a compose project that is ours.

One engine is meant by all that gameday does: the one that DOCKER_HOST or the docker command's
context names. A project is ours by two labels, the one that compose gives it and the token of its
stack; what bears only one of them is somebody else's, and is neither shown nor touched.

The engine's library blocks, so all of this is called in a thread.
"""

import asyncio
import os
import re
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from gameday.core.errors import StackError, UsageError, excerpt
from gameday.core.network.allow_list import is_this_machine
from gameday.injection.removal_proof import State, masked_name, was_masked
from gameday.spec.undos import ContainerUndo, LimitUndo, PartitionUndo, ProjectUndo

T = TypeVar("T")

ANSWER_S = 30.0
BUILT = "gameday-own-"  # so the images are called that are built for a copy of a project
LABEL = "gameday.stack"
MEMORY = "gameday.memory"
NAME = "gameday.name"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
LOG_LINES = 20
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_SMALL = re.compile(r"[0-9]{1,9}")
_DOCTOR = "start Docker, or point DOCKER_HOST at it; gameday doctor looks at it too"


class EngineError(StackError):
    """The container engine is not there, or does not do what it is asked for."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine lists it; `health` is "" where nothing looks at it.

    `service` is what it is called in gameday's files, `host` in the compose file and by others.

    `memory` is the file that a Redis remembers from, "" for all else. `number` is its place among
    the replicas, from 1; `project` is what compose calls the whole; `ports` are those that it has
    on this machine, by its own. `image` is a name, which may mean another image by now; `image_id`
    is the one it was made of.
    """

    id: str
    name: str
    service: str
    host: str
    image: str
    state: str
    health: str
    status: str
    memory: str
    number: int = 1
    project: str = ""
    image_id: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """True if it runs, or is only paused."""
        return self.state in ("running", "paused", "restarting")

    @property
    def is_well(self) -> bool:
        """True if it runs, and is healthy as far as anybody looks."""
        return self.state == "running" and self.health in ("", "healthy")

    @property
    def is_done(self) -> bool:
        """True if it has ended, and well: a task, such as a migration."""
        return self.state == "exited" and self.status.startswith("Exited (0)")

    @property
    def is_lost(self) -> bool:
        """True if it will not get well by waiting."""
        return self.state in ("exited", "dead", "removing") or self.health == "unhealthy"


def ended(
    there: Sequence[Container], services: Collection[str], may_end: Collection[str]
) -> list[str]:
    """Those of `services` that should run and do not; a task that is done should not.

    One may be several services of a compose file, each of which has to run; of the replicas of one
    any is enough.
    """
    run = {each.host for each in there if each.runs}
    done = {each.host for each in there if each.is_done and each.service in may_end}
    gone = {each.service for each in there if each.host not in run | done}
    missing = set(services) - {each.service for each in there}
    return sorted(missing | (gone & set(services)))


def address() -> str:
    """Address of the engine, as the docker command finds it. Raises EngineError."""
    import docker.constants
    import docker.context
    import docker.errors

    found = os.environ.get("DOCKER_HOST", "")
    if not found:
        try:
            named = os.environ.get("DOCKER_CONTEXT") or None  # which the library does not ask
            context = docker.context.ContextAPI.get_context(named)
        except docker.errors.DockerException as error:
            raise EngineError(f"docker's context: {error}", help="docker context ls") from error
        if named and context is None:
            problem = f"docker has no context {named!r}, which DOCKER_CONTEXT names"
            raise EngineError(problem, help="docker context ls")
        found = (context.Host if context else "") or docker.constants.DEFAULT_UNIX_SOCKET
    return found.replace("http+unix://", "unix://", 1)


def _refuse_elsewhere(at: str) -> None:
    """Refuse an engine that is not here: its ports would not be, and a record could name any."""
    if not _is_here(at):
        raise EngineError(
            f"the container engine {at!r} is not on this machine, and its ports would not be",
            help="run gameday there, or point DOCKER_HOST at an engine here",
        )


def _is_here(found: str) -> bool:
    parts = urlsplit(found)
    if parts.scheme == "tcp":
        try:
            return parts.hostname == "localhost" or is_this_machine(parts.hostname or "")
        except ValueError:
            return False
    return parts.scheme in ("unix", "npipe")


@contextmanager
def engine(at: str) -> Iterator[Any]:
    """A client of the engine at that address. Raises EngineError for whatever it refuses."""
    import docker
    import docker.errors
    from urllib3.exceptions import HTTPError

    _refuse_elsewhere(at)
    _knock(at)
    client = None
    try:
        client = docker.from_env(timeout=ANSWER_S, environment={**os.environ, "DOCKER_HOST": at})
        yield client
    except docker.errors.APIError as error:
        raise EngineError(f"container engine {at}: {_words(error)}") from error
    # A lost connection is one of the last three: of a log that is cut off, by who unpacks it, too.
    except (docker.errors.DockerException, OSError, HTTPError, struct.error) as error:
        raise EngineError(
            f"container engine {at}: {excerpt(str(error), 300)}", help=_DOCTOR
        ) from error
    finally:
        if client is not None:
            client.close()


def _words(error: Any) -> str:
    return excerpt(str(error.explanation or error).strip(), 500)


def _knock(at: str) -> None:
    """Connect to the engine's socket, which says why it cannot be used. Raises EngineError."""
    parts = urlsplit(at)
    if parts.scheme != "unix":
        return
    try:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(ANSWER_S)
            knocking.connect(parts.path)
    except PermissionError as error:
        raise EngineError(
            f"no permission on the socket of the container engine, {at}",
            help="join its group (sudo usermod -aG docker $USER, then log in again)",
        ) from error
    except OSError as error:
        raise EngineError(f"no container engine runs at {at}", help=_DOCTOR) from error


def identity(at: str) -> str:
    """The engine's name for itself, which a new one at the same address does not have."""
    with engine(at) as client:
        return str(client.info()["ID"])


@contextmanager
def of(project: ProjectUndo) -> Iterator[Any]:
    """A client of the engine that the project is on. Raises EngineError, for another one too."""
    with engine(project.engine) as client:
        if client.info()["ID"] != project.engine_id:
            raise EngineError(
                f"another container engine answers at {project.engine} by now",
                help=f"point DOCKER_HOST at the one with project {project.name}, then again",
            )
        yield client


def filters(project: ProjectUndo) -> dict[str, list[str]]:
    """Filter of the engine's lists for what is the project's, and ours."""
    return {"label": [f"{PROJECT}={project.name}", f"{LABEL}={project.token}"]}


def containers(client: Any, project: ProjectUndo) -> list[Container]:
    """All containers of the project, also those that do not run, by service and number."""
    found = [
        container_of(each) for each in client.api.containers(all=True, filters=filters(project))
    ]
    return sorted(found, key=lambda each: (each.service, each.number, each.name))


async def asked(project: ProjectUndo, work: Callable[[Any], T]) -> T:
    """The result of `work` with a client of the project's engine, in a thread.

    Raises EngineError.
    """

    def whole() -> T:
        with of(project) as client:
            return work(client)

    return await asyncio.to_thread(whole)


def each_of(items: Iterable[T], work: Callable[[T], None]) -> None:
    """Do `work` for each: what is refused of one keeps no other from being put back.

    Raises the first refusal in the end.
    """
    import docker.errors

    refused: Exception | None = None
    for item in items:
        try:
            work(item)
        except (docker.errors.APIError, EngineError) as error:
            refused = refused or error
    if refused is not None:
        raise refused


async def look(
    record: ContainerUndo | LimitUndo | PartitionUndo, state: Callable[[Any], State]
) -> State:
    """State of a change of containers; unknown where a name was masked, or no engine answers."""
    if was_masked(record) or was_masked(record.project):
        return masked_name()
    try:
        return await asked(record.project, state)
    except EngineError as error:
        return State(gone=None, why=error.message)


async def running(
    project: ProjectUndo | None, service: str, fault: str
) -> tuple[ProjectUndo, list[Container]]:
    """The project, and the containers of a service that a `fault` is to strike: all run.

    Raises UsageError where the stack has none of that name, StackError where one is down.
    """
    if project is None:
        raise UsageError(f"this stack has no containers: {fault} on {service!r}")
    there = await asked(project, lambda client: containers(client, project))
    found = [each for each in there if each.service == service]
    if not found:
        has = ", ".join(sorted({each.service for each in there})) or "none"
        raise UsageError(f"this stack has no container of {service!r}; it has {has}")
    down = [each for each in found if each.state != "running"]
    if down:
        text = f"{down[0].name} does not run ({down[0].status}), before anything was broken"
        raise StackError(text)
    return project, found


def containers_of(project: ProjectUndo) -> list[Container]:
    """The same of a project that is looked at once. Raises EngineError."""
    with of(project) as client:
        return containers(client, project)


def all_containers(at: str) -> list[Container]:
    """Every container of an engine, whoever started it. Raises EngineError."""
    with engine(at) as client:
        return [container_of(each) for each in client.api.containers(all=True)]


def container_of(shown: dict[str, Any]) -> Container:
    """The container that the engine's list shows."""
    health = _HEALTH.search(shown["Status"])
    labels = shown["Labels"] or {}
    return Container(
        id=shown["Id"],
        name=(shown["Names"] or [shown["Id"]])[0].lstrip("/"),
        service=labels.get(NAME) or labels.get(SERVICE, ""),
        host=labels.get(SERVICE, ""),
        image=shown["Image"],
        image_id=shown["ImageID"],
        state=shown["State"],
        health=health[1] if health else "",
        status=shown["Status"],
        memory=labels.get(MEMORY, ""),
        number=int(number) if _SMALL.fullmatch(number := labels.get(NUMBER, "")) else 1,
        project=labels.get(PROJECT, ""),
        ports={
            each["PrivatePort"]: each["PublicPort"]
            for each in shown["Ports"] or ()
            if "PublicPort" in each
        },
    )


def last_words(client: Any, container: Container) -> str:
    """A line about a container, and the end of its log."""
    import docker.errors

    try:
        raw = client.api.logs(container.id, tail=LOG_LINES)
    except docker.errors.APIError as error:  # of a logging driver that only writes
        raw = _unread_log(error)
    lines = raw.decode(errors="replace").splitlines() or ["(it wrote nothing)"]
    text = "\n".join(f"  | {line}" for line in lines)
    check = _health_check(client, container) if container.health == "unhealthy" else ""
    return f"{container.host}: {container.status}{check}; the end of its log:\n{text}"


def _unread_log(error: Any) -> bytes:
    """A line in the place of a log."""
    return f"(its log cannot be read: {_words(error)})\n".encode()


def copy_log(client: Any, container: Container, file: BinaryIO, since_s: int | None = None) -> None:
    """Write all that it has said, or why that cannot be had.

    An engine that keeps so much and no more of a log may have dropped what came first.
    """
    import docker.errors
    from urllib3.exceptions import HTTPError

    try:
        config = client.api.inspect_container(container.id)["HostConfig"].get("LogConfig") or {}
        if (config.get("Config") or {}).get("max-size") or config.get("Type") == "local":
            file.write(b"(the engine keeps only the end of this log)\n")
        since = {} if since_s is None else {"since": since_s}
        file.writelines(client.api.logs(container.id, stream=True, follow=False, **since))
    except docker.errors.APIError as error:
        file.write(_unread_log(error))
    except (HTTPError, struct.error):  # by the piece of it that the library was at
        file.write(b"\n(the engine broke off its log here)\n")


def _health_check(client: Any, container: Container) -> str:
    """The last answer of the health check of a container, in words."""
    checks = client.api.inspect_container(container.id)["State"].get("Health", {}).get("Log") or [
        {}
    ]
    output = excerpt(checks[-1].get("Output", "").strip(), 300) or "nothing"
    return f"; its health check ended with {checks[-1].get('ExitCode')} and wrote {output!r}"
