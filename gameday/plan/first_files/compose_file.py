"""Somebody's compose file: the service that is asked, what it calls, and the stores in it.

Only the file itself is read, with its variables filled in from the shell and `.env`; no engine and
no other file is needed. Passwords in it are not copied: a store's address becomes a variable, and
whoever runs gameday is told where the password stands.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from gameday.core import files
from gameday.core.errors import StackError, UsageError
from gameday.core.network.credentials import has_credentials
from gameday.core.secrets.redaction import TELLING
from gameday.plan.first_files.sketch import (
    DependencySketch,
    ProjectSketch,
    StoreSketch,
    name_of,
    safe,
)
from gameday.plan.first_files.strangers_yaml import read_yaml
from gameday.stacks.compose_config import ComposeConfig, ComposeService, read_config, read_variables

KINDS: Final[Mapping[str, tuple[str, int]]] = {
    "postgres": ("postgres", 5432),
    "postgis": ("postgres", 5432),
    "timescaledb": ("postgres", 5432),
    "pgvector": ("postgres", 5432),
    "postgresql": ("postgres", 5432),
    "redis": ("redis", 6379),
    "valkey": ("redis", 6379),
    "keydb": ("redis", 6379),
    "dragonfly": ("redis", 6379),
    "mysql": ("mysql", 3306),
    "mariadb": ("mysql", 3306),
    "percona-server": ("mysql", 3306),
    "mongo": ("mongo", 27017),
    "mongodb": ("mongo", 27017),
    "rabbitmq": ("rabbitmq", 5672),
    "kafka": ("kafka", 9092),
    "redpanda": ("kafka", 9092),
    "nats": ("nats", 4222),
    "memcached": ("memcached", 11211),
    "elasticsearch": ("elasticsearch", 9200),
    "opensearch": ("elasticsearch", 9200),
}
"""Images by the last part of their name: what they are, and where they listen."""
_VIEWED: Final = {
    "postgres": ("AUDIT_POSTGRES", "postgresql://USER:PASSWORD@127.0.0.1:{port}/DATABASE"),
    "redis": ("AUDIT_REDIS", "redis://:PASSWORD@127.0.0.1:{port}/0"),
}
_GATEWAYS: Final = ("nginx", "traefik", "caddy", "envoy", "haproxy", "kong")
_HELPERS: Final = re.compile(
    r"grafana|prometheus|adminer|pgadmin|phpmyadmin|jaeger|mailhog|insight"
)
_LARGEST: Final = 1 * files.MIB
_VARIABLE: Final = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?+])([^{}]*))?\}|(\w+))", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")  # as compose has it; a map has , : = between
_MOST_SERVICES: Final = 200
_DEEPEST: Final = 40
_MOST_VALUES: Final = 10_000
_MOST_CHARACTERS: Final = 4 * files.MIB


def read_project(path: Path, wanted: str | None) -> ProjectSketch:
    """The project of a compose file; `wanted` is the service that is asked.

    Raises UsageError for what is no compose file, and where the service cannot be told.
    """
    written = _written(path)
    config = _config(path, written)
    services = _services(written)
    name = _asked(config, services, wanted)
    found = list(_dependencies(config, services, name))
    dependencies = [each for each, _ in found]
    notes = list(_passwords(path, services))
    stores = [
        StoreSketch(
            kind=each.kind,
            variable=_VIEWED[each.kind][0],
            address=_VIEWED[each.kind][1].format(port=published),
            source=f"{each.service} in {path.name}",
        )
        for each, published in found
        if published and each.kind in _VIEWED and each.name == each.kind
    ]
    base_url = f"http://127.0.0.1:{config.services[name].published[0].port}"
    return ProjectSketch(
        file=str(path),
        service=name,
        base_url=base_url,
        dependencies=dependencies,
        stores=stores,
        notes=notes,
    )


def _written(path: Path) -> Any:
    """The file as data, variables filled in. Raises UsageError."""
    try:
        found = read_yaml(files.read_bytes(path, _LARGEST), f"--compose: {path}", _LARGEST)
        return _mapping(_filled(found, {**read_variables(path.parent / ".env"), **os.environ}))
    except OSError as error:
        raise UsageError(f"--compose: {path}: {error.strerror}", help=files.HELP) from error
    except ValueError as error:
        raise UsageError(f"--compose: {path}: {safe(error)}") from error


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with its variables; bounded, since one may stand there a million times."""
    left = _MOST_VALUES
    left_characters = _MOST_CHARACTERS

    def variable(match: re.Match[str]) -> str:
        nonlocal left_characters
        text = _variable(match, variables)
        left_characters -= len(text)
        if left_characters < 0:
            raise ValueError("its variables expand to more than 4 MB")
        return text

    def fill(each: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise ValueError("more than anybody writes by hand")
        if isinstance(each, str):
            return _VARIABLE.sub(variable, each)
        if isinstance(each, dict):
            return {str(key): fill(inner, depth + 1) for key, inner in each.items()}
        if isinstance(each, list):
            return [fill(inner, depth + 1) for inner in each]
        return each

    return fill(value, 0)


def _variable(match: re.Match[str], variables: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and their like, as compose fills them in."""
    if match[1]:
        return "$"
    name, operator, other = match[2] or match[5], match[3] or "", match[4] or ""
    value = variables.get(name)
    is_there = value is not None and not (operator.startswith(":") and value == "")
    if operator.endswith("+"):
        return other if is_there else ""
    if is_there:
        return value or ""
    return other if operator.endswith("-") else ""


def _config(path: Path, written: Any) -> ComposeConfig:
    try:
        return read_config(yaml.dump(written, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    except StackError as error:
        problem = error.message.removeprefix("compose config: ")
        raise UsageError(f"--compose: {path}: {problem}", help="is it a compose file?") from error


def _mapping(value: object) -> Any:
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}


def _services(written: Any) -> Any:
    named = list(_mapping(written.get("services")).items())[:_MOST_SERVICES]
    for name, _ in named:
        if not _NAME.fullmatch(name):
            problem = f"--compose: {safe(name)!r} is no name of a service"
            raise UsageError(problem, help="compose takes letters, digits, '.', '_' and '-'")
    return {name: _mapping(each) for name, each in named}


def kind_of(image: str) -> tuple[str, int] | None:
    """The kind of an image, and its usual port; None for one that nothing is known of."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    return KINDS.get(name)


def _asked(config: ComposeConfig, services: Any, wanted: str | None) -> str:
    """The service that the traffic goes to: one that publishes a port and is no store."""
    able = {
        name: each
        for name, each in config.services.items()
        if name in services and each.published and kind_of(each.image) is None
    }
    if wanted is not None:
        if wanted not in able:
            known = ", ".join(map(safe, able)) or "none"
            raise UsageError(
                f"--service: {wanted!r} publishes no fixed port",
                help=f"services that do: {known}; write ports: ['127.0.0.1:8080:8080']",
            )
        return wanted
    if not able:
        raise UsageError(
            "--compose: no service publishes a fixed port, so nothing can be asked",
            help="publish one: ports: ['127.0.0.1:8080:8080']",
        )
    ranked = sorted(able, key=lambda name: _rank(name, able[name], services[name]))
    first = ranked[0]
    if len(ranked) > 1 and _rank(ranked[1], able[ranked[1]], services[ranked[1]]) == _rank(
        first, able[first], services[first]
    ):
        raise UnclearServiceError(ranked)
    return first


class UnclearServiceError(UsageError):
    """Several services may be the one that is asked."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"--compose: several services publish a port: {', '.join(map(safe, names))}",
            help=f"name the one that issues: --service {safe(names[0])}",
        )
        self.names = names


def _rank(name: str, service: ComposeService, written: Any) -> tuple[bool, bool, bool]:
    """Smaller for what is rather the service itself: built here, no gateway, no helper."""
    image = service.image.lower()
    helps = _HELPERS.search(f"{name} {image}") is not None
    gateway = any(each in image for each in _GATEWAYS)
    return helps, gateway, not (service.builds or written.get("depends_on"))


def _depends(written: Any) -> list[str]:
    given = written.get("depends_on")
    return list(map(str, given)) if isinstance(given, list | dict) else []


def _dependencies(
    config: ComposeConfig, services: Any, name: str
) -> Iterator[tuple[DependencySketch, int | None]]:
    """The dependencies of the service, as `depends_on` says, or what kinds of store there are."""
    named = [each for each in _depends(services[name]) if each in config.services and each != name]
    stores = [n for n in services if n != name and kind_of(config.services[n].image)]
    taken: set[str] = set()
    for each in named or stores:
        service = config.services[each]
        kind = kind_of(service.image)
        if kind is None and not service.ports:
            continue
        label, usual = kind if kind is not None else (name_of(each), 0)
        label = label if label not in taken and label != "service" else name_of(each)
        if label in taken:
            continue
        taken.add(label)
        published = service.published[0].port if service.published else None
        own = service.ports[0] if service.ports else usual
        said = own if own and (own != usual or label not in ("redis", "postgres")) else None
        found = DependencySketch(name=label, kind=kind[0] if kind else "", service=each, port=said)
        yield found, published


def _passwords(path: Path, services: Any) -> Iterator[str]:
    """A line about each password that stands in the file as text."""
    for name, written in services.items():
        given = written.get("environment")
        pairs = _mapping(given)
        if isinstance(given, list):
            pairs = dict(str(each).partition("=")[::2] for each in given)
        for variable, value in pairs.items():
            text = "" if value is None else str(value)
            if text and (TELLING.search(variable) or has_credentials(text)):
                yield f"{path.name}: {safe(name)}.{safe(variable)} is a secret: it is not copied"
