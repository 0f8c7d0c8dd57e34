"""The server as a whole: proxies from a file, the API's listener, and an end that never waits.

An orderly end takes half a second. Whatever may hold it up (a name that nobody resolves, a client
in the middle of a request), the process is gone within `END_LIMIT_S`.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gameday.core.errors import StackError, UsageError
from gameday.toxiproxy.admission import Admission, is_all_loopback
from gameday.toxiproxy.api import Api
from gameday.toxiproxy.clients import Clients
from gameday.toxiproxy.config import create_all
from gameday.toxiproxy.proxies import ProxyCollection
from gameday.toxiproxy.settings import Shared

END_LIMIT_S = 1.0  # an ending takes milliseconds; longer, and something hangs
BACKLOG = 128  # short: whoever connects in a storm is slowed by it, and nobody waits long in it


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of the server: the API's address, the proxies to start with, and who may ask."""

    host: str = "localhost"
    port: int = 8474
    config: Path | None = None
    admission: Admission = field(default_factory=Admission)


async def serve(
    options: ServerOptions, shared: Shared, listening: Callable[[tuple[str, int]], None]
) -> None:
    """Serve until SIGTERM or SIGINT; tell `listening` the API's address once it has one.

    Raises UsageError for a config that cannot be had, StackError for an address that cannot.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopped)
    proxies = ProxyCollection(shared)
    if options.config is not None:
        await create_all(proxies, options.config)
    api = Api(proxies, shared, options.admission)
    clients = Clients(api, shared.clock, shared.clients_max)
    server = await _listen(clients, options)
    found = [sock.getsockname()[:2] for sock in server.sockets]
    options.admission.local = is_all_loopback(str(host) for host, _ in found)
    listening(found[0])
    await stopped.wait()
    server.close()
    await proxies.close()
    await clients.close()
    shared.alarms.close()


def _stop(stopped: asyncio.Event) -> None:
    """Begin to end, and see to it that it does end."""
    if not stopped.is_set():
        stopped.set()
        force = threading.Timer(END_LIMIT_S, os._exit, [0])
        force.daemon = True
        force.start()


async def _listen(clients: Clients, options: ServerOptions) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(clients, options.host, options.port, backlog=BACKLOG)
    except UnicodeError as error:
        raise UsageError(f"--host: {options.host[:100]!r} is no name of a host: {error}") from error
    except OSError as error:
        raise StackError(
            f"{options.host}:{options.port}: the API cannot listen: {error}",
            help="choose another --port, 0 for any",
        ) from error
