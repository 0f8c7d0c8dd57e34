"""An address of this machine that gameday itself listens at, as the command line names it."""

import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from gameday.core.errors import UsageError
from gameday.core.network.allow_list import NoAddressError, host_of

_HELP: Final = "write ADDR:PORT, as 0.0.0.0:9099 or [::1]:9099"


@dataclass(frozen=True, slots=True)
class Listen:
    """An address of this machine to listen at."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """`ADDR:PORT`. Raises UsageError."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
            raise UsageError(f"--webhook-listen: {text[:80]!r} is no address", help=_HELP)
        try:
            return cls(host_of(host), int(port))
        except NoAddressError as error:
            raise UsageError(f"--webhook-listen: {error.message}", help=_HELP) from error

    @property
    def url(self) -> str:
        """The address that notifications go to, as far as this machine knows it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/alerts"

    def problem(self) -> str:
        """The reason why nobody can listen there, "" where somebody can."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with closing(socket.socket(family)) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((self.host, self.port))
        except OSError as error:
            return error.strerror or str(error)
        return ""


def listen_at(address: str, ports: Sequence[int]) -> socket.socket:
    """A socket that listens at the first of the ports that can be had. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    problem = OSError("no port to listen at")
    for port in ports:
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, port))
            bound.listen()  # two may bind to one port, and only one of them can listen
        except OSError as error:
            bound.close()
            problem = error
        else:
            return bound
    raise problem
