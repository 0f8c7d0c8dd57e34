"""The system under test, as a child: started by what its system file says and nothing else.

It sees a small environment of its own, runs in the folder of its system file, and is ready when
`start.ready` answers 200. What `start.setup` names is done before it, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gameday.core.errors import StackError
from gameday.core.network.http import OK, HttpClient, HttpError
from gameday.core.network.urls import at
from gameday.injection.process.launch import Launch, Question
from gameday.spec.start import PORTS, Start
from gameday.spec.system import System
from gameday.stacks.placeholders import argv_of, readdress, render
from gameday.stacks.ports import HOST, is_free, with_ports
from gameday.stacks.setup import set_up
from gameday.stacks.stack import Addresses
from gameday.stacks.supervisor import SERVICE, Supervisor, plain_environment

_PROBE_S = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """The running service: the environment it was given, its ports and its system file."""

    environment: Mapping[str, str]
    addresses: Addresses
    system: System


@dataclass(frozen=True, slots=True)
class Order:
    """The program to start, `values` of the placeholders but the ports, and the proxies."""

    system: System
    start: Start
    values: Mapping[str, str]
    asked: frozenset[str]
    proxies: Addresses
    ready_s: float


async def start_service(supervisor: Supervisor, order: Order) -> Service:
    """Start it and wait until it is ready. Raises StackError."""
    wanted: list[str] = [name for name in PORTS if name in order.asked]
    if "port" not in wanted:
        _must_be_free(order.system.base_url)

    is_set_up = False

    async def start(numbers: list[int]) -> Service:
        nonlocal is_set_up
        ports = dict(zip(wanted, numbers, strict=True))
        values = {**order.values, **{name: str(port) for name, port in ports.items()}}
        if not is_set_up:  # with other ports, which one more attempt has, it is done all the same
            environment = _environment(order, values)
            await set_up(supervisor, order.start.setup, values, environment)
            is_set_up = True
        return await _attempt(supervisor, order, ports)

    service = await with_ports(len(wanted), start)
    port = urlsplit(service.system.base_url).port
    supervisor.ports.extend(
        number for number in (port, service.addresses.admin_port) if number is not None
    )
    return service


async def _attempt(supervisor: Supervisor, order: Order, ports: Mapping[str, int]) -> Service:
    addresses = Addresses(
        port=ports.get("port"),
        admin_port=ports.get("admin_port"),
        toxiproxy=order.proxies.toxiproxy,
        proxies=order.proxies.proxies,
    )
    system = readdress(order.system, addresses)
    values = {**order.values, **{name: str(port) for name, port in ports.items()}}
    environment = {name: render(text, values) for name, text in order.start.env.items()}
    task = Launch(
        name=SERVICE,
        argv=argv_of(order.start.argv, values),
        environment=_environment(order, values),
        folder=supervisor.workdir.system_dir.resolve(),
    )
    url = at(system.base_url, order.start.ready)
    async with HttpClient(_PROBE_S, verify=system.tls.needed_for(url)) as client:
        part = await supervisor.start(task, lambda: _ready(client, url), order.ready_s)
    split = urlsplit(url)
    part.is_healthy_when(Question.get(HOST, split.port or 80, split.path or "/"))
    return Service(environment, addresses, system)


def _environment(order: Order, values: Mapping[str, str]) -> dict[str, str]:
    """The environment of the service and of what sets it up."""
    told = {name: render(text, values) for name, text in order.start.env.items()}
    return {**plain_environment(), **told}


async def _ready(client: HttpClient, url: str) -> bool:
    try:
        return (await client.get(url)).status == OK
    except HttpError:
        return False


def _must_be_free(base_url: str) -> None:
    """A service with a port of its own choice: somebody else's answer must not pass for it."""
    port = urlsplit(base_url).port
    if port is not None and not is_free(port):
        raise StackError(
            f"service: something listens on {HOST}:{port} already",
            help="end it, or hand the service a free port: `{port}` in start.env",
        )
