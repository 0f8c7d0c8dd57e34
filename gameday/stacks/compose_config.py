"""Codec of what `compose config` prints: somebody's compose file with all variables filled in.

docker-compose 1.29 writes ports and volumes as short texts, docker compose v2 as mappings; only
what gameday has to know is read.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import yaml

from gameday.core import files
from gameday.core.errors import StackError
from gameday.core.json_objects import Json
from gameday.core.secrets.redaction import MASK
from gameday.stacks.compose_secrets import secrets_in

DEFAULT = "default"
LOCAL = "local"  # the engine's own driver of volumes
_VARIABLE = re.compile(r"^\s*(?:export\s+)?(\w+)\s*=(.*)$", re.MULTILINE)
_UNSET = re.compile(r'The \\?"?(\w+)\\?"? variable is not set')


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP port of this machine that a service has; `host` is "" for every address."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted into a service: a folder of this machine, or a volume by its name."""

    source: str
    target: str
    writable: bool
    is_bind: bool


@dataclass(frozen=True, slots=True)
class ServiceLink:
    """A name that a service has for another, or for a container."""

    target: str
    alias: str


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service. `aliases` are its names beside its own, `ports` those in its container.

    `published` are its ports on this machine, where the file fixes them; `tags` are names that
    building gives its image beside `image`; `links` are names that it has for other services, and
    `external_links` for containers that no file names; with `profiles` it runs in these only.
    """

    image: str = ""
    builds: bool = False
    networks: tuple[str, ...] = (DEFAULT,)
    aliases: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    network_mode: str = ""
    container_name: str = ""
    published: tuple[HostPort, ...] = ()
    mounts: tuple[Mount, ...] = ()
    tags: tuple[str, ...] = ()
    links: tuple[ServiceLink, ...] = ()
    external_links: tuple[ServiceLink, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A network or volume that the project makes itself, as it is `written`."""

    written: object = None

    @property
    def behind(self) -> str:
        """A folder, a server or a driver that may have data already; "" for what is new."""
        made = _table(self.written)
        driver, options = str(made.get("driver") or LOCAL), _table(made.get("driver_opts"))
        if driver != LOCAL:
            return f"kept by the driver {driver}"
        return "" if options.get("type") == "tmpfs" else str(options.get("device") or "")

    def masked(self) -> "Definition":
        """The same without what its driver is told: a password of a file server may be in it."""
        made = _table(self.written)
        options = dict.fromkeys(_table(made.get("driver_opts")), MASK)
        return Definition({**made, "driver_opts": options}) if options else self

    def copied(self, name: str, labels: Mapping[str, str], mark: str) -> object:
        """The same for a copy of the project: with these labels, and no name of theirs."""
        made = _table(self.written)
        theirs = made.get("labels")
        if isinstance(theirs, list):
            theirs = dict(str(each).partition("=")[::2] for each in theirs)
        own_name = {"name": f"gameday-{mark}-{name}"} if "name" in made else {}
        return {**made, **own_name, "labels": {**_table(theirs), **labels}}


@dataclass(frozen=True, slots=True)
class ComposeConfig:
    """A project; `networks` and `volumes` are those that it makes itself, as they are written.

    The others are `external`: they are there before it, and stay. `secrets` must not be shown.
    """

    version: str = ""
    services: Mapping[str, ComposeService] = field(default_factory=lambda: MappingProxyType({}))
    networks: Mapping[str, Definition] = field(
        default_factory=lambda: MappingProxyType({DEFAULT: Definition()})
    )
    volumes: Mapping[str, Definition] = field(default_factory=lambda: MappingProxyType({}))
    external_networks: tuple[str, ...] = ()
    external_volumes: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()

    def of_profiles(self, names: Collection[str]) -> "ComposeConfig":
        """The same with the services that run in these profiles, `*` being all."""
        runs = {
            name: each
            for name, each in self.services.items()
            if not each.profiles or {*each.profiles, "*"} & {*names}
        }
        return replace(self, services=runs)

    def masked(self) -> "ComposeConfig":
        """The same as it may be shown."""
        networks = {name: each.masked() for name, each in self.networks.items()}
        volumes = {name: each.masked() for name, each in self.volumes.items()}
        return replace(self, networks=networks, volumes=volumes)


