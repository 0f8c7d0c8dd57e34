"""A small HTTP server for load tests: a thread with a loop of its own, answers as it is told."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class LoadServer:
    """What it heard: request line and body of each request. `answer` may be changed any time."""

    port: int = 0
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    status: Callable[[int], int] = lambda _: 200
    delay_s: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def load_server() -> Iterator[LoadServer]:
    """Run one on a free port of loopback."""
    server, ready, over = LoadServer(), threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server, ready, over)))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        over.set()
        thread.join(10)


async def _serve(server: LoadServer, ready: threading.Event, over: threading.Event) -> None:
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await _answer(server, reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    server.port = listening.sockets[0].getsockname()[1]
    ready.set()
    while not over.is_set():
        await asyncio.sleep(0.02)
    listening.close()
    for writer in writers:
        writer.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _answer(
    server: LoadServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One request, and its answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
    server.heard.append((head.split(b"\r\n")[0].decode(), body))
    if server.delay_s:
        await asyncio.sleep(server.delay_s)
    status = server.status(len(server.heard))
    writer.write(b"HTTP/1.1 %d Fine\r\nContent-Length: 2\r\n\r\n{}" % status)
