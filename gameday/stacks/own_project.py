"""Somebody else's compose project as a stack: their file, and an override that brings Toxiproxy.

Nothing of theirs is edited, and what they have running is not touched: a copy of the project is put
up under a name of its own, and taken down whole, volumes included. In it each caller gets the name
of a dependency as a link to Toxiproxy. A container asks its links before the network's names, so
the caller needs no new setting, and Toxiproxy itself, which has no link, finds the real one.

It has a way past the faults too: a second proxy to each dependency, on which nothing is ever set.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from gameday.core.errors import StackError, UsageError, excerpt, one_of_them
from gameday.core.secrets.redaction import Hidden, telling
from gameday.injection.engine import BUILT, LABEL, NAME, Container
from gameday.injection.upstream import Published
from gameday.spec.inputs import LoadedSystem, compose_file
from gameday.spec.proxies import renamed
from gameday.spec.system import System
from gameday.stacks.compose_config import (
    ComposeConfig,
    ComposeService,
    Definition,
    HostPort,
    Mount,
    read_config,
    read_variables,
    unset_variables,
    written_profiles,
)
from gameday.stacks.compose_project import ProjectStart
from gameday.stacks.external import environment_of
from gameday.stacks.ports import HOST, free_ports
from gameday.stacks.service_map import CALLER, TOXIPROXY, ServiceMap
from gameday.stacks.stack import Addresses, Running

OVERRIDE: Final = "gameday-override.yml"
PROFILES: Final = "COMPOSE_PROFILES"
_SERVICE: Final = "gameday-toxiproxy"
_NETWORK: Final = "gameday"
_API: Final = 8474
_MARK: Final = 12  # characters of the token: enough that no two starts have a name in common
_PAST: Final = 20_000  # the first port in its container of the proxies without faults
_CONFIG_S: Final = 30.0  # docker-compose is a Python program, and the machine may be busy
_USUAL: Final = {
    "kafka": 9092,
    "mariadb": 3306,
    "memcached": 11211,
    "mongo": 27017,
    "mongodb": 27017,
    "mysql": 3306,
    "postgres": 5432,
    "rabbitmq": 5672,
    "redis": 6379,
    "valkey": 6379,
}
"""Ports by what a dependency is called in the system file, where the map names none."""


class _Plain(yaml.SafeDumper):
    """A writer that repeats what stands twice: a reader need not look for it."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


@dataclass(frozen=True, slots=True)
class Share:
    """Data that the copy has in common with what is there already.

    `what` is a folder of this machine, or a volume that the file did not make.
    """

    service: str
    what: str
    mount: Mount


