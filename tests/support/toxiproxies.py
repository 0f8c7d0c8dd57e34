"""A real embedded Toxiproxy server as a child process, for tests that need one."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gameday.injection.toxiproxy_client import Toxiproxy


@asynccontextmanager
async def toxiproxy(*options: str) -> AsyncIterator[str]:
    """Its base URL; the server, started with these options, ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gameday.toxiproxy",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if process.stdout is None:
        raise RuntimeError("no pipe")
    try:
        host, port = json.loads(await process.stdout.readline())["listening"]
        yield f"http://{host}:{port}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def redis_like(answer: bytes = b"-NOAUTH Authentication required.\r\n") -> AsyncIterator[int]:
    """A server that answers whatever it is sent with `answer`; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(256):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def toxic_names(server: Toxiproxy, proxy: str) -> list[str] | None:
    """The names of a proxy's toxics, None when there is no such proxy."""
    found = await server.proxy(proxy)
    return None if found is None else found.toxic_names
