"""Listen and upstream addresses, `host:port`, resolved and bound as Toxiproxy does it.

An empty host and `0.0.0.0` mean every address of both families, shown as `[::]`. A name becomes
an IPv4 address where it has one. Error texts are Go's, because clients show them to people.
"""

import asyncio
import os
import socket
from dataclasses import dataclass

from gameday.toxiproxy.errors import ApiError

BACKLOG = 4096  # Go asks for somaxconn, which is 4096 since Linux 5.4
RESOLVE_LIMIT_S = 10.0  # two tries of a resolver of 5 s each, as resolv.conf has them
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """A resolved address; `host` is "" or an IP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def split(text: str) -> tuple[str, str]:
    """`host:port` → host and port, both as text. Raises ValueError with Go's wording."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        raise ValueError(f"address {text}: missing port in address")
    if host.startswith("["):
        if not host.endswith("]"):
            raise ValueError(f"address {text}: missing ']' in address")
        return host[1:-1], port
    if ":" in host:
        raise ValueError(f"address {text}: too many colons in address")
    return host, port


def port_number(text: str) -> int:
    """A port by number or by service name, "" being 0. Raises ValueError."""
    if text.isascii() and text.isdigit():
        if int(text) > HIGHEST_PORT:
            raise ValueError(f"address {text}: invalid port")
        return int(text)
    if not text:
        return 0
    try:
        return socket.getservbyname(text, "tcp")
    except OSError as error:
        raise ValueError(f"lookup tcp/{text}: unknown port") from error


async def resolve(listen: str, doing: str = "") -> ResolvedAddress:
    """The numeric address of `listen`. Raises ApiError 500 whose text starts with `doing`."""
    if not listen:
        return ResolvedAddress("", 0)
    try:
        host, port_text = split(listen)
        port = port_number(port_text)
        return ResolvedAddress(await _numeric(host), port)
    except (ValueError, OSError) as error:
        raise ApiError(500, f"{doing}{error}") from error


async def _numeric(host: str) -> str:
    """`host` as an IP address, "" staying "". Raises ValueError for a name nobody knows."""
    if not host:
        return ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_LIMIT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"lookup {host}: no such host") from error
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def bind(address: ResolvedAddress) -> socket.socket:
    """A listening socket. Raises ApiError 500."""
    everywhere = address.host in {"", "0.0.0.0", "::"}
    try:
        if everywhere and socket.has_dualstack_ipv6():
            return _listen(socket.AF_INET6, ("::", address.port), both_families=True)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return _listen(family, (address.host, address.port), both_families=False)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ApiError(500, f"listen tcp {address}: bind: {reason}") from error


def _listen(
    family: socket.AddressFamily, where: tuple[str, int], *, both_families: bool
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both_families))
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def bound(listener: socket.socket) -> str:
    """The address a listening socket really has, as the API shows it."""
    host, port = listener.getsockname()[:2]
    return str(ResolvedAddress(host, port))
