"""Compose projects that can be a stack: what the compose program is told, and how each is reached.

`ShippedProject` is gameday's own compose.yml; `own_project.py` has somebody else's.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gameday.core.errors import UsageError
from gameday.injection.engine import Container
from gameday.injection.upstream import Published
from gameday.spec.inputs import compose_file
from gameday.spec.system import System
from gameday.stacks.placeholders import readdress, render
from gameday.stacks.ports import HOST
from gameday.stacks.stack import Addresses, Running
from gameday.stacks.supervisor import plain_environment

PROFILE: Final = "core"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStart:
    """One start of a project.

    `folder` is the stack's own, `system_dir` that of the system file; `token` marks what is ours;
    `ports` are free ones of this machine by name; `secret` and `password` random texts.
    """

    folder: Path
    system_dir: Path
    token: str
    ports: Mapping[str, int]
    secret: str
    password: str


class Project(Protocol):
    """A compose project that gameday can put up as a project of its own, with its Toxiproxy."""

    def look(self, command: Sequence[str], system: System, system_dir: Path) -> None:
        """Read what it is made of, with that compose program. Raises UsageError, StackError."""
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

    def may_end(self, container: Container) -> bool:
        """True if a container that has ended well belongs to a healthy project."""
        ...

    def running(self, system: System, start: ProjectStart) -> Running:
        """The stack as it is reached. Raises UsageError."""
        ...


class ShippedProject:
    """Gameday's own, by its compose.yml: the profile `core`, one replica of the service."""

    def look(self, command: Sequence[str], system: System, system_dir: Path) -> None:
        del command, system  # nothing about it is unknown
        if not (system_dir / "Dockerfile").is_file():
            raise UsageError(
                f"{system_dir}: no Dockerfile beside the system file: the compose stack cannot run",
                help="name your own project with --compose-file and --service-map",
            )

    def ports(self) -> Sequence[str]:
        return list(PORTS)

    def options(self, start: ProjectStart) -> list[str]:
        # The folder of the project is where compose looks for a file of variables: there is none.
        where = ["--project-directory", str(start.folder)]
        return ["--file", str(compose_file()), *where, "--profile", PROFILE]

    def environment(self, start: ProjectStart) -> dict[str, str]:
        """Our variables, and the images that the user names."""
        return {
            **plain_environment(),
            **{name: text for name, text in os.environ.items() if name.endswith("_IMAGE")},
            "SYSTEM_DIR": str(start.system_dir.resolve()),
            "GAMEDAY_STACK": start.token,
            "ADMIN_TOKEN": start.secret,
            "POSTGRES_PASSWORD": start.password,
            **{name: str(port) for name, port in start.ports.items()},
        }

    def builds(self) -> bool:
        """True unless somebody names an image of the service: that one is theirs."""
        return "SERVICE_IMAGE" not in os.environ

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
        )
        values = {**proxied, **{f"{name}_direct": url for name, url in direct.items()}}
        values |= {"port": str(ports["PORT"]), "admin_port": str(ports["ADMIN_PORT"])}
        values["secret"] = start.secret
        wanted = {} if system.start is None else system.start.env
        return Running(
            system=readdress(system, addresses),
            environment={name: render(text, values) for name, text in wanted.items()},
            addresses=addresses,
            direct=direct,
            proxied=proxied,
            published=published,
        )
