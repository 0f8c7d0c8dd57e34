"""The parts of a small real setting that can be put together wrongly, for `tests.matrices.broken`.

A store (a real Redis, or a server with a protocol of its own), Toxiproxies (ours, and the real one
where it can be had), a service that asks the store before it issues a coupon, and an HTTP server
that stands before a Toxiproxy's API and does not do what it is told.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from gameday.core.clock import SystemClock
from gameday.stacks.binaries import redis_server
from tests.support.sut_stores import free_port

CLOCK = SystemClock()
REAL = Path(os.environ.get("GAMEDAY_TOXIPROXY", "/tmp/toxi/bin212/server"))
EDGES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 1.0, 2.0)
Reply = tuple[int, bytes] | None
Handler = Callable[[str, str, bytes], Awaitable[Reply]]
Address = tuple[str, int] | str


async def until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 30) -> None:
    """Poll it. Raises TimeoutError."""
    deadline = monotonic() + within_s
    while not await condition():
        if monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        await CLOCK.sleep(0.1)


@asynccontextmanager
async def web(handler: Handler) -> AsyncIterator[int]:
    """An HTTP/1.1 server; its port. A handler that returns None hangs up without an answer."""
    open_: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            while await _one_request(reader, writer, handler):
                pass
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            open_.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(open_):
            writer.transport.abort()
        await server.wait_closed()


async def _one_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = head.split(" ", 2)
    lengths = [line for line in head.split("\r\n") if line.lower().startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
    reply = await handler(method, path, body)
    if reply is None:
        return False
    status, raw = reply
    length = "" if status == 204 else f"Content-Length: {len(raw)}\r\n"
    writer.write(f"HTTP/1.1 {status} said\r\n{length}\r\n".encode() + raw)
    await writer.drain()
    return True


@dataclass
class Issuer:
    """A service that asks its store for every coupon; each part of that can be put wrong."""

    address: Address
    question: bytes = b"PING\r\n"
    fresh: bool = False  # a new connection for every question
    asks: Callable[[int], bool] = lambda _k: True
    own_delay_s: Callable[[float], float] = lambda _t: 0.0
    metric: str = "honest"  # constant, other (of another dependency) or dead (no answer)
    rows: dict[int, str] = field(default_factory=dict)
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    _asked: int = 0
    _took_s: list[float] = field(default_factory=list)

    async def handle(self, method: str, path: str, body: bytes) -> Reply:
        if path == "/metrics":
            return None if self.metric == "dead" else (200, self._metrics().encode())
        if method == "GET":
            listed = [{"userId": user, "issueId": name} for user, name in self.rows.items()]
            return 200, json.dumps({"code": "DROP", "stock": 100000, "rows": listed}).encode()
        return await self._issue(json.loads(body)["user"])

    async def _issue(self, user: int) -> Reply:
        self._asked += 1
        await CLOCK.sleep(self.own_delay_s(monotonic()))
        if self.asks(self._asked):
            try:
                await self.ask()
            except (OSError, TimeoutError):
                return 503, b'{"error": "the store does not answer"}'
        if user in self.rows:
            return 409, b'{"error": "again"}'
        self.rows[user] = f"c{len(self.rows)}"
        return 200, json.dumps({"coupon": {"id": self.rows[user]}}).encode()

    async def ask(self) -> None:
        """One question to the store, over a connection kept from before where there is one."""
        begun = monotonic()
        async with asyncio.timeout(2.0):
            reader, writer = self._idle.pop() if self._idle else await self._connect()
            try:
                writer.write(self.question)
                if not await reader.read(100_000):
                    raise ConnectionResetError
            except BaseException:
                writer.transport.abort()
                raise
        if self.fresh:
            writer.transport.abort()
        else:
            self._idle.append((reader, writer))
        self._took_s.append(monotonic() - begun)

    async def fill_pool(self, size: int) -> None:
        """Open connections now, to be used from now on."""
        opened = [await self._connect() for _ in range(size)]
        self._idle += opened

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.address, str):
            return await asyncio.open_unix_connection(self.address)
        return await asyncio.open_connection(*self.address)

    def close(self) -> None:
        while self._idle:
            _, writer = self._idle.pop()
            writer.transport.abort()

    def _metrics(self) -> str:
        took = [0.0015] * len(self._took_s) if self.metric == "constant" else self._took_s
        name = "elsewhere" if self.metric == "other" else "store"
        labels = f'dependency="{name}"'
        lines = [
            f'dependency_seconds_bucket{{{labels},le="{edge:g}"}} {sum(t <= edge for t in took)}'
            for edge in EDGES_S
        ]
        lines.append(f'dependency_seconds_bucket{{{labels},le="+Inf"}} {len(took)}')
        return "\n".join(["# TYPE dependency_seconds histogram", *lines]) + "\n"


@dataclass
class Toxi:
    """One Toxiproxy as a child process, and what is asked of its API directly."""

    url: str
    process: asyncio.subprocess.Process
    client: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=5, verify=False)
    )

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.client.request(method, self.url + path, json=body)
        return answer.json() if answer.content else None

    async def proxy(self, name: str, upstream: int) -> int:
        """A new proxy to a port of this host; the port it listens on."""
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        made = await self.ask("POST", "/proxies", body)
        return int(made["listen"].rpartition(":")[2])

    async def broken(self) -> str:
        """The name of gameday's toxic on any proxy, "down" when one is disabled, else ""."""
        try:
            proxies = await self.ask("GET", "/proxies")
        except httpx.HTTPError:
            return ""
        for proxy in proxies.values():
            if not proxy["enabled"]:
                return "down"
            for toxic in proxy["toxics"]:
                if toxic["name"].startswith("gameday-"):
                    return str(toxic["name"])
        return ""

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.client.aclose()


