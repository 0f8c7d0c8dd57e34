"""A real Toxiproxy behind a door that gets in the way: it hangs, refuses or pretends, as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.spec.undos import ProxyState, ToxicState
from tests.support.toxiproxies import redis_like, toxiproxy

Whim = Literal["pass", "hang", "fail", "pretend"]
Rule = Callable[[str, str], Whim]
SOMEBODYS = "somebody-elses"


class Door:
    """What stands before the server. `rule` says what becomes of (method, path)."""

    def __init__(self, behind: str) -> None:
        self.behind = Toxiproxy(behind)
        self.rule: Rule = lambda method, path: "pass"
        self.asked: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self, begins: str) -> list[str]:
        """What was asked that begins so."""
        return [each for each in self.asked if each.startswith(begins)]

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections, and let go of those that hang."""
        assert self._server is not None
        self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            body = await reader.readexactly(_length(head))
            self.asked.append(f"{method} {path} {body.decode()}".rstrip())
            status, answer = await self._answer(method, path, json.loads(body) if body else None)
            raw = b"" if answer is None else json.dumps(answer).encode()
            told = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(raw)}\r\n"
            writer.write(f"{told}Connection: close\r\n\r\n".encode() + raw)
            await writer.drain()
        except (
            asyncio.CancelledError,
            asyncio.IncompleteReadError,
            ConnectionError,
            ToxiproxyError,  # the server behind is being restarted
        ):
            writer.transport.abort()
        finally:
            self._busy.discard(task)
            writer.close()

    async def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match self.rule(method, path):
            case "hang":
                await asyncio.Event().wait()
            case "fail":
                return 500, {"error": "it is stuck"}
            case "pretend":
                return 204, None
            case _:
                pass
        return await self.behind.call(method, path, body)


def _length(head: str) -> int:
    found = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
    return int(found[0].partition(":")[2]) if found else 0


@asynccontextmanager
async def door(behind: str) -> AsyncIterator[Door]:
    """The door before the server at `behind`."""
    one = Door(behind)
    await one.open()
    try:
        yield one
    finally:
        await one.shut()


@asynccontextmanager
async def cache_behind_door() -> AsyncIterator[Door]:
    """With the proxy `cache`, which has a toxic of somebody else's, and `other`, switched off."""
    async with redis_like() as upstream, toxiproxy() as url, door(url) as one:
        where = ProxyState(listen="127.0.0.1:0", upstream=f"127.0.0.1:{upstream}", enabled=True)
        await one.behind.create("cache", where)
        await one.behind.add_toxic("cache", ToxicState(type="noop", name=SOMEBODYS))
        await one.behind.create("other", where)  # gets a port
        await one.behind.enable("other", enabled=False)
        await one.behind.add_toxic("other", ToxicState(type="noop", name=SOMEBODYS))
        yield one