class OwnProject:
    """The project of `file`, with Toxiproxy between those that call and their dependencies."""

    def __init__(self, file: Path, services: ServiceMap, *, share_volumes: bool = False) -> None:
        self._file = file.absolute()
        self._map = services
        self._config = ComposeConfig()
        self._ports_of: dict[str, int] = {}
        self._is_read = False
        self.share_volumes = share_volumes
        self.unset: Sequence[str] = ()

    def look(self, command: Sequence[str], system: System, system_dir: Path) -> None:
        """Read their file as compose understands it, once, and hold the map against it."""
        del system_dir  # theirs need not lie beside the system file
        environment_of(system)  # a variable that is missing is told before anything starts
        if self._is_read:
            return
        whole = self._read(command)
        self._config = whole.of_profiles(self._profiles())
        for name in self._map.services:
            self._refuse_idle(name, whole)
        for name, target in self._map.dependencies.items():
            service = self._service(target.service)
            self._ports_of[name] = target.port or self._port(name, service)
        for caller in self._map.callers:
            self._refuse_past(caller, self._service(caller))
        self._refuse_same_name()
        self._refuse_same_port()
        self._is_read = True

    def __str__(self) -> str:
        """What stands where, once it was looked at."""
        behind = [f"{name} ({upstream})" for name, upstream in self._upstreams().items()]
        return f"{', '.join(self._map.callers)} reaches {', '.join(behind)} through Toxiproxy"

    def put_before(self, loaded: LoadedSystem) -> LoadedSystem:
        """The system with a proxy for each dependency of the map, and no other.

        Raises FileError where the file names proxies itself, and one of the map is not among them.
        """
        named = loaded.system.proxies
        for name in self._map.dependencies:
            if named and name not in named:
                problem = f"'proxies': there is no {name!r}, which --service-map names"
                help = one_of_them(name, named)
                raise loaded.document.error(("proxies",), problem, help=help)
        names = {name: name for name in self._map.dependencies}
        proxies = {n: each for n, each in renamed(named, names).items() if n in names}
        return replace(loaded, system=loaded.system.model_copy(update={"proxies": proxies}))

    def secrets(self) -> frozenset[str]:
        return self._config.secrets

    def published(self) -> Mapping[HostPort, str]:
        """The ports of this machine that their file fixes, each with its service."""
        services = self._config.services.items()
        return {port: name for name, service in services for port in service.published}

    def container_names(self) -> Mapping[str, str]:
        """The names of containers that their file fixes, each with its service."""
        services = self._config.services.items()
        return {each.container_name: name for name, each in services if each.container_name}

    def external_networks(self) -> Sequence[str]:
        """Networks that are there before the copy, and that others may be in."""
        return self._config.external_networks

    def uses_host_network(self) -> bool:
        """True if a service may have ports of this machine that no file names."""
        return any(each.network_mode == "host" for each in self._config.services.values())

    def parts(self) -> Sequence[str]:
        """What its containers are called here: by the map, or as in their file."""
        names = [self._name_of(each).get(NAME, each) for each in self._config.services]
        return list(dict.fromkeys([*names, TOXIPROXY]))

    def moved_tags(self) -> Mapping[str, str]:
        """Names of images that building the copy gives to what it builds, each with its service."""
        services = self._config.services.items()
        return {each.image: name for name, each in services if self._builds_for_others(each)}

    def further_tags(self) -> Mapping[str, str]:
        """The same that `build.tags` gives: an override can add to them, and take none away."""
        services = self._config.services.items()
        return {tag: name for name, each in services for tag in each.tags}

    def _builds_for_others(self, service: ComposeService) -> bool:
        """True if another service runs by its name what this one builds."""
        others = [each.image for each in self._config.services.values() if each is not service]
        return service.builds and bool(service.image) and service.image in others

    def shares(self) -> Iterator[Share]:
        """The data that a copy does not have for itself."""
        for service, each in self._config.services.items():
            for mount in each.mounts:
                if what := self._shared(mount):
                    yield Share(service, what, mount)

    def _shared(self, mount: Mount) -> str:
        """A folder or a volume that is there already, in words; "" for what the copy makes."""
        if mount.is_bind:
            return f"the folder {mount.source}"
        if mount.source in self._config.external_volumes:
            return f"the external volume {mount.source}"
        behind = self._config.volumes.get(mount.source, Definition()).behind
        return f"the volume {mount.source}, which is {behind}" if behind else ""

    def preview(self) -> str:
        """The override as a start would write it, but for its ports, its folder and its token.

        What drivers are told is masked.
        """
        names = self.ports()
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        where = Path("/work-folder")
        start = ProjectStart(
            folder=where,
            system_dir=where,
            token="of-the-stack",
            ports=ports,
            secret="",
            password="",
            bridge_token="",
        )
        return self._override(start, self._config.masked())

    def ports(self) -> Sequence[str]:
        names = self._map.dependencies
        return [TOXIPROXY, *names, *(_past(name) for name in names)]

    def options(self, start: ProjectStart) -> list[str]:
        """Their file, then the override, which is written here, with the proxies' file."""
        override = start.folder / OVERRIDE
        override.touch(mode=0o600)  # a driver's password may stand in it
        override.write_text(self._override(start, self._config))
        proxies = start.folder / "proxies.json"
        proxies.write_text(json.dumps(self._proxies()))
        proxies.chmod(0o644)  # Toxiproxy's user in the container has no other right to it
        directory = ["--project-directory", str(self._file.parent)]
        return ["--file", str(self._file), "--file", str(override), *directory]

    def environment(self, start: ProjectStart) -> dict[str, str]:
        """The shell's own, which their file may ask for."""
        del start  # its numbers stand in the override
        return dict(os.environ)

    def builds(self) -> bool:
        return any(each.builds for each in self._config.services.values())

    def replicas(self) -> int:
        return 0

    def may_end(self, container: Container) -> bool:
        """True for what the map does not name: a migration, say."""
        return container.service not in (CALLER, TOXIPROXY, *self._map.dependencies)

    def running(self, system: System, start: ProjectStart) -> Running:
        """The system at its own addresses, its dependencies behind the proxies of this start."""
        names, ports = list(self._map.dependencies), start.ports
        toxiproxy = f"http://{HOST}:{ports[TOXIPROXY]}"
        proxies = {name: name for name in names}
        update = {"toxiproxy": toxiproxy, "proxies": renamed(system.proxies, proxies)}
        environment = environment_of(system)
        return Running(
            system=system.model_copy(update=update),
            environment=environment,
            addresses=Addresses(None, None, toxiproxy, proxies),
            secrets=frozenset(value for value in environment.values() if value),
            published={
                name: Published((HOST, ports[name]), (HOST, ports[_past(name)]), upstream)
                for name, upstream in self._upstreams().items()
            },
        )

    def _override(self, start: ProjectStart, config: ComposeConfig) -> str:
        """The file that is laid over theirs, as YAML."""
        labels = {LABEL: start.token}
        services = {
            name: {
                "labels": {**labels, **self._name_of(name)},
                **self._image(name, start.token),
                **({"links": self._links(name)} if name in self._map.callers else {}),
            }
            for name in config.services
        }
        mark = start.token[:_MARK]
        networks = {**config.networks, _NETWORK: Definition()}
        made = {
            "version": self._config.version,  # docker-compose takes files of one version together
            "services": {**services, _SERVICE: self._toxiproxy(start, labels)},
            # Whole, as docker-compose takes the last file's word for all of one.
            "networks": {n: each.copied(n, labels, mark) for n, each in networks.items()},
            "volumes": {n: each.copied(n, labels, mark) for n, each in config.volumes.items()},
        }
        whole = {key: value for key, value in made.items() if value}
        return yaml.dump(whole, Dumper=_Plain, sort_keys=False)

    def _toxiproxy(self, start: ProjectStart, labels: Mapping[str, str]) -> object:
        """The service of compose.yml, in each network of those that it stands between."""
        shipped = yaml.safe_load(compose_file().read_text())["services"][TOXIPROXY]
        inside = {TOXIPROXY: _API, **self._ports_of}
        inside |= {_past(name): port for name, port in self._past_ports().items()}
        theirs = [n for each in self._map.services for n in self._config.services[each].networks]
        return {
            **{key: value for key, value in shipped.items() if key != "profiles"},
            "labels": {**labels, NAME: TOXIPROXY},
            "volumes": [f"{start.folder / 'proxies.json'}:/etc/toxiproxy.json:ro"],
            "ports": [f"{HOST}:{start.ports[name]}:{port}" for name, port in inside.items()],
            "networks": list(dict.fromkeys([*theirs, _NETWORK])),
        }

    def _proxies(self) -> object:
        past, upstreams = self._past_ports(), self._upstreams()
        listens = {**self._ports_of, **{_past(name): port for name, port in past.items()}}
        leads = {**upstreams, **{_past(name): upstream for name, upstream in upstreams.items()}}
        return [
            {"name": name, "listen": f"0.0.0.0:{port}", "upstream": leads[name], "enabled": True}
            for name, port in listens.items()
        ]

    def _upstreams(self) -> dict[str, str]:
        found = self._map.dependencies
        return {name: f"{found[name].service}:{port}" for name, port in self._ports_of.items()}

    def _past_ports(self) -> dict[str, int]:
        return {name: _PAST + index for index, name in enumerate(self._ports_of, start=1)}

    def _names(self) -> list[str]:
        """Every name by which a dependency may be called, once: it may be mapped for each port."""
        struck = [each.service for each in self._map.dependencies.values()]
        names = (n for each in struck for n in (each, *self._config.services[each].aliases))
        return list(dict.fromkeys(names))

    def _links(self, caller: str) -> list[str]:
        """The links of a caller, which take the place of theirs: each leads to Toxiproxy."""
        struck = {each.service for each in self._map.dependencies.values()}
        theirs = (e.alias for e in self._config.services[caller].links if e.target in struck)
        return [f"{_SERVICE}:{name}" for name in dict.fromkeys([*self._names(), *theirs])]

    def _name_of(self, service: str) -> dict[str, str]:
        """The label of what a service is here, if it is anything."""
        if service in self._map.callers:
            return {NAME: CALLER}
        found = [n for n, each in self._map.dependencies.items() if each.service == service]
        return {NAME: found[0]} if found else {}  # one with two ports has the first of two names

    def _image(self, name: str, token: str) -> dict[str, str | dict[str, dict[str, str]]]:
        """A name and a label of this start for an image that is built: it goes with the copy.

        One that another service runs by its name is built under that name, as compose does it.
        """
        service = self._config.services[name]
        if not service.builds or self._builds_for_others(service):
            return {}
        image = f"{BUILT}{token[:_MARK]}-{name.lower()}"
        return {"image": image, "build": {"labels": {LABEL: token}}}

    def _service(self, name: str) -> ComposeService:
        """A service of theirs that Toxiproxy can stand beside. Raises UsageError."""
        if name not in self._config.services:
            raise UsageError(
                f"{self._file}: there is no service {name!r}, which --service-map names",
                help=f"it has {', '.join(sorted(self._config.services)) or 'none'}",
            )
        found = self._config.services[name]
        if found.network_mode:
            raise UsageError(
                f"{self._file}: service {name!r} has network_mode {found.network_mode!r}, so"
                " nothing can be put between it and another",
                help="put Toxiproxy there yourself, and use --stack external",
            )
        return found

    def _port(self, name: str, service: ComposeService) -> int:
        """The port of a dependency that the map names none for. Raises UsageError.

        Its usual one, unless their file names others only: one may be of a page beside it, or be
        what it was moved to. Nothing is guessed then, for callers would find the wrong one refused.
        """
        usual = _USUAL.get(name)
        if usual is not None and (not service.ports or usual in service.ports):
            return usual
        if usual is None and len(service.ports) == 1:
            return service.ports[0]
        target = self._map.dependencies[name].service
        may_be = dict.fromkeys([*([] if usual is None else [usual]), *service.ports])
        write = " or ".join(f"{name}={target}:{port}" for port in may_be)
        raise UsageError(
            f"--service-map: which port has {target!r}, the {name!r} of the system file?",
            help=f"write {write or f'{name}={target}:PORT'}",
        )

    def _profiles(self) -> list[str]:
        """The profiles that are on, by the shell or by the file of variables beside theirs."""
        return [each.strip() for each in self._variables().get(PROFILES, "").split(",")]

    def _refuse_idle(self, name: str, whole: ComposeConfig) -> None:
        """Raises UsageError for a service that is there, and would not be started."""
        if name in self._config.services:
            return
        known = whole.services.get(name)  # docker compose v2 leaves it out
        if profiles := known.profiles if known else written_profiles(self._file, name):
            raise UsageError(
                f"{self._file}: service {name!r}, which --service-map names, does not run: it has"
                f" the profile {profiles[0]!r}",
                help=f"export {PROFILES}={profiles[0]}",
            )

    def _refuse_past(self, name: str, caller: ComposeService) -> None:
        """Raises UsageError for a caller with a name of a dependency that leads out of the file."""
        struck = {*self._names()}
        for each in caller.external_links:
            if {each.target, each.alias} & struck:
                raise UsageError(
                    f"{self._file}: service {name!r} has external_links"
                    f" '{each.target}:{each.alias}', a way past Toxiproxy",
                    help=f"remove it: {name} reaches its dependencies by their names",
                )

    def _refuse_same_name(self) -> None:
        """Raises UsageError where a name of ours would mean a service of theirs, too."""
        for name in (*self._map.dependencies, CALLER, TOXIPROXY):
            if name in self._config.services and not self._name_of(name):
                raise UsageError(
                    f"--service-map: {name!r} is also a service of {self._file}, and a fault on it"
                    " would strike both",
                    help=f"say what theirs is called here: other-{name}={name}:PORT, too",
                )

    def _refuse_same_port(self) -> None:
        """One container has each port once, and callers know a dependency by its own port."""
        seen: dict[int, str] = {_API: TOXIPROXY}
        for name, port in self._ports_of.items():
            if port in seen:
                raise UsageError(
                    f"--service-map: {name!r} and {seen[port]!r} both have port {port}",
                    help="name one of them only: the other is then called as it always was",
                )
            seen[port] = name

    def _read(self, command: Sequence[str]) -> ComposeConfig:
        """Their file with all variables filled in. Raises UsageError, StackError."""
        argv = [*command, "--file", str(self._file)]
        argv += ["--project-directory", str(self._file.parent), "config"]
        try:
            done = subprocess.run(
                argv, capture_output=True, timeout=_CONFIG_S, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"{' '.join(command)} config: {error}") from error
        if done.returncode != 0:
            hide = Hidden(telling(self._variables()))  # of which it may quote one
            text = excerpt(hide(done.stderr.decode(errors="replace").strip()), 1000)
            raise UsageError(f"{self._file}: compose refuses it\n{text}", help="compose config")
        self.unset = unset_variables(done.stderr.decode(errors="replace"))
        return read_config(done.stdout.decode(errors="replace"), self._variables())

    def _variables(self) -> dict[str, str]:
        """What compose fills in: the file of variables beside theirs, and over it the shell."""
        return {**read_variables(self._file.parent / ".env"), **os.environ}


def _past(name: str) -> str:
    """The name of the proxy to a dependency on which no fault is ever set."""
    return f"{name}-direct"