async def start_toxi(*, real: bool = False, port: int = 0) -> Toxi:
    """Ours, or the real one."""
    if not real:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gameday.toxiproxy", "--port", str(port)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if process.stdout is None:
            raise RuntimeError("no pipe")
        host, port = json.loads(await process.stdout.readline())["listening"]
        return Toxi(f"http://{host}:{port}", process)
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(REAL), "-host", "127.0.0.1", "-port", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    toxi = Toxi(f"http://127.0.0.1:{port}", process)

    async def answers() -> bool:
        try:
            return bool(await toxi.ask("GET", "/version"))
        except httpx.HTTPError:
            return False

    await until(answers, "the real Toxiproxy")
    return toxi


@dataclass(frozen=True)
class Redis:
    """A real Redis: its port, and its socket in the file system."""

    port: int
    path: str


@asynccontextmanager
async def real_redis(password: str = "") -> AsyncIterator[Redis]:
    """A Redis of its own."""
    folder = tempfile.mkdtemp(prefix="gameday-broken-")
    redis = Redis(free_port(), f"{folder}/redis.sock")
    process = await asyncio.create_subprocess_exec(
        *(str(redis_server().path), "--port", str(redis.port), "--bind", "127.0.0.1"),
        *("--unixsocket", redis.path, "--save", "", "--dir", folder, "--requirepass", password),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def answers() -> bool:
        return Path(redis.path).exists()

    try:
        await until(answers, "Redis")
        yield redis
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def mystery() -> AsyncIterator[int]:
    """A store with a protocol of its own, which hangs up on whoever does not speak it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.read(100)).startswith(b"tell me"):
                writer.write(b"\x07yes")
        except OSError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


Forward = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
Lie = Callable[[str, str, bytes, Forward], Awaitable[Reply]]


@asynccontextmanager
async def liar(behind: str, lie: Lie) -> AsyncIterator[str]:
    """A server before an API; `lie` answers for it, and may ask it. Its URL."""
    async with httpx.AsyncClient(trust_env=False, timeout=5, verify=False) as client:

        async def forward(method: str, path: str, body: bytes) -> tuple[int, bytes]:
            answer = await client.request(method, behind + path, content=body)
            return answer.status_code, answer.content

        async def handle(method: str, path: str, body: bytes) -> Reply:
            return await lie(method, path, body, forward)

        async with web(handle) as port:
            yield f"http://127.0.0.1:{port}"


def changed(body: bytes, **values: Any) -> bytes:
    """A JSON object with some values put otherwise."""
    return json.dumps({**json.loads(body), **values}).encode()


def adds_toxic(method: str, path: str) -> bool:
    """Whether this call of the API puts a toxic in."""
    return method == "POST" and path.endswith("/toxics")


def told(result: Mapping[str, Any]) -> list[str]:
    """What a result says of each fault."""
    return [fault["injected"] for fault in result["faults"]]
