"""The server that a client is measured by: it answers every request at once.

`python -m gameday.traffic.capacity.echo_server` says its port on stdout and ends when its stdin
closes. Each piece of bytes is answered as one request: the requests of a calibration fit one
segment.
"""

import asyncio
import sys
from typing import Final, cast

from gameday.core.network.event_loop import run

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\r\n"
    b'{"issueId":"0123456789abcdef0123","remaining":77}'
)


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's, not their classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await told.read()


if __name__ == "__main__":
    run(_serve(), fast=True)
