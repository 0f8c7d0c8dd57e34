"""Requests to a service with several replicas: an action must reach all of them."""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gameday.core.errors import GamedayError
from gameday.injection import engine
from gameday.injection.drivers.request import RequestError, Sender
from gameday.injection.engine import Container
from gameday.spec.request import Request
from gameday.spec.tls import Tls
from gameday.spec.undos import ProjectUndo, RequestUndo


async def addresses(project: ProjectUndo, service: str, base_url: str) -> Mapping[str, str]:
    """The address of each replica by its name, "" for one that cannot be reached.

    Empty where `base_url` is no port of a replica, but the balancer's, say. One that is only just
    starting is left out: it reads the state of the service when it is up. Raises EngineError.
    """
    there = await asyncio.to_thread(engine.containers_of, project)
    ours = [e for e in there if e.service == service and e.health != "starting"]
    if not any(each.runs for each in ours):
        return {each.name: "" for each in ours}
    own = _own_port(ours, urlsplit(base_url).port)
    if own is None:
        return {}
    return {each.name: _at(base_url, each.ports.get(own)) for each in ours}


def _own_port(replicas: Sequence[Container], port: int | None) -> int | None:
    """The port in the containers behind `port`; the only one where its own replica is down."""
    pairs = {(own, here) for each in replicas for own, here in each.ports.items()}
    known = [own for own, here in pairs if here == port]
    only = {own for own, _ in pairs}
    down = any(not each.ports for each in replicas)
    return known[0] if known else next(iter(only)) if down and len(only) == 1 else None


def _at(base_url: str, port: int | None) -> str:
    parts = urlsplit(base_url)
    return "" if port is None else parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


async def undo(record: RequestUndo, environment: Mapping[str, str] | None = None) -> None:
    """Send the undoing request of a step, to each replica where there are several.

    Raises RequestError where no container of its project has the address: whoever listens there
    now is somebody else, and the request may carry a secret.
    """
    tls = Tls.model_validate(record.tls or {})
    sender = Sender(record.base_url, record.values or {}, environment or {}, tls=tls)
    found: Mapping[str, str] = {}
    if record.project is not None:
        if record.service:
            found = await addresses(record.project, record.service, record.base_url)
        if not found and not await _has(record.project, record.base_url):
            name, url = record.project.name, record.base_url
            raise RequestError(f"no container of {name} that runs has the port of {url}")
    await send(sender, Request.model_validate(record.request), found)


async def _has(project: ProjectUndo, url: str) -> bool:
    """True if a container of the project publishes the port of the address. Raises EngineError."""
    there = await asyncio.to_thread(engine.containers_of, project)
    return any(urlsplit(url).port in each.ports.values() for each in there if each.runs)


async def send(sender: Sender, request: Request, replicas: Mapping[str, str]) -> None:
    """Send a request to each replica at once. Raises RequestError, with those that failed."""
    if not replicas:
        await sender.send(request)
        return
    tried = await asyncio.gather(
        *(_send_to_one(sender, request, name, url) for name, url in replicas.items())
    )
    if failed := [why for why in tried if why]:
        text = f"{len(failed)} of {len(replicas)} replicas have not taken it"
        raise RequestError(f"{text}: {'; '.join(failed)}")


async def _send_to_one(sender: Sender, request: Request, name: str, url: str) -> str:
    """Why a replica has not taken it, "" where it has."""
    if not url:
        return f"{name}: it does not run"
    try:
        await sender.at(url).send(request)
    except GamedayError as error:
        return f"{name}: {error.message}"
    return ""
