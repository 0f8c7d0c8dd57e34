"""Proxies of a system file: what stands behind each, and which protocol it speaks.

A probe asks through a proxy only what the service behind it is known to understand. It is known by
the file (`protocol`), by the address of a store, by a name or a port that means one product, or
because the service speaks first. Of anything else nothing is asked: what is a greeting to one
server may be an order to another.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag

from gameday.spec.model import Model, Name

Protocol = Literal[
    "redis",
    "postgres",
    "mysql",
    "mongodb",
    "kafka",
    "amqp",
    "memcached",
    "http",
    "smtp",
    "greeting",
    "tcp",
]
"""`greeting`: a server that speaks first, and is only listened to. `tcp`: nothing is ever sent."""

_PRODUCTS: Final[Mapping[str, Protocol]] = {
    "redis": "redis",
    "valkey": "redis",
    "keydb": "redis",
    "dragonfly": "redis",
    "postgres": "postgres",
    "postgresql": "postgres",
    "pgbouncer": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "percona": "mysql",
    "mongo": "mongodb",
    "mongodb": "mongodb",
    "kafka": "kafka",
    "redpanda": "kafka",
    "rabbitmq": "amqp",
    "rabbit": "amqp",
    "amqp": "amqp",
    "memcached": "memcached",
    "memcache": "memcached",
    "smtp": "smtp",
    "mailpit": "smtp",
    "mailhog": "smtp",
}
_PORTS: Final[Mapping[int, Protocol]] = {
    6379: "redis",
    5432: "postgres",
    6432: "postgres",
    3306: "mysql",
    27017: "mongodb",
    9092: "kafka",
    5672: "amqp",
    11211: "memcached",
    80: "http",
    8080: "http",
    8000: "http",
    25: "smtp",
    587: "smtp",
    1025: "smtp",
}
# A `redis-exporter` is no Redis: beside such a word a product says what it is for, not what it is.
_BESIDE: Final = frozenset(
    ("exporter", "metrics", "ui", "web", "admin", "api", "rest", "commander", "manager")
) | {"gateway", "http", "console"}
_MAPPED: Final = 10_000  # 26379, 15432: a port as it is mapped to this machine keeps its end


class NamedProxy(Model):
    """A proxy of Toxiproxy, and the protocol behind it."""

    proxy: str = Field(description="The name of the proxy on Toxiproxy", examples=["db"])
    protocol: Protocol | None = Field(
        default=None,
        description="What the service behind it speaks, so that probes can show a fault on it;"
        " greeting: it speaks first and is only listened to; tcp: nothing is sent to it",
        examples=["mysql"],
    )


ProxyOrName = Annotated[
    Annotated[str, Tag("name")] | Annotated[NamedProxy, Tag("proxy")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "proxy"),
]
Proxies = Mapping[Name, ProxyOrName]


def name_of(proxy: str | NamedProxy) -> str:
    """The name of a proxy on its server."""
    return proxy if isinstance(proxy, str) else proxy.proxy


def renamed(
    written: Mapping[str, str | NamedProxy], names: Mapping[str, str]
) -> dict[str, str | NamedProxy]:
    """Proxies under the names that a started stack gives them, their protocols kept."""
    found: dict[str, str | NamedProxy] = {**written}
    for service, name in names.items():
        known = written.get(service)
        found[service] = (
            known.model_copy(update={"proxy": name}) if isinstance(known, NamedProxy) else name
        )
    return found


def guess(
    names: Iterable[str], port: int | None, stores: Mapping[int, Protocol]
) -> Protocol | None:
    """The protocol that an address of a store, a name or a port tells of; None where none does.

    `names` are those of the service, of its proxy and of the host behind it; `stores` are the ports
    of the stores that the system file names.
    """
    if port is not None and port in stores:
        return stores[port]
    for name in names:
        words = set(re.split(r"[^a-z]+", name.lower()))
        found = {_PRODUCTS[word] for word in words & _PRODUCTS.keys()}
        if len(found) == 1 and not words & _BESIDE:
            return found.pop()
    if port is None:
        return None
    mapped = port % _MAPPED
    return _PORTS.get(port) or (_PORTS.get(mapped) if port >= _MAPPED and mapped > 1024 else None)
