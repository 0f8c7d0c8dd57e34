"""Containers cut off from others: they leave the networks that they share, and join them again.

The record keeps how each is found in each network (aliases, links, the address that it asked for),
for the engine forgets that when it leaves. It is gone when every container is in its networks again
and the other side resolves its name there: the peer is asked, by what its own image has for that.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gameday.core.errors import StuckFaultError, UsageError
from gameday.core.json_objects import read_object
from gameday.core.messages import Message
from gameday.injection import engine
from gameday.injection.context import InjectionContext
from gameday.injection.drivers.driver import Dose
from gameday.injection.drivers.service import StrikeError
from gameday.injection.engine import Container, EngineError
from gameday.injection.removal_proof import GONE, State
from gameday.spec.changes import PartitionChange
from gameday.spec.undos import Endpoint, PartitionUndo

_HAS_NO_PROGRAM = (126, 127)


async def prepare(change: PartitionChange, context: InjectionContext) -> PartitionUndo:
    """Read how the containers of both services are connected; all must run.

    Raises UsageError where they share no network.
    """
    fault, given = "network.partition", context.direct.project
    if change.part == change.peer:
        raise UsageError(f"{fault}: {change.part!r} cannot be cut off from itself")
    project, found = await engine.running(given, change.part, fault)
    _, peers = await engine.running(given, change.peer, fault)
    endpoints = await engine.asked(project, lambda client: _shared(client, found, peers))
    if not endpoints:
        raise UsageError(f"{fault}: {change.part!r} and {change.peer!r} share no network")
    return PartitionUndo(
        name=change.part, peer=change.peer, project=project, endpoints=tuple(endpoints)
    )


async def act(change: PartitionChange, undo: PartitionUndo, context: InjectionContext) -> None:
    """Let them leave. Raises StrikeError."""
    del change  # all of it stands in its undo
    context.stopped_on_purpose.add(undo.name)  # its health check may ask others

    def leave(client: Any) -> None:
        for each in undo.endpoints:
            client.api.disconnect_container_from_network(each.container, each.network)

    try:
        await engine.asked(undo.project, leave)
    except EngineError as error:
        raise StrikeError(error.message, help=error.help) from error


async def undo(record: PartitionUndo) -> None:
    """Let them join again what they are not in. Harmless when the stack is gone."""
    try:
        await engine.asked(record.project, lambda client: _join(client, record))
    except EngineError as error:
        raise StuckFaultError(error.message, help=error.help) from error


async def look(record: PartitionUndo) -> State:
    """State of the partition: gone when all are connected, and the peer resolves their names."""
    return await engine.look(record, lambda client: _state(client, record))


async def dose(record: PartitionUndo) -> Dose:
    """An observation of the containers: so many are away, and the peer does not find them."""
    return await engine.asked(record.project, lambda client: _dose(client, record))


@dataclass(frozen=True, slots=True)
class _Addresses:
    """The addresses that a container asked for."""

    ipv4: str | None = field(default=None, metadata={"key": "IPv4Address"})
    ipv6: str | None = field(default=None, metadata={"key": "IPv6Address"})


@dataclass(frozen=True, slots=True)
class _Shown:
    """Endpoint of a container in a network, as the engine shows it."""

    network: str = field(metadata={"key": "NetworkID"})
    asked: _Addresses = field(default=_Addresses(), metadata={"key": "IPAMConfig"})
    aliases: tuple[str, ...] = field(default=(), metadata={"key": "Aliases"})
    links: tuple[str, ...] = field(default=(), metadata={"key": "Links"})


def _networks(client: Any, id_: str) -> Mapping[str, _Shown]:
    """Endpoint of a container in each of its networks, by the network's name."""
    found = client.api.inspect_container(id_)["NetworkSettings"]["Networks"]
    return {name: read_object(_Shown, each) for name, each in found.items()}


