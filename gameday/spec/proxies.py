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
_MAPPED: Final[Mapping[int, Protocol]] = {
    16379: "redis",
    26379: "redis",
    15432: "postgres",
    25432: "postgres",
    13306: "mysql",
    23306: "mysql",
    33306: "mysql",
}
"""Ports to which people map the usual ones on their own machine."""


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
    Annotated[str, Tag("by-name")] | Annotated[NamedProxy, Tag("with-protocol")],
    Discriminator(lambda value: "by-name" if isinstance(value, str) else "with-protocol"),
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
    names: Iterable[str], end: tuple[str, int] | None, stores: Mapping[tuple[str, int], Protocol]
) -> Protocol | None:
    """The protocol that an address of a store, a name or a port tells of; None where none does.

    `names` are those of the service, of its proxy and of the host behind it, `end` the host and the
    port behind the proxy; `stores` are the addresses of the stores that the system file names. A
    product names a service only as its last word: a `redis-exporter` is no Redis.
    """
    if end is not None and end in stores:
        return stores[end]
    for name in names:
        words = re.findall(r"[a-z]+", name.lower())
        found = {_PRODUCTS[word] for word in words if word in _PRODUCTS}
        if len(found) == 1 and words[-1] in _PRODUCTS:
            return found.pop()
    return None if end is None else _PORTS.get(end[1], _MAPPED.get(end[1]))
