"""The server of a query API: a socket of this machine's own address, and its end."""

import socket
from collections.abc import Callable
from typing import Final

import uvicorn

from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.core.network.bounded_connection import MOST_CONNECTIONS, BoundedConnection
from gameday.telemetry.query_api.app import QueryApi
from gameday.telemetry.query_api.settings import PORT, QueryApiSettings

LOOPBACK: Final = "127.0.0.1"
CLOSE_S: Final = 1  # for answers under way, which nobody waits for longer


def bind(port: int | None) -> socket.socket:
    """A socket that listens on this machine alone. Raises UsageError where it cannot.

    0 is any port that is free, and None the usual one if it is free, else any.
    """
    problem = ""
    for each in (PORT, 0) if port is None else (port,):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((LOOPBACK, each))
            bound.listen()  # two may bind to one port, and only one of them can listen
        except OSError as error:
            bound.close()
            problem = error.strerror or str(error)
        else:
            return bound
    raise UsageError(
        f"the query API cannot listen at {LOOPBACK}:{port}: {problem}",
        help="another port; 0 is any that is free",
    )


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
        config = uvicorn.Config(
            self._api.app(),
            http=BoundedConnection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=CLOSE_S,
            h11_max_incomplete_event_size=32 * 1024,
        )
        self._server = uvicorn.Server(config)
        self._server.should_exit = self._closed
        ready()
        await self._server.serve(sockets=[self._socket])