def _shared(client: Any, ours: Sequence[Container], peers: Sequence[Container]) -> list[Endpoint]:
    theirs = {each.network for peer in peers for each in _networks(client, peer.id).values()}
    return [
        _endpoint(container.id, name, there)
        for container in ours
        for name, there in _networks(client, container.id).items()
        if there.network in theirs
    ]


def _endpoint(id_: str, network_name: str, there: _Shown) -> Endpoint:
    return Endpoint(
        container=id_,
        network=there.network,
        network_name=network_name,
        aliases=there.aliases,
        links=there.links,
        ipv4=there.asked.ipv4,
        ipv6=there.asked.ipv6,
    )


def _away(client: Any, record: PartitionUndo) -> list[Endpoint]:
    """The places that are empty; those of a container that is gone for good are not."""
    import docker.errors

    there = {each.id for each in engine.containers(client, record.project)}
    empty = []
    for each in record.endpoints:
        with suppress(docker.errors.NotFound):  # it goes just now
            if each.container in there:
                now = _networks(client, each.container).values()
                if each.network not in {one.network for one in now}:
                    empty.append(each)
    return empty


def _join(client: Any, record: PartitionUndo) -> None:
    def join(each: Endpoint) -> None:
        client.api.connect_container_to_network(
            each.container,
            each.network,
            aliases=list(each.aliases),
            links=[_pair(link) for link in each.links],
            ipv4_address=each.ipv4,
            ipv6_address=each.ipv6,
        )

    engine.each_of(_away(client, record), join)


def _pair(link: str) -> tuple[str, str]:
    """A link as the library takes it: `container:alias`."""
    container, _, alias = link.partition(":")
    return container, alias or container


def _state(client: Any, record: PartitionUndo) -> State:
    away = _away(client, record)
    if away:
        return State(gone=False, why=f"{record.name} is not in network {away[0].network_name}")
    there = engine.containers(client, record.project)
    hosts = [each.host for each in there if each.service == record.name]
    if not hosts:
        return GONE
    for peer in _that_can_tell(client, record, there, hosts[0]):
        if _resolves(client, peer, hosts[0]) is False:
            return State(gone=False, why=f"{peer.name} does not resolve {hosts[0]!r}")
    return GONE


def _dose(client: Any, record: PartitionUndo) -> Dose:
    away, count = len(_away(client, record)), len(record.endpoints)
    why = Message("dose.left_network", away=away, all=count, name=record.name)
    share = round(away / count, 3)
    if away < count:
        return False, share, "share", why
    there = engine.containers(client, record.project)
    host = next((each.host for each in there if each.service == record.name), record.name)
    for peer in _that_can_tell(client, record, there, host):
        finds, names = _resolves(client, peer, host), {"peer": peer.name, "name": host}
        if finds:
            return False, share, "share", Message("dose.resolves", why=why, **names)
        if finds is False:
            return True, share, "share", Message("dose.resolves_not", why=why, **names)
    return True, share, "share", why


def _that_can_tell(
    client: Any, record: PartitionUndo, there: Sequence[Container], host: str
) -> Iterator[Container]:
    """The peers that run, but for those to which another container answers to that name: a proxy.

    Toxiproxy in a project of somebody's own is linked to the callers by the names of what it leads
    to, and stays where it is.
    """
    for peer in (each for each in there if each.service == record.peer and each.runs):
        links = [link for each in _networks(client, peer.id).values() for link in each.links]
        if host not in (_pair(link)[1] for link in links):
            yield peer


def _resolves(client: Any, peer: Container, name: str) -> bool | None:
    """True if the peer finds an address for a name; None where its image cannot tell."""
    import docker.errors

    try:
        asked = client.api.exec_create(peer.id, ["getent", "hosts", name])["Id"]
        client.api.exec_start(asked)
        code = client.api.exec_inspect(asked)["ExitCode"]
    except docker.errors.APIError:
        return None
    return None if code in _HAS_NO_PROGRAM else code == 0
