"""The event loop that everything of gameday runs on: it connects only to where it may.

Every library that opens a connection asks its loop to: httpx, asyncpg, redis-py, asyncio's own
streams. So the loop is where an allow-list cannot be passed by. Names are looked up through it,
too, and it is handed addresses only by itself: what `Allowed` has found is what is connected to.
A certificate is still checked for the name that was asked for.

Sockets of this machine's file system (`unix:`) reach only this machine, and pass.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from gameday.core.network.allow_list import Allowed, NoAddressError, SocketAddress, refusal
from gameday.core.processes.threads import Threads

T = TypeVar("T")

if TYPE_CHECKING:
    _Loop = asyncio.SelectorEventLoop
else:
    _Loop = object  # the class that it stands before


class _Guarded(_Loop):
    """An event loop whose methods that reach other hosts ask the allow-list first."""

    allowed: Allowed

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **how: Any,
    ) -> Any:
        onward: Any = super().create_connection
        if sock is not None or host is None:
            if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
                self.allowed.check(sock.getpeername()[0])
            return await onward(protocol_factory, host, port, sock=sock, **how)
        ends = await self._resolve(host, port or 0, how.pop("family", 0))
        for name in ("happy_eyeballs_delay", "interleave", "all_errors", "flags", "proto"):
            how.pop(name, None)
        if how.get("ssl") and how.get("server_hostname") is None:
            how["server_hostname"] = host
        problems: list[OSError] = []
        for end in ends:
            try:
                return await onward(protocol_factory, end.at[0], port, family=end.family, **how)
            except ssl.SSLError:
                raise
            except OSError as error:
                problems.append(error)
        raise next((e for e in problems if not isinstance(e, ConnectionRefusedError)), problems[0])

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        if not host or flags & socket.AI_PASSIVE:  # to listen at
            return await super().getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
        name = host.decode("ascii") if isinstance(host, bytes) else host
        kind = socket.SocketKind(type or socket.SOCK_STREAM)
        ends = await self._resolve(name, int(port or 0), family)
        return [(end.family, kind, proto, "", end.at) for end in ends]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            ends = await self._resolve(address[0], int(address[1]), sock.family)
            address = ends[0].at
        await super().sock_connect(sock, address)

    async def _resolve(self, host: str, port: int, family: int) -> list[SocketAddress]:
        """The permitted addresses of a host; none is `socket.gaierror`, as libraries expect.

        Raises RefusedError and OSError.
        """
        try:
            ends = await self.allowed.resolve(host, port)
        except NoAddressError as error:
            raise socket.gaierror(socket.EAI_NONAME, error.message) from error
        found = [end for end in ends if family in (0, end.family)]
        if not found:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"{host}: no address of that family")
        return found

    async def create_datagram_endpoint(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("gameday sends no datagrams")


class GuardedLoop(_Guarded, asyncio.SelectorEventLoop):
    """The loop of everything that need not be fast."""

    def __init__(self, allowed: Allowed) -> None:
        super().__init__()
        self.allowed = allowed


def new_loop(allowed: Allowed, *, fast: bool = False) -> asyncio.AbstractEventLoop:
    """A loop that connects to this machine and to what is allowed; `fast`: uvloop's."""
    loop = _fast_loop(allowed) if fast else GuardedLoop(allowed)
    loop.set_default_executor(Threads())  # a thread that hangs keeps no process from ending
    return loop


def _fast_loop(allowed: Allowed) -> asyncio.AbstractEventLoop:
    import uvloop

    class FastLoop(_Guarded, uvloop.Loop):  # type: ignore[misc]
        pass

    loop = FastLoop()
    loop.allowed = allowed
    return loop


def run(main: Coroutine[Any, Any, T], allowed: Allowed | None = None, *, fast: bool = False) -> T:
    """Run `main` like `asyncio.run`, on a loop that connects only to allowed hosts.

    Without `allowed` that is this machine alone.
    """
    reach = Allowed() if allowed is None else allowed
    try:
        with asyncio.Runner(loop_factory=lambda: new_loop(reach, fast=fast)) as runner:
            return runner.run(main)
    except BaseExceptionGroup as group:  # a library's task group around what was refused
        refused = refusal(group)
        if refused is None:
            raise
        raise refused from group


async def open_socket(host: str, port: int, within_s: float) -> socket.socket:
    """A socket for a client that waits for it by itself; it blocks, and is the caller's to close.

    Raises RefusedError for a host that is not allowed, OSError or TimeoutError for no connection.
    """
    loop = asyncio.get_running_loop()
    problem: OSError = OSError(f"{host} has no address")
    for end in await allowed_here().resolve(host, port):
        opened = socket.socket(end.family, socket.SOCK_STREAM)
        opened.settimeout(0)
        try:
            async with asyncio.timeout(within_s):
                await loop.sock_connect(opened, end.at)
        except OSError as error:  # and TimeoutError is one
            problem = error
            opened.close()
        except BaseException:
            opened.close()
            raise
        else:
            opened.settimeout(None)
            return opened
    raise problem


def allow_here(allowed: Allowed) -> None:
    """Let the loop that runs now connect there too: what a process hears after its start."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, _Guarded):
        raise TypeError("this loop connects to everybody")
    loop.allowed = allowed


def allowed_here() -> Allowed:
    """The allow-list of the running loop; on another kind of loop, this machine alone."""
    found = getattr(asyncio.get_running_loop(), "allowed", None)
    return found if isinstance(found, Allowed) else Allowed()
