"""The server of a query API: a socket of this machine's own address, and its end."""

import socket
from collections.abc import Callable
from typing import Final

import uvicorn

from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.core.network.bounded_server import bounded_config
from gameday.core.network.listen import listen_at
from gameday.telemetry.query_api.app import QueryApi
from gameday.telemetry.query_api.settings import PORT, QueryApiSettings

LOOPBACK: Final = "127.0.0.1"
LARGEST_HEAD: Final = 32 * 1024  # bytes of a request that is not whole; a dashboard asks at length
CLOSE_S: Final = 1  # for answers under way, which nobody waits for longer


def bind(port: int | None) -> socket.socket:
    """A socket that listens on this machine alone. Raises UsageError where it cannot.

    0 is any port that is free, and None the usual one if it is free, else any.
    """
    try:
        return listen_at(LOOPBACK, (PORT, 0) if port is None else (port,))
    except OSError as error:
        raise UsageError(
            f"the query API cannot listen at {LOOPBACK}:{port}: {error.strerror or error}",
            help="another port; 0 is any that is free",
        ) from error


def url_of(bound: socket.socket) -> str:
    """The address that dashboards and clients are given."""
    return f"http://{LOOPBACK}:{bound.getsockname()[1]}"


class QueryApiServer:
    """A query API, listening from the moment that it is made."""

    def __init__(self, settings: QueryApiSettings, bound: socket.socket) -> None:
        self._api = QueryApi(settings, SystemClock())
        self._socket = bound
        self._server: uvicorn.Server | None = None
        self._closed = False
        if settings.is_over:
            self._api.read_all()

    @property
    def url(self) -> str:
        """The address that dashboards and clients are given."""
        return url_of(self._socket)

    def close(self) -> None:
        """End it."""
        self._closed = True
        if self._server is not None:
            self._server.should_exit = True

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until a signal, or until it is closed."""
        config = bounded_config(self._api.app(), close_s=CLOSE_S, request_bytes=LARGEST_HEAD)
        self._server = uvicorn.Server(config)
        self._server.should_exit = self._closed
        ready()
        await self._server.serve(sockets=[self._socket])
