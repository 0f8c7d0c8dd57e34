"""Compose projects that can be a stack: what the compose program is told, and how each is reached.

`ShippedProject` is gameday's own compose.yml; `own_project.py` has somebody else's.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gameday.core.errors import UsageError, one_of_them
from gameday.injection.engine import Container
from gameday.injection.upstream import Published
from gameday.spec.inputs import compose_file
from gameday.spec.system import System
from gameday.stacks.placeholders import readdress, render, values_of
from gameday.stacks.ports import HOST
from gameday.stacks.stack import Addresses, Running
from gameday.stacks.supervisor import plain_environment
from gameday.telemetry import bridge

CORE: Final = "core"
OBSERVABILITY: Final = "observability"
GRAFANA: Final = "grafana"
PROFILES: Final = (CORE, OBSERVABILITY, GRAFANA)
SERVICE_IMAGE: Final = "SERVICE_IMAGE"
BRIDGE_TOKEN: Final = "BRIDGE_TOKEN"
HANDED_ON: Final = ("SLACK_WEBHOOK_URL",)
GRAFANA_PORT: Final = "GRAFANA_PORT"
GRAFANA_DEFAULT: Final = "3000"  # its own, to be found where people look for it
STORES: Final = {"redis": 6379, "postgres": 5432}
PORTS: Final = {
    "PORT": "balancer",
    "ADMIN_PORT": "service",
    "BALANCER_PORT": "balancer",
    "TOXIPROXY_PORT": "toxiproxy",
    "REDIS_PORT": "redis",
    "POSTGRES_PORT": "postgres",
    "PROXIED_REDIS_PORT": "toxiproxy",
    "PROXIED_POSTGRES_PORT": "toxiproxy",
}
"""Variables of compose.yml that name a port here, and the service that is behind it."""
OBSERVED_PORTS: Final = {
    "PROMETHEUS_PORT": "prometheus",
    "ALERTMANAGER_PORT": "alertmanager",
    "BRIDGE_PORT": "bridge",
}
"""The same of the profile `observability`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStart:
    """One start of a project.

    `folder` is the stack's own, `system_dir` that of the system file; `token` marks what is ours;
    `ports` are free ones of this machine by name; `secret`, `password` and `bridge_token` random
    texts. ADMIN_PORT is that of the first replica, which keeps it when it is started again; each
    further one takes any of the row `admin`.
    """

    folder: Path
    system_dir: Path
    token: str
    ports: Mapping[str, int]
    admin: range = range(0)
    secret: str
    password: str
    bridge_token: str


class Project(Protocol):
    """A compose project that gameday can put up as a project of its own, with its Toxiproxy."""

    def look(self, command: Sequence[str], system: System, system_dir: Path) -> None:
        """Read what it is made of, with that compose program. Raises UsageError, StackError."""
        ...

    def secrets(self) -> Collection[str]:
        """Texts that its containers are told and nobody may be shown, once it was looked at."""
        ...

    def ports(self) -> Sequence[str]:
        """Names of the free ports that a start needs."""
        ...

    def options(self, start: ProjectStart) -> list[str]:
        """Options of the compose program before `up`; the files that they name are there then."""
        ...

    def environment(self, start: ProjectStart) -> dict[str, str]:
        """Environment of the compose program."""
        ...

    def builds(self) -> bool:
        """True if images are to be made of what is here."""
        ...

    def replicas(self) -> int:
        """Replicas of the service at the start; 0 where there is no scaling it."""
        ...

    def may_end(self, container: Container) -> bool:
        """True if a container that has ended well belongs to a healthy project."""
        ...

    def running(self, system: System, start: ProjectStart) -> Running:
        """The stack as it is reached. Raises UsageError."""
        ...


