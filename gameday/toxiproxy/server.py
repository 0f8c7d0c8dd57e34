"""The server as a whole: proxies from a file, the API's listener, and an orderly end."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import StackError
from gameday.toxiproxy.api import Api
from gameday.toxiproxy.config import create_all
from gameday.toxiproxy.http import ApiProtocol
from gameday.toxiproxy.proxies import Proxies
from gameday.toxiproxy.shared import Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the API listens, and the proxies to start with."""

    host: str = "localhost"
    port: int = 8474
    config: Path | None = None


async def serve(
    options: Options, shared: Shared, listening: Callable[[tuple[str, int]], None]
) -> None:
    """Serve until SIGTERM or SIGINT; tell `listening` the API's address once it has one.

    Raises UsageError for a config that cannot be had, StackError for an address that cannot.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    proxies = Proxies(shared)
    clients: set[ApiProtocol] = set()
    if options.config is not None:
        await create_all(proxies, options.config)
    api = Api(proxies, shared)
    server = await _listen(lambda: ApiProtocol(api, clients), options)
    host, port = server.sockets[0].getsockname()[:2]
    listening((host, port))
    await stopped.wait()
    server.close()
    for client in list(clients):
        client.close()
    await proxies.close()
    shared.alarms.close()


async def _listen(factory: Callable[[], ApiProtocol], options: Options) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(factory, options.host, options.port)
    except OSError as error:
        raise StackError(
            f"{options.host}:{options.port}: the API cannot listen: {error}",
            help="choose another --port, 0 for any",
        ) from error