def read_config(text: str, variables: Mapping[str, str] = MappingProxyType({})) -> ComposeConfig:
    """The project in the output of `compose config`. Raises StackError for what is none.

    `variables` are those that compose has filled in.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StackError(f"compose config: no YAML: {error}") from error
    if not isinstance(found, dict) or not _table(found.get("services")):
        raise StackError("compose config: it names no services")
    networks = {DEFAULT: None, **_table(found.get("networks"))}
    volumes = _table(found.get("volumes"))
    usual = f"{found.get('name')}_"  # docker compose v2 writes each name, docker-compose none
    return ComposeConfig(
        version=str(found.get("version") or ""),
        services={str(name): _service(each) for name, each in _table(found["services"]).items()},
        networks=_made(networks, usual),
        volumes=_made(volumes, usual),
        external_networks=tuple(name for name in networks if _is_external(networks[name])),
        external_volumes=tuple(name for name in volumes if _is_external(volumes[name])),
        secrets=secrets_in(found, variables),
    )


def read_variables(path: Path) -> dict[str, str]:
    """The variables of an `.env` file, as far as they can be read; none where there is no file."""
    try:
        text = files.read_bytes(path, files.SETTING_BYTES).decode(errors="replace")
    except OSError:
        return {}
    return {found[1]: found[2].strip().strip("\"'") for found in _VARIABLE.finditer(text)}


def written_profiles(path: Path, name: str) -> tuple[str, ...]:
    """The profiles of a service in a compose file itself, as far as it can be read."""
    try:
        found = yaml.safe_load(files.read_bytes(path, files.SETTING_BYTES))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return ()
    return _texts(_table(_table(_table(found).get("services")).get(name)).get("profiles"))


def _table(given: object) -> Json:
    return {str(key): value for key, value in given.items()} if isinstance(given, dict) else {}


def _list(given: object) -> list[object]:
    return list(given) if isinstance(given, list | dict) else []


def unset_variables(warnings: str) -> list[str]:
    """The variables that a compose program warns of: nobody has set them."""
    return list(dict.fromkeys(_UNSET.findall(warnings)))


def _is_external(given: object) -> bool:
    return bool(_table(given).get("external"))


def _made(given: object, usual: str) -> dict[str, Definition]:
    """Those that are not external, without the name that compose gives them by itself."""
    return {
        name: Definition(
            {k: v for k, v in _table(each).items() if (k, v) != ("name", f"{usual}{name}")}
        )
        for name, each in _table(given).items()
        if not _is_external(each)
    }


def _service(service: object) -> ComposeService:
    given = _table(service)
    networks = given.get("networks")
    aliases = [given.get("container_name"), given.get("hostname")]
    for each in _table(networks).values():
        aliases += _list(_table(each).get("aliases"))
    ports = [_target(each) for each in (*_list(given.get("ports")), *_list(given.get("expose")))]
    return ComposeService(
        image=str(given.get("image") or ""),
        builds=bool(given.get("build")),
        networks=tuple(str(each) for each in _list(networks)) or (DEFAULT,),
        aliases=tuple(dict.fromkeys(str(each) for each in aliases if each)),
        ports=tuple(dict.fromkeys(port for port in ports if port)),
        network_mode=str(given.get("network_mode") or ""),
        container_name=str(given.get("container_name") or ""),
        published=tuple(_published(given.get("ports"))),
        mounts=tuple(_mounts(given.get("volumes"))),
        tags=_texts(_table(given.get("build")).get("tags")),
        links=_links(given.get("links")),
        external_links=_links(given.get("external_links")),
        profiles=_texts(given.get("profiles")),
    )


def _texts(given: object) -> tuple[str, ...]:
    return tuple(str(each) for each in _list(given))


def _links(given: object) -> tuple[ServiceLink, ...]:
    """Of `db:database`, or of `db`, which is called so."""
    parts = (text.partition(":") for text in _texts(given))
    return tuple(ServiceLink(target, alias or target) for target, _, alias in parts)


def _published(ports: object) -> Iterator[HostPort]:
    """The fixed ones of `127.0.0.1:8080:80/tcp`, or of `{published: 8080, target: 80}`."""
    for each in _list(ports):
        if isinstance(each, dict):
            protocol = str(each.get("protocol") or "tcp")
            host, port = str(each.get("host_ip") or ""), str(each.get("published") or "")
        else:
            front, _, protocol = str(each).partition("/")
            host, _, port = front.rpartition(":")[0].rpartition(":")
        if protocol in ("", "tcp") and port.isascii() and port.isdecimal():
            yield HostPort(int(port), host.strip("[]"))


def _mounts(volumes: object) -> Iterator[Mount]:
    """Of `/folder:/data:ro` and `volume:/data`, or of mappings; what has no source is its own."""
    for each in _list(volumes):
        if isinstance(each, dict):
            source, target = str(each.get("source") or ""), str(each.get("target") or "")
            writable, is_bind = not each.get("read_only"), each.get("type") == "bind"
        else:
            source, _, rest = str(each).partition(":")
            target, _, mode = rest.partition(":")
            writable, is_bind = "ro" not in mode.split(","), source.startswith(("/", "~", "."))
            source = source if target else ""
        if source and (is_bind or not isinstance(each, dict) or each.get("type") == "volume"):
            yield Mount(source, target, writable=writable, is_bind=is_bind)


def _target(given: object) -> int:
    """The port in the container of `127.0.0.1:8080:80/tcp` or of `{target: 80}`; 0: a range."""
    text = str(_table(given).get("target", given)).partition("/")[0].rpartition(":")[2]
    return int(text) if text.isascii() and text.isdecimal() else 0
