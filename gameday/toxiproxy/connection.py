"""A client, the upstream that was dialled for it, and the two links between them.

The client is accepted first and the upstream dialled after, off the accept path, so a dead
upstream holds up nobody else. When one side ends, the end follows its data through the link and
then closes the other side, which ends the other link: as in Toxiproxy, a half-closed connection
does not live on unless the server was started with `--half-close`.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from gameday.toxiproxy import address
from gameday.toxiproxy.link import Link, discard
from gameday.toxiproxy.settings import Shared
from gameday.toxiproxy.toxics.stage import Toxic

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

DIAL_LIMIT_S = 30.0  # as long as a lost SYN is sent again four times
KEEP_ALIVE_S = 15  # Go's default
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close() sends RST


class ParentProxy(Protocol):
    """The proxy, as its connections see it."""

    name: str
    upstream: str

    def toxics_of(self, stream: str) -> Sequence[Toxic]: ...
    def admit(self, connection: "ProxiedConnection") -> bool: ...
    def forget(self, connection: "ProxiedConnection") -> None: ...


class ConnectionEnd(asyncio.Protocol):
    """One socket of a connection. `data_received` is whatever the link set it to be."""

    def __init__(self, connection: "ProxiedConnection") -> None:
        self.transport: asyncio.Transport | None = None
        self.has_room = True
        self.lost = False
        self.paused = False
        self._closes = False  # uvloop raises when one that closes is paused or resumed
        self.out_of: Link | None = None
        self.into: Link | None = None
        self._connection = connection
        self._early: list[bytes] = []
        self._early_end = False
        self.data_received: Callable[[bytes], object] = self._keep  # type: ignore[assignment]

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        sock: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the other side may be gone already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)
        self._connection.made(self)

    def eof_received(self) -> bool:
        if self.out_of is None:
            self._early_end = True
        else:
            self.out_of.source_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self._closes = True
        self._connection.lost(self)

    def pause_writing(self) -> None:
        self.has_room = False
        if self.into is not None:
            self.into.run()

    def resume_writing(self) -> None:
        self.has_room = True
        if self.into is not None:
            self.into.run()

    # What the links call.

    @property
    def write(self) -> Callable[[bytes], None]:
        return discard if self.transport is None or self.lost else self.transport.write

    def deliver_to(self, receiver: Callable[[bytes], object]) -> None:
        """Hand what is read to `receiver` from now on, without anything of ours in between."""
        self.data_received = receiver
        if self.transport is not None and not self.lost:
            self.transport.set_protocol(self)  # uvloop keeps the bound method

    def pause(self) -> None:
        if self.transport is not None and not self.paused and not self._closes:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and self.paused and not self._closes:
            self.paused = False
            self.transport.resume_reading()

    # What the connection calls.

    def open(self, link: Link) -> None:
        """Give the link what was read before there was one."""
        for data in self._early:
            link.feed(data)
        self._early.clear()
        if self._early_end:
            link.source_ended()

    def end(self) -> None:
        """Send the end of the stream after what was written; still read."""
        if self.transport is not None and not self.lost:
            self.transport.write_eof()

    def close(self, *, reset: bool = False) -> None:
        """Close after what was written has gone out; with `reset` the other side sees a reset."""
        if self.transport is None or self.lost:
            return
        if reset:
            sock: socket.socket = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # already closed: nothing left to reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._closes = True
        self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None and not self.lost:
            self._closes = True
            self.transport.abort()

    def _keep(self, data: bytes) -> None:
        self._early.append(data)
        self.pause()


class ProxiedConnection:
    """The `number`-th connection of a proxy."""

    def __init__(self, owner: ParentProxy, shared: Shared, number: int) -> None:
        self._owner = owner
        self._shared = shared
        self._number = number
        self._dialling: asyncio.Task[None] | None = None
        self.client = ConnectionEnd(self)
        self.server = ConnectionEnd(self)
        self.links: dict[str, Link] = {}

    def made(self, end: ConnectionEnd) -> None:
        """A socket is connected: the client's, then the upstream's."""
        if end is self.client and not self._owner.admit(self):
            end.abort()
        elif end is self.client:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        elif self.client.lost:
            self.server.abort()
        else:
            self._open()

    async def _dial(self) -> None:
        upstream = self._owner.upstream
        try:
            host, port_text = address.split(upstream)
            port = address.port_number(port_text)
            async with asyncio.timeout(DIAL_LIMIT_S):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: self.server, host or "localhost", port)
        except (OSError, ValueError) as error:
            log.info("proxy %s: cannot reach %s: %s", self._owner.name, upstream, error)
            self.client.close()

    def _open(self) -> None:
        for stream, source, sink in self._streams():
            link = Link(
                source,
                sink,
                alarms=self._shared.alarms,
                chance=(self._shared.seed, f"{self._owner.name}/{self._number}/{stream}"),
                count=self._shared.metrics.counts_proxies,
                held=self._shared.held,
            )
            link.on_end, link.on_reset = self._passed_end, self._reset
            source.out_of = sink.into = self.links[stream] = link
        for stream, source, _ in self._streams():
            link = self.links[stream]
            link.apply(self._owner.toxics_of(stream))
            source.open(link)

    def _streams(self) -> "Iterator[tuple[str, ConnectionEnd, ConnectionEnd]]":
        yield "upstream", self.client, self.server
        yield "downstream", self.server, self.client

    def apply_toxics(self, stream: str, updated: Toxic | None = None) -> None:
        """The proxy's toxics of one stream have changed, or the attributes of one of them."""
        if stream in self.links:
            self.links[stream].apply(self._owner.toxics_of(stream), updated)

    def lost(self, end: ConnectionEnd) -> None:
        """A socket is closed, whoever closed it."""
        if end.out_of is not None:
            end.out_of.source_ended()
        if end.into is not None:
            end.into.sink_lost()
        if self.client.lost and (self.server.lost or not self.links):
            self.stop()
            self._owner.forget(self)

    def abort(self) -> None:
        """Close both sides at once: the proxy was disabled."""
        self.stop()
        self.client.abort()
        self.server.abort()

    def stop(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        for link in self.links.values():
            link.stop()

    def _passed_end(self, link: Link) -> None:
        """The end of `link` has come out at its sink."""
        other = self._other(link)
        if self._shared.half_close and not other.done:
            link.sink.end()
            return
        link.sink.close()
        other.source_ended()

    def _reset(self, link: Link) -> None:
        """The end of `link` has come out as a reset, and so does that of the other one."""
        link.sink.close(reset=True)
        self._other(link).source_reset()

    def _other(self, link: Link) -> Link:
        return next(other for other in self.links.values() if other is not link)
