"""The allow-list: the one place that decides which hosts gameday may connect to.

This machine may always be used; everything else must stand in the allow-list, by its name or by its
address. A name is looked up once in the life of a process, and what was found is what is connected
to: a second answer, which could lead somewhere else, is never asked for. What a process has found
goes with the allow-list to the processes it starts.

Texts are compared in one form: `[::1]`, `EXAMPLE.com.`, `2130706433` and `0177.0.0.1` are what the
operating system would make of them. `0.0.0.0`, `::` and `::ffff:127.0.0.1` reach this machine, so
they count as it, and loopback is what is connected to.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from gameday.core.errors import UsageError, causes, excerpt

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Sequence[str]]
"""A name → its addresses as text. Raises OSError when it has none."""

LONGEST_NAME = 253  # of a DNS name, by RFC 1035
_NAME = re.compile(r"(?!\.)[a-z0-9_.-]+", re.ASCII)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII)


class RefusedError(UsageError):
    """An address that is not this machine, and that nobody has allowed."""

    @classmethod
    def at(cls, host: str, found: str, where: str = "") -> "RefusedError":
        """`found` is the address of `host`, `where` the key or the place that names it."""
        shown = host if found in ("", host) else f"{host} ({found})"
        return cls(
            f"{where}{': ' * bool(where)}{shown} is not this machine",
            help=f"if you may break it, say so: --allow-target {host}",
        )


class NoAddressError(UsageError):
    """A name that nothing is known of, or a text that is no name."""


class SocketAddress(NamedTuple):
    """One address that a connection may be made to, as `socket.connect` takes it."""

    family: socket.AddressFamily
    at: tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """An allow-list and what names were found to be, as plain data for another process."""

    hosts: tuple[str, ...] = ()
    pinned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def host_of(text: str) -> str:
    """A host in the form in which hosts are compared: a name in ASCII, or an address.

    Raises NoAddressError for what can be neither.
    """
    host = text.strip("[]") if text.startswith("[") or text.endswith("]") else text
    if len(host) > LONGEST_NAME + 1:
        raise _no_host(text)
    if not host.isascii():
        host = _in_ascii(host)
    host = host.lower().removesuffix(".")
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    if _NUMERIC.fullmatch(host):
        with suppress(OSError):
            return str(ipaddress.IPv4Address(socket.inet_aton(host)))
    last = host.rpartition(".")[2]
    if not _NAME.fullmatch(host) or len(host) > LONGEST_NAME or _NUMERIC.fullmatch(last):
        raise _no_host(text)  # a name that ends in a number is a mistaken address
    return host


def _in_ascii(host: str) -> str:
    import idna  # only for the few that need it

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise _no_host(host) from error


def _no_host(text: str) -> NoAddressError:
    return NoAddressError(f"{excerpt(text)!r} is not a host", help="write a name or an IP address")


def plain(ip: str) -> Ip:
    """An address without what only disguises it: a zone, IPv4 in IPv6, "any address"."""
    address: Ip = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified:
        text = "127.0.0.1" if address.version == 4 else "::1"
        return ipaddress.ip_address(text)
    return address


def is_this_machine(ip: str | Ip) -> bool:
    """True if an address reaches this machine over its loopback, and nothing else."""
    return plain(str(ip)).is_loopback


def _look_up(name: str) -> Sequence[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Allowed:
    """The hosts that may be used beside this machine, and what each name was found to be.

    A process has one, which its command line made, or the process that started it.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        pinned: Mapping[str, Sequence[str]] | None = None,
        lookup: Lookup = _look_up,
    ) -> None:
        """Raises NoAddressError for an entry that is no host."""
        self.hosts = frozenset(map(host_of, hosts))
        self._pinned = {name: tuple(ips) for name, ips in (pinned or {}).items()}
        self._lookup = lookup
        self._ips = {plain(host) for host in self.hosts if _is_ip(host)}
        self._reached: set[Ip] = set()
        for name in self.hosts & self._pinned.keys():
            self._reached.update(map(plain, self._pinned[name]))

    @classmethod
    def of(cls, reach: Reach) -> "Allowed":
        """Rebuild the allow-list that a parent process handed over."""
        return cls(reach.hosts, reach.pinned)

    def reach(self) -> Reach:
        """The allow-list and the addresses found so far, to hand over to a child process."""
        return Reach(tuple(sorted(self.hosts)), dict(self._pinned))

    def found(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, looked up once; this may take its time.

        It says nothing of whether they may be used. Raises NoAddressError when it has none.
        """
        name = host_of(host)
        if _is_ip(name):
            return (name,)
        if name not in self._pinned:
            try:
                ips = tuple(dict.fromkeys(self._lookup(name)))
            except (OSError, UnicodeError) as error:
                why = getattr(error, "strerror", None) or type(error).__name__
                text = f"{name} has no address: {why}"
                raise NoAddressError(text, help="is the name right?") from error
            self._pinned.setdefault(name, ips)  # another thread may have been first: its answer
        if name in self.hosts:
            self._reached.update(map(plain, self._pinned[name]))
        return self._pinned[name]

    async def resolves_here(self, host: str) -> bool:
        """True if every address of a host is this machine's. Raises NoAddressError."""
        return all(map(is_this_machine, await self._find(host)))

    def check(self, host: str, where: str = "") -> tuple[str, ...]:
        """The addresses of a host, each of which may be used; it may take its time.

        Raises RefusedError, which begins with `where`, and NoAddressError.
        """
        try:
            name, found = host_of(host), self.found(host)
        except NoAddressError as error:
            raise NoAddressError(f"{where}{': ' * bool(where)}{error}", help=error.help) from error
        for ip in found:
            if not self._permits(name, plain(ip)):
                raise RefusedError.at(name, ip, where)
        return tuple(_connectable(ip) for ip in found)

    def _permits(self, name: str, ip: Ip) -> bool:
        """True if `name` may be used, one of whose addresses is `ip`.

        Libraries look a name up first, and then ask for its address: as if it were the name.
        """
        by_address = ip in self._ips or (_is_ip(name) and ip in self._reached)
        return ip.is_loopback or name in self.hosts or by_address

    async def resolve(self, host: str, port: int, where: str = "") -> list[SocketAddress]:
        """The addresses `check` permits for a host; a slow look-up runs in a thread.

        Raises RefusedError and NoAddressError.
        """
        await self._find(host)
        return [_end(ip, port) for ip in self.check(host, where)]

    async def _find(self, host: str) -> tuple[str, ...]:
        """As `found`, without holding the loop up."""
        name = host_of(host)
        if _is_ip(name) or name in self._pinned:
            return self.found(name)
        import asyncio  # whoever only refuses a file does without it

        return await asyncio.to_thread(self.found, name)


def _is_ip(host: str) -> bool:
    """True if a host, as `host_of` writes it, is an address."""
    return ":" in host or _NUMERIC.fullmatch(host) is not None


def _connectable(ip: str) -> str:
    """The address that is connected to: without a disguise, but with its zone, which it needs."""
    simple = plain(ip)
    return ip if "%" in ip and simple.version == 6 else str(simple)


def _end(ip: str, port: int) -> SocketAddress:
    family, _, _, _, at = socket.getaddrinfo(
        ip, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    return SocketAddress(family, at)  # type: ignore[arg-type]  # an IP address's, never another family's


def refusal(error: BaseException | None) -> RefusedError | None:
    """The refusal that an error of a library came of, None where it is of another kind."""
    return next((one for one in causes(error) if isinstance(one, RefusedError)), None)