class ShippedProject:
    """Gameday's own, by its compose.yml: `core`, with so many replicas, and COMPOSE_PROFILES.

    With `observability` a run is measured by the Prometheus in it, and its alerts are routed.
    """

    def __init__(self, replicas: int = 1) -> None:
        self._replicas = replicas
        self._profiles: Sequence[str] = [CORE]

    def look(self, command: Sequence[str], system: System, system_dir: Path) -> None:
        del command, system  # nothing about it is unknown
        if not (system_dir / "Dockerfile").is_file():
            raise UsageError(
                f"{system_dir}: no Dockerfile beside the system file: the compose stack cannot run",
                help="name your own project with --compose-file and --service-map",
            )
        self._profiles = _profiles()

    def secrets(self) -> Collection[str]:
        return ()  # those that it has are made up at each start

    def ports(self) -> Sequence[str]:
        return [*PORTS, *self._observed()]

    def options(self, start: ProjectStart) -> list[str]:
        # The folder of the project is where compose looks for a file of variables: there is none.
        where = ["--project-directory", str(start.folder)]
        profiles = [word for name in self._profiles for word in ("--profile", name)]
        return ["--file", str(compose_file()), *where, *profiles]

    def environment(self, start: ProjectStart) -> dict[str, str]:
        """Our variables, and what the user names: images, a channel to tell, Grafana's port."""
        return {
            **plain_environment(),
            **{name: text for name, text in os.environ.items() if name.endswith("_IMAGE")},
            **{name: os.environ[name] for name in HANDED_ON if name in os.environ},
            BRIDGE_TOKEN: start.bridge_token,
            GRAFANA_PORT: _grafana_port(),
            "BRIDGE": str(Path(bridge.__file__).resolve()),
            "SYSTEM_DIR": str(start.system_dir.resolve()),
            "GAMEDAY_STACK": start.token,
            "ADMIN_TOKEN": start.secret,
            "POSTGRES_PASSWORD": start.password,
            **{name: str(port) for name, port in start.ports.items()},
        }

    def builds(self) -> bool:
        """True unless somebody names an image of the service: that one is theirs."""
        return not os.environ.get(SERVICE_IMAGE)  # to compose an empty one is none

    def replicas(self) -> int:
        return self._replicas

    def may_end(self, container: Container) -> bool:
        del container
        return False

    def running(self, system: System, start: ProjectStart) -> Running:
        """The stack at the ports of this start, with the password that it was given."""
        ports = start.ports
        urls = {
            "redis": "redis://{at}/0",
            "postgres": f"postgresql://gameday:{start.password}@{{at}}/gameday",
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
            grafana=f"http://{HOST}:{_grafana_port()}" if GRAFANA in self._profiles else None,
            **{
                name: f"http://{HOST}:{ports[variable]}"
                for variable, name in self._observed().items()
            },
        )
        values = {"port": str(ports["PORT"]), "admin_port": str(ports["ADMIN_PORT"])}
        values["secret"] = start.secret
        for store in STORES:
            values |= values_of(store, proxied[store]) | values_of(f"{store}_direct", direct[store])
        wanted = {} if system.start is None else system.start.env
        return Running(
            system=readdress(system, addresses),
            environment={
                BRIDGE_TOKEN: start.bridge_token,
                **{name: render(text, values) for name, text in wanted.items()},
            },
            addresses=addresses,
            direct=direct,
            proxied=proxied,
            published=published,
        )

    def _observed(self) -> Mapping[str, str]:
        """The ports of the profile `observability`, where it is wanted."""
        return OBSERVED_PORTS if OBSERVABILITY in self._profiles else {}


def _grafana_port() -> str:
    return os.environ.get(GRAFANA_PORT) or GRAFANA_DEFAULT


def _profiles() -> Sequence[str]:
    """The core, and what COMPOSE_PROFILES names, as compose itself reads it. Raises UsageError."""
    names = [each.strip() for each in os.environ.get("COMPOSE_PROFILES", "").split(",")]
    named = [name for name in names if name]
    for name in named:
        if name not in PROFILES:
            text = f"COMPOSE_PROFILES: {name[:80]!r} is no profile of gameday's compose.yml"
            raise UsageError(text, help=one_of_them(name, PROFILES))
    if GRAFANA in named:
        named.append(OBSERVABILITY)  # there is nothing to show without it
    return list(dict.fromkeys([CORE, *named]))
