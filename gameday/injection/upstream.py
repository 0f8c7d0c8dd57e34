"""Upstream of a proxy, as it is reached from here, and the check that it may be broken.

A fault in a proxy strikes whatever the proxy leads to. Its server knows names that this machine
does not, such as a container's; one that cannot be looked up here is another host, by its name.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from gameday.core.network.allow_list import Allowed, NoAddressError, RefusedError, host_of

Upstream = tuple[str, int]
_PORT_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Published:
    """Ports here of a proxy of a stack of ours whose parts have a network of their own.

    `proxy` and `direct` are where the proxy and what stands behind it are reached; `upstream` is
    how the proxy itself calls the latter.
    """

    proxy: tuple[str, int]
    direct: tuple[str, int]
    upstream: str


async def upstream_of(text: str, toxiproxy_url: str, allowed: Allowed) -> Upstream | None:
    """Host and port behind a proxy with that upstream, None where it names none.

    An upstream on the loopback of another host is on that host.
    """
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not (port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS):
        return None
    server = urlsplit(toxiproxy_url).hostname or "127.0.0.1"
    if await _is_this_machine(host, allowed) and not await _is_this_machine(server, allowed):
        host = server
    return host, int(port)


async def _is_this_machine(host: str, allowed: Allowed) -> bool:
    try:
        return await allowed.resolves_here(host)
    except NoAddressError:
        return False  # a name that only the proxy's network knows


async def refuse_foreign_upstream(
    name: str, text: str, toxiproxy_url: str, allowed: Allowed
) -> None:
    """Refuse a proxy whose upstream is a host that may not be broken. Raises RefusedError."""
    if not text:
        return  # no server that is honest has one; another could say anything
    found = await upstream_of(text, toxiproxy_url, allowed)
    host = text if found is None else found[0]
    where = f"toxiproxy {toxiproxy_url}: the upstream {text!r} of proxy {name!r}"
    try:
        if host_of(host) not in allowed.hosts:
            await allowed.resolve(host, 0, where)
    except NoAddressError:
        raise RefusedError.at(host, "", where) from None
