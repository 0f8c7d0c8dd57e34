"""What a benchmark's proxies lead to: an echo and a source of bytes, in a process of their own.

The source is told how many bytes are wanted, eight bytes big-endian, and sends them.
"""

import asyncio
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PIECE = bytes(1 << 20)
SIZE_BYTES = 8


class Echo(asyncio.Protocol):
    """Sends every piece of bytes back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


def send_bytes(peer: socket.socket) -> None:
    """Answer each request for bytes until the peer is gone."""
    with peer, suppress(OSError):
        while size := peer.recv(SIZE_BYTES, socket.MSG_WAITALL):
            left = int.from_bytes(size)
            while left:
                piece = memoryview(PIECE)[: min(left, len(PIECE))]
                peer.sendall(piece)
                left -= len(piece)


def accept_for_ever(listener: socket.socket) -> None:
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=send_bytes, args=(peer,), daemon=True).start()


def serve(ports: "Connection") -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        echo = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
        source = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=accept_for_ever, args=(source,), daemon=True).start()
        ports.send((echo.sockets[0].getsockname()[1], source.getsockname()[1]))
        await asyncio.Event().wait()

    uvloop.run(work())


@contextmanager
def far_end() -> Iterator[tuple[int, int]]:
    """The ports of the echo and of the source."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs,), daemon=True
    )
    process.start()
    try:
        if not ours.poll(15):
            raise RuntimeError("the far end did not start")
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
