"""The placeholders of a system file's `start`, and the addresses they stand for.

`{redis}` and `{postgres}` are the proxied stores, `{redis_direct}` and `{postgres_direct}` the
same past the proxies, `{port}` and `{admin_port}` where the service is to listen, `{secret}` a
random text of this start. `{{` and `}}` are braces. What is not asked for is not started.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gameday.core.errors import UsageError
from gameday.spec.system import Start, System
from gameday.stacks.stack import Addresses

STORES = ("redis", "postgres")
PORTS = ("port", "admin_port")
NAMES = (*STORES, *(f"{store}_direct" for store in STORES), *PORTS, "secret")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def asked_for(start: Start) -> frozenset[str]:
    """The placeholders that occur. Raises UsageError for an unknown one, or a secret in `argv`.

    Any user of the machine can read the arguments of a process, so passwords go into `env`.
    """
    in_argv = {name for text in start.argv for name in _names(text)}
    in_env = {name for text in start.env.values() for name in _names(text)}
    for name in sorted(in_argv - set(PORTS)):
        raise UsageError(
            f"start.argv: {{{name}}} would show a password to every user of the machine",
            help="hand it over in start.env",
        )
    return frozenset(in_argv | in_env)


def stores_of(asked: frozenset[str]) -> tuple[str, ...]:
    """The stores that must run."""
    return tuple(name for name in STORES if asked & {name, f"{name}_direct"})


def render(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced, `{{` becoming a brace."""

    def one(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] is not None else match[0][0]

    return _TOKEN.sub(one, text)


def _names(text: str) -> list[str]:
    names = []
    for match in _TOKEN.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] not in NAMES:
            known = ", ".join(f"{{{name}}}" for name in NAMES)
            raise UsageError(
                f"start: {match[0]!r} in {text!r} is no placeholder",
                help=f"there are {known}; a bare brace is written {{{{",
            )
        names.append(match[1])
    return names


def readdress(system: System, addresses: Addresses) -> System:
    """`system` as it can be reached on a stack that we started.

    The origin of `base_url` moves to the service's port, the origin of `admin_url` (or, without
    one, any other origin) to its admin port. A Prometheus that the system file names scrapes what
    is written there: where that has moved, it would tell of something else, and only one that the
    stack has itself is read.
    """
    main = _origin(system.base_url)
    admin = _origin(system.admin_url) if system.admin_url else None

    def moved(url: str) -> str:
        origin = _origin(url)
        if origin == main:
            return _at_port(url, addresses.port)
        return _at_port(url, addresses.admin_port if admin in (origin, None) else None)

    metrics = [moved(url) for url in system.metrics]
    stays = moved(system.base_url) == system.base_url and metrics == system.metrics
    update = {
        "base_url": moved(system.base_url),
        "admin_url": moved(system.admin_url) if system.admin_url else None,
        "metrics": metrics,
        "toxiproxy": addresses.toxiproxy,
        "proxies": {**system.proxies, **addresses.proxies},
        "prometheus": addresses.prometheus or (system.prometheus if stays else None),
        "alertmanager": addresses.alertmanager or (system.alertmanager if stays else None),
    }
    return system.model_copy(update=update)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _at_port(url: str, port: int | None) -> str:
    if port is None:
        return url
    return urlsplit(url)._replace(scheme="http", netloc=f"127.0.0.1:{port}").geturl()
