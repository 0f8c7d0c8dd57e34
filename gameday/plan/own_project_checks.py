"""Somebody's own compose project before a copy of it is put up: what is wrong, and what is shared.

All of it is read from their file as compose understands it, and from the engine's list of
containers. A copy has volumes, networks and images of its own; what it has in common with the
original all the same (folders, external volumes and networks) is told by name.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from gameday.core.errors import GamedayError, one_of_them
from gameday.core.messages import Message
from gameday.injection import engine
from gameday.injection.engine import Container, EngineError
from gameday.plan.finding import Finding, from_error
from gameday.spec.changes import Change, ContainerChange, PartitionChange, ServiceChange
from gameday.spec.inputs import LoadedExperiment, LoadedSystem
from gameday.spec.server import Server
from gameday.stacks.compose import compose_command
from gameday.stacks.compose_config import HostPort
from gameday.stacks.own_project import OwnProject, Share
from gameday.stacks.ports import is_taken

NAME = "compose file"
_USUAL = {"http": 80, "https": 443}
_ALL = "0.0.0.0"


def checks(
    project: OwnProject, system: LoadedSystem, experiment: LoadedExperiment | None = None
) -> Iterator[Finding]:
    """Everything that can be known before the copy is there, nothing of it touched."""
    try:
        project.look(compose_command(), system.system, Path())
    except GamedayError as error:
        yield from_error(NAME, error)
        return
    yield Finding(NAME, "ok", str(project))
    for name in project.unset:
        text = f"the variable {name} is not set: it is blank in the copy"
        yield Finding(NAME, "warn", text, f"export {name}=…, or name it in .env beside the file")
    yield from _shared(project)
    yield from _moved(project)
    yield from _taken(project)
    yield from _addresses(project, system)
    if experiment is not None:
        yield from targets(project.parts(), experiment)


def _shared(project: OwnProject) -> Iterator[Finding]:
    """Data and networks that the copy does not have for itself."""
    shares = list(project.shares())
    reading = [each for each in shares if not each.mount.writable]
    if reading:
        shared = ", ".join(
            f"{each.what} at {each.mount.target} of {each.service}" for each in reading
        )
        yield Finding("shared data", "ok", Message("finding.read_only", shared=shared))
    yield from (_written(each, project) for each in shares if each.mount.writable)
    for name in project.external_networks():
        text = f"the network {name} is external: the copy answers to the same names in it"
        yield Finding("shared network", "warn", text, "see that nobody else there asks for them")


def _moved(project: OwnProject) -> Iterator[Finding]:
    """Images that are built under a name which stays, and means another image from then on."""
    for image, service in project.moved_tags().items():
        text = f"building moves your tag {image}: {service} builds it, and others run it by name"
        cure = "if that tag is to stay: no `image:` at any of them, and `build:` at each"
        yield Finding("image", "warn", text, cure)
    for image, service in project.further_tags().items():
        text = f"building moves your tag {image}: it is among the `build.tags` of {service}"
        yield Finding("image", "warn", text, "if that tag is to stay: leave it out there")


def _written(share: Share, project: OwnProject) -> Finding:
    """A folder is warned of; a volume of somebody else's is written to by permission only."""
    text = f"{share.service} writes to {share.what}, at {share.mount.target}: your own data"
    if share.mount.is_bind:
        cure = "mount it read-only (:ro), or another folder, by a variable of the compose file"
        return Finding("shared data", "warn", text, cure)
    if project.share_volumes:
        return Finding("shared data", "warn", text, "as --share-volumes allows it")
    cure = "name a compose file with a volume of its own, or allow it with --share-volumes"
    return Finding("shared data", "fail", text, cure, usage=True)


def _taken(project: OwnProject) -> Iterator[Finding]:
    """Ports and names that two copies cannot both have."""
    there: Sequence[Container] = ()
    with suppress(EngineError):  # that it does not answer is told elsewhere
        there = engine.all_containers(engine.address())
    for port, service in project.published().items():
        if is_taken(port.port, port.host or _ALL):
            yield _port_taken(port, service, there)
    for each in there:
        if owner := project.container_names().get(each.name):
            text = f"there is a container {each.name!r} already, and {owner} is to have that name"
            cure = f"docker rename {each.name} {each.name}-of-mine, and back in the end"
            yield Finding("container name", "fail", text, cure)


def _port_taken(port: HostPort, service: str, there: Sequence[Container]) -> Finding:
    """Who has it, where that is a container."""
    found = f"port {port.port} of this machine is taken, and {service} is to have it"
    owners = [each for each in there if each.runs and port.port in each.ports.values()]
    if not owners:
        return Finding("ports", "fail", found, "end what listens there, or publish another port")
    owner = owners[0]
    cure = f"docker stop {owner.name}"
    if owner.project:
        found, cure = (
            f"{found}: project {owner.project} is up",
            f"docker compose -p {owner.project} stop",
        )
    return Finding("ports", "fail", f"{found}, container {owner.name} has it", cure)


def _addresses(project: OwnProject, loaded: LoadedSystem) -> Iterator[Finding]:
    """Behind each address of the system is a port that their file publishes."""
    published = {port.port: name for port, name in project.published().items()}
    has = ", ".join(f"{port} ({name})" for port, name in sorted(published.items())) or "none"
    for key in ("base_url", "admin_url", "metrics"):
        for port in {_port(each) for each in loaded.system.servers(key)} - published.keys():
            needed = key == "base_url" and not project.uses_host_network()
            text = (
                f"{key!r}: the compose file publishes no port {port} on this machine; it has {has}"
            )
            cure = f"ports: ['127.0.0.1:{port}:PORT'] at the service, or another {key}"
            where = str(loaded.document.place(key))
            yield Finding(where, "fail" if needed else "warn", text, cure, usage=True)


def _port(server: Server) -> int:
    parts = urlsplit(server.url)
    return parts.port or _USUAL.get(parts.scheme, 0)


def targets(names: Collection[str], loaded: LoadedExperiment) -> Iterator[Finding]:
    """Every fault of containers strikes some that the copy has, which are called `names`."""
    for index, fault in enumerate(loaded.experiment.method):
        for change in fault.changes():
            for key, part in _struck(change):
                if part not in names:
                    text = f"{key!r}: the copy has no containers of {part!r}"
                    where = str(loaded.document.place("method", index, key))
                    cure = f"{one_of_them(part, names)}; --service-map says which service is meant"
                    yield Finding(where, "fail", text, cure, usage=True)


def _struck(change: Change) -> Iterator[tuple[str, str]]:
    if isinstance(change, ServiceChange | ContainerChange):
        yield "target", change.part
    if isinstance(change, PartitionChange):
        yield "peer", change.peer
