"""The address that a console listens at, and for whom: what is asked for, and what it takes."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gameday.core.errors import UsageError
from gameday.core.network.listen import listen_at

PORT: Final = 7437  # where it is free; else any other
LINGER_S: Final = 30.0  # after the run, and the last page
LOOPBACK_ADDRESS: Final = "127.0.0.1"
_HELP: Final = "write ADDR or ADDR:PORT, as 0.0.0.0:7437 or [::1]:7437"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """`hosts` are the names that pages are asked for by, beside those of this machine.

    `port` None: the usual one, or any other that is free.
    """

    address: str = LOOPBACK_ADDRESS
    port: int | None = None
    hosts: Sequence[str] = field(default_factory=tuple)
    cert: Path | None = None
    key: Path | None = None

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def secure(self) -> bool:
        """True where it speaks TLS: always but on this machine's own address."""
        return not self.is_loopback or self.cert is not None


def listen_settings(
    listen: str | None, cert: Path | None, key: Path | None, hosts: Sequence[str]
) -> ListenSettings:
    """The settings that a command line means. Raises UsageError."""
    address, port = _address(listen) if listen is not None else (LOOPBACK_ADDRESS, None)
    if (cert is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together", help="give both, or neither")
    named = [host.strip("[]").lower() for host in hosts]
    found = ListenSettings(address=address, port=port, hosts=named, cert=cert, key=key)
    if ipaddress.ip_address(address).is_unspecified and not named:
        raise UsageError(
            f"--listen {listen}: it is not known by which name browsers ask for it",
            help="add --allow-host NAME for each name or address in the links",
        )
    return found


def _address(text: str) -> tuple[str, int | None]:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise UsageError(f"--listen: {text[:80]!r} is no address", help=_HELP) from None
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise UsageError(f"--listen: {text[:80]!r} has no port", help=_HELP)
    return address, int(port) if port else None


def bind(settings: ListenSettings) -> socket.socket:
    """A socket that listens there. Raises UsageError where that cannot be."""
    try:
        return listen_at(settings.address, (PORT, 0) if settings.port is None else (settings.port,))
    except OSError as error:
        raise UsageError(
            f"the console cannot listen at {settings.address}: {error.strerror or error}",
            help="--listen ADDR:PORT",
        ) from error
