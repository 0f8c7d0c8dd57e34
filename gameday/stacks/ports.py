"""Loopback ports: found free, lost to others now and then, and looked at in the end.

Redis, PostgreSQL and a service want to be told their port. Between finding a free one and their
listening on it somebody else may take it; then the part fails, its port is taken, and it is
started once more with another.
"""

import errno
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TypeVar

from gameday.core.errors import StackError
from gameday.stacks.managed_process import PartEndedError

HOST = "127.0.0.1"
ATTEMPTS = 3
LASTING = range(20_000, 32_000)  # below those that the kernel gives to connections by itself

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody uses now."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def lasting_ports(count: int) -> list[int]:
    """So many free ports that stay so when their owner restarts: no connection is given one."""
    found: list[int] = []
    for port in secrets.SystemRandom().sample(LASTING, len(LASTING)):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return found


def lasting_range(count: int) -> range:
    """So many free ports in a row, which stay so as those of `lasting_ports` do."""
    for first in secrets.SystemRandom().sample(LASTING, len(LASTING)):
        if first + count <= LASTING.stop and all(map(is_free, range(first, first + count))):
            return range(first, first + count)
    raise StackError(f"no {count} free ports in a row from {LASTING.start} to {LASTING.stop}")


def is_free(port: int, host: str = HOST) -> bool:
    """True if one can listen on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_taken(port: int, host: str = HOST) -> bool:
    """True if somebody listens on it: what only may not be listened on by us is not taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


async def with_ports(count: int, start: Callable[[list[int]], Awaitable[T]]) -> T:
    """Call `start` with free ports, again with others when it failed and lost one of them."""
    for _ in range(ATTEMPTS - 1):
        ports = free_ports(count)
        try:
            return await start(ports)
        except PartEndedError:
            if all(is_free(port) for port in ports):
                raise
    return await start(free_ports(count))
