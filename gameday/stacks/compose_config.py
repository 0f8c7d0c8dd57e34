"""Codec of what `compose config` prints: somebody's compose file with all variables filled in.

docker-compose 1.29 writes ports and volumes as short texts, docker compose v2 as mappings; only
what gameday has to know is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import yaml

from gameday.core.errors import StackError
from gameday.core.json_objects import Json

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service. `aliases` are its names beside its own, `ports` those in its container."""

    image: str = ""
    builds: bool = False
    networks: tuple[str, ...] = (DEFAULT,)
    aliases: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    network_mode: str = ""


@dataclass(frozen=True, slots=True)
class ComposeConfig:
    """A project; of its networks and volumes, those that it makes itself."""

    version: str = ""
    services: Mapping[str, ComposeService] = field(default_factory=lambda: MappingProxyType({}))
    networks: tuple[str, ...] = (DEFAULT,)
    volumes: tuple[str, ...] = ()


def read_config(text: str) -> ComposeConfig:
    """The project in the output of `compose config`. Raises StackError for what is none."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StackError(f"compose config: no YAML: {error}") from error
    if not isinstance(found, dict) or not _table(found.get("services")):
        raise StackError("compose config: it names no services")
    networks = {DEFAULT: None, **_table(found.get("networks"))}
    return ComposeConfig(
        version=str(found.get("version") or ""),
        services={str(name): _service(each) for name, each in _table(found["services"]).items()},
        networks=tuple(_made(networks)),
        volumes=tuple(_made(found.get("volumes"))),
    )


def _table(given: object) -> Json:
    return {str(key): value for key, value in given.items()} if isinstance(given, dict) else {}


def _list(given: object) -> list[object]:
    return list(given) if isinstance(given, list | dict) else []


def _made(given: object) -> Iterator[str]:
    """The names of those that are not external."""
    for name, each in _table(given).items():
        if not _table(each).get("external"):
            yield name


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
    )


def _target(given: object) -> int:
    """The port in the container of `127.0.0.1:8080:80/tcp` or of `{target: 80}`; 0: a range."""
    text = str(_table(given).get("target", given)).partition("/")[0].rpartition(":")[2]
    return int(text) if text.isascii() and text.isdecimal() else 0
