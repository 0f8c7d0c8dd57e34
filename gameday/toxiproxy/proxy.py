"""A proxy: a listening address, an upstream, the toxics between, and the live connections.

Disabling closes the listener and every connection at once, and keeps the toxics. Changing a toxic
changes it on every live link before the call returns; nothing in that waits for a peer.
"""

import asyncio
import logging
from collections.abc import Sequence

from gameday.core.clock import NS
from gameday.toxiproxy import address
from gameday.toxiproxy.address import ResolvedAddress
from gameday.toxiproxy.connection import ProxiedConnection
from gameday.toxiproxy.errors import ApiError
from gameday.toxiproxy.go_json import single_precision
from gameday.toxiproxy.settings import Shared
from gameday.toxiproxy.toxics.stage import Toxic

log = logging.getLogger(__name__)

STREAMS = ("upstream", "downstream")


class Proxy:
    """One proxy; `listen` is as given until it first listens, then the real address."""

    def __init__(self, name: str, listen: str, upstream: str, shared: Shared) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.connections: set[ProxiedConnection] = set()
        self._toxics: dict[str, list[Toxic]] = {stream: [] for stream in STREAMS}
        self._shared = shared
        self._accepted = 0
        self._refused = 0
        self._tell_again_ns = 0
        self._server: asyncio.Server | None = None
        self._changing = asyncio.Lock()

    # Listening.

    async def start(self, where: ResolvedAddress) -> None:
        """Listen. Raises ApiError 500 when the address cannot be had."""
        async with self._changing:
            await self._start(where)

    async def stop(self) -> None:
        """Stop listening and close every connection before this returns."""
        async with self._changing:
            await self._stop()

    async def update(self, where: ResolvedAddress, upstream: str, *, enabled: bool) -> None:
        """Become what is asked for; connections are dropped only when an address differs."""
        async with self._changing:
            if str(where) != self.listen or upstream != self.upstream:
                await self._stop()
                self.listen, self.upstream = str(where), upstream
            if enabled and not self.enabled:
                await self._start(where)
            elif not enabled:
                await self._stop()

    async def _start(self, where: ResolvedAddress) -> None:
        if self.enabled:
            return
        listener = address.bind(where)
        self.listen = address.bound(listener)
        self.enabled = True
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accept, sock=listener, backlog=address.BACKLOG
        )
        log.info("proxy %s: listening on %s for %s", self.name, self.listen, self.upstream)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            log.info("proxy %s: stopped", self.name)
        self.enabled = False
        for connection in list(self.connections):
            connection.abort()
        await self._shared.clock.sleep(0)  # the event loop closes aborted sockets in its next turn

    def _accept(self) -> asyncio.Protocol:
        self._accepted += 1
        return ProxiedConnection(self, self._shared, self._accepted).client

    def admit(self, connection: ProxiedConnection) -> bool:
        """Count a new connection in, unless there are too many or the proxy was stopped."""
        if not self.enabled:
            return False
        if self._shared.connections_open >= self._shared.connections_max:
            self._tell_refused()
            return False
        self._shared.connections_open += 1
        self.connections.add(connection)
        return True

    def _tell_refused(self) -> None:
        """Say it once a second at most: whoever connects without an end must not fill a disk."""
        self._refused += 1
        now_ns = self._shared.clock.now_ns()
        if now_ns >= self._tell_again_ns:
            log.warning("proxy %s: too many connections, %d refused", self.name, self._refused)
            self._refused, self._tell_again_ns = 0, now_ns + NS

    def forget(self, connection: ProxiedConnection) -> None:
        """A connection is over."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._shared.connections_open -= 1
        for stream, link in connection.links.items():
            labels = {
                "direction": stream,
                "listener": self.listen,
                "proxy": self.name,
                "upstream": self.upstream,
            }
            self._shared.metrics.link_ended(labels, link.received_bytes, link.sent_bytes)

    # Toxics.

    def toxics_of(self, stream: str) -> Sequence[Toxic]:
        return self._toxics[stream]

    @property
    def toxics(self) -> list[Toxic]:
        """All toxics, those of the upstream first, each stream in order of creation."""
        return [toxic for stream in STREAMS for toxic in self._toxics[stream]]

    def toxic(self, name: str) -> Toxic:
        """Raises ApiError 404."""
        for toxic in self.toxics:
            if toxic.name == name:
                return toxic
        raise ApiError(404, "toxic not found")

    def add_toxic(self, toxic: Toxic) -> None:
        """Append it to the toxics of its stream, on live connections too."""
        self._toxics[toxic.stream.lower()].append(toxic)
        self._apply(toxic.stream.lower())

    def update_toxic(self, toxic: Toxic, toxicity: float, attributes: dict[str, int]) -> None:
        toxic.toxicity = toxicity
        toxic.attributes = attributes
        self._apply(toxic.stream.lower(), toxic)

    def remove_toxic(self, toxic: Toxic) -> None:
        self._toxics[toxic.stream.lower()].remove(toxic)
        self._apply(toxic.stream.lower())

    def remove_toxics(self) -> None:
        for stream in STREAMS:
            self._toxics[stream].clear()
            self._apply(stream)

    def _apply(self, stream: str, updated: Toxic | None = None) -> None:
        for connection in list(self.connections):
            connection.apply_toxics(stream, updated)

    # As the API shows it.

    def as_json(self) -> object:
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": [shown_toxic(toxic) for toxic in self.toxics],
        }


def shown_toxic(toxic: Toxic) -> object:
    """A toxic as the API answers it."""
    return {
        "attributes": toxic.attributes,
        "name": toxic.name,
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": single_precision(toxic.toxicity),
    }
