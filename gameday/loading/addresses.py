"""Which hosts a run would talk to, and the refusal to touch a strange one by accident.

Looking names up is done here and only when a run is about to begin, never while validating.
"""

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from gameday.documents import Document
from gameday.errors import UsageError
from gameday.loading.secrecy import ADDRESSES
from gameday.system import FromEnv, System


def resolve_targets(
    system: System, environment: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Every (key of the system file, host) that a run talks to.

    The stores' addresses are secrets; they are included where `environment` has them.
    """
    targets = []
    for key, url in _addresses(system, environment or {}):
        host = urlsplit(url).hostname
        if host is None:
            raise UsageError(f"{key}: the address names no host", help="write http://HOST:PORT")
        targets.append((key, host))
    return targets


def _addresses(system: System, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in ADDRESSES:
        value = getattr(system, key)
        for url in value if isinstance(value, list) else [value]:
            if url is not None:
                yield key, url
    stores = system.stores
    secrets = {
        "stores.postgres.dsn": stores.postgres.dsn if stores.postgres else None,
        "stores.redis.url": stores.redis.url if stores.redis else None,
    }
    for key, secret in secrets.items():
        if isinstance(secret, FromEnv) and secret.env in environment:
            yield key, environment[secret.env]


def refuse_foreign(
    system: System,
    allowed: set[str],
    environment: Mapping[str, str] | None = None,
    document: Document | None = None,
) -> None:
    """Refuse an address that is not loopback and not allowed by name. Raises UsageError.

    `document` is the system file, where the error is to say in which line the address stands.
    """
    for key, host in resolve_targets(system, environment):
        if host in allowed:
            continue
        foreign = [address for address in _resolve(key, host) if not address.is_loopback]
        if foreign:
            shown = host if str(foreign[0]) == host else f"{host} ({foreign[0]})"
            place = "" if document is None else f"{document.place(*key.split('.'))}: "
            raise UsageError(
                f"{place}{key}: {shown} is not this machine",
                help=f"if you may break it, say so: --allow-target {host}",
            )


def _resolve(key: str, host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            f"{key}: {host} has no address: {error.strerror}", help="is the name right?"
        ) from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
