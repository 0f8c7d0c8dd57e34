"""Load for a Toxiproxy, in a process of its own, so that it does not slow what is measured.

    … wedge_load serve            an upstream with replies of 200 kB; prints its port
    … wedge_load hold PORT N      N connections that stay, each asking now and then
    … wedge_load abort PORT PART  8 clients, that part of requests aborted half-way

Each prints a line when it is under way, and ends with its standard input.
"""

import asyncio
import contextlib
import random
import resource
import sys
from collections.abc import Coroutine
from typing import Any

ASK = b"?"
REPLY = b"x" * 200_000
CLIENTS = 8
HALF = 60_000
PATIENCE_S = 3.0


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def serve() -> None:
    """Answer each `?` with a whole reply, and any other byte with itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while asked := await reader.read(1):
                writer.write(REPLY if asked == ASK else asked)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    say(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def hold(port: int, count: int) -> None:
    """Keep `count` connections alive; each is answered once at the start, then every 5 s."""
    gate = asyncio.Semaphore(100)
    up = asyncio.Semaphore(0)

    async def one(seed: int) -> None:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b".")
            await reader.readexactly(1)
        up.release()
        await asyncio.sleep(random.Random(seed).uniform(0, 5))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                writer.write(b".")
                await reader.readexactly(1)
                await asyncio.sleep(5)

    async with asyncio.TaskGroup() as group:
        for seed in range(count):
            group.create_task(one(seed))
        for _ in range(count):
            await up.acquire()
        say("held")


async def abort(port: int, share: float) -> None:
    """Ask for replies over and over, and walk away in the middle of some."""

    async def one(rng: random.Random) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE_S):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(ASK)
                    half = rng.random() < share
                    try:
                        await reader.readexactly(HALF if half else len(REPLY))
                    finally:
                        writer.transport.abort() if half else writer.close()

    say("under way")
    await asyncio.gather(*(one(random.Random(n)) for n in range(CLIENTS)))


async def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve"]:
            work: Coroutine[Any, Any, None] = serve()
        case ["hold", port, count]:
            work = hold(int(port), int(count))
        case ["abort", port, share]:
            work = abort(int(port), float(share))
        case _:
            sys.exit(__doc__)
    task = asyncio.ensure_future(work)
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(sys.argv[1:]))
