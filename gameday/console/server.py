"""The server of a console: its socket, its certificate, its links, and its end."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from gameday.console.access import ConsoleRole, Sessions
from gameday.console.app import Console
from gameday.console.certificate import TlsFiles, given, of_our_own
from gameday.console.feed import Feed
from gameday.console.guard import LOOPBACK
from gameday.console.orders import ControlLine
from gameday.console.settings import LINGER_S, ListenSettings, bind
from gameday.core.clock import NS
from gameday.core.network.bounded_server import bounded_config
from gameday.evidence.sealed_box import Box

LONGEST_S: Final = 8 * 3600.0
LARGEST_HEAD: Final = 16 * 1024  # bytes of a request that is not whole
CLOSE_S: Final = 2  # for streams to end, which nobody waits for longer
LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ConsoleLinks:
    """The links by role, each with its token in the fragment; the fingerprint of TLS, if any."""

    port: int
    links: Mapping[str, str]
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """One console: the run that it shows, its tokens by role, and the drill's box.

    `lingers` says that it ends by itself some time after the run and the last page. `language` is
    the one that the page is in until a person switches; None: that of the browser.
    """

    run_dir: Path
    listen: ListenSettings
    tokens: Mapping[ConsoleRole, str]
    box: Box | None = None
    lingers: bool = True
    language: str | None = None


class ConsoleServer:
    """A console, listening from the moment that it is made."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        listen = settings.listen
        self._socket: socket.socket = bind(listen)
        port: int = self._socket.getsockname()[1]
        self._tls = _tls(listen)
        feed = Feed(settings.run_dir, settings.box)
        self.console = Console(
            feed,
            Sessions(settings.tokens),
            ControlLine(settings.run_dir, settings.box),
            port,
            secure=self._tls is not None,
            language=settings.language,
        )
        self.links = _links(settings, port, self._tls)
        self.console.links = {
            role: link for role, link in self.links.links.items() if role != "facilitator"
        }
        self._parent_gone = False
        self._server: uvicorn.Server | None = None

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.should_exit = True

    def parent_is_gone(self) -> None:
        """Whoever started it has ended."""
        self._parent_gone = True

    async def serve(self, ready: Callable[[ConsoleLinks], None]) -> None:
        """Serve until a signal, or until nobody looks any more after the run."""
        tls = self._tls
        config = bounded_config(
            self.console.app(_hosts(self._settings.listen)),
            close_s=CLOSE_S,
            request_bytes=LARGEST_HEAD,
            ssl_certfile=tls.cert if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        server = self._server = uvicorn.Server(config)
        self.console.closing = lambda: server.should_exit
        watching = asyncio.create_task(self._watch(server, ready))
        try:
            await server.serve(sockets=[self._socket])
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, server: uvicorn.Server, ready: Callable[[ConsoleLinks], None]) -> None:
        clock = self.console.clock
        while not server.started:
            await clock.sleep(0.02)
        ready(self.links)
        began_ns = clock.now_ns()
        while not self._is_over(clock.now_ns() - began_ns):
            await clock.sleep(LOOK_S)
        server.should_exit = True

    def _is_over(self, age_ns: int) -> bool:
        if not self._settings.lingers:
            return False
        console = self.console
        left_s = (console.clock.now_ns() - console.left_ns) / NS
        nobody = console.streams == 0 and left_s > LINGER_S
        ended = self._parent_gone or console.feed.over_ns is not None
        return age_ns > LONGEST_S * NS or (nobody and ended)


def _tls(listen: ListenSettings) -> TlsFiles | None:
    if not listen.secure:
        return None
    if listen.cert is not None and listen.key is not None:
        return given(listen.cert, listen.key)
    return of_our_own(_hosts(listen))


def _hosts(listen: ListenSettings) -> frozenset[str]:
    """The names by which the pages may be asked for."""
    return frozenset({*LOOPBACK, *listen.hosts, listen.address})


def _links(settings: ConsoleSettings, port: int, tls: TlsFiles | None) -> ConsoleLinks:
    listen = settings.listen
    name = listen.hosts[0] if listen.hosts else listen.address
    host = f"[{name}]" if ":" in name else name
    scheme = "https" if tls is not None else "http"
    links = {
        str(role): f"{scheme}://{host}:{port}/#{token}" for role, token in settings.tokens.items()
    }
    return ConsoleLinks(port, links, tls.fingerprint if tls is not None else "")
