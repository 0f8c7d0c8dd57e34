"""What the tests of the Toxiproxy-compatible server share: start one, ask it, be both ends.

The tests play client and upstream themselves with plain blocking sockets, so every byte and every
close is theirs to see.
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

LIMIT_S = 5.0
OURS = [sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1", "--seed", "7"]


def real_program() -> str | None:
    """The real Toxiproxy's server: what GAMEDAY_TOXIPROXY names, or what the PATH has."""
    return os.environ.get("GAMEDAY_TOXIPROXY") or shutil.which("toxiproxy-server")


@dataclass
class Pair:
    """Both ends of one proxied connection."""

    client: socket.socket
    server: socket.socket

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def through(self, size: int = 1) -> float:
        """Seconds until a reply of `size` bytes has come down whole."""
        begun = time.monotonic()
        self.server.sendall(b"x" * size)
        read_exactly(self.client, size)
        return time.monotonic() - begun


class Session:
    """One running server, and one upstream of the test's own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S, trust_env=False
        )
        self.upstream = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.upstream.settimeout(LIMIT_S)
        self.upstream_address = f"127.0.0.1:{self.upstream.getsockname()[1]}"

    def close(self) -> None:
        self.http.close()
        self.upstream.close()

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(method, path, content=b"" if body is None else content)

    def clear(self) -> None:
        for name in self.ask("GET", "/proxies").json():
            self.ask("DELETE", f"/proxies/{name}")

    def proxy(self, name: str = "p") -> int:
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": self.upstream_address}
        made = self.ask("POST", "/proxies", body)
        assert made.status_code == 201, made.text
        return int(made.json()["listen"].rpartition(":")[2])

    def toxic(self, kind: str, stream: str = "downstream", **attributes: int) -> None:
        body = {"type": kind, "stream": stream, "attributes": attributes}
        answer = self.ask("POST", "/proxies/p/toxics", body)
        assert answer.status_code == 200, answer.text

    def remove(self, kind: str, stream: str = "downstream") -> None:
        assert self.ask("DELETE", f"/proxies/p/toxics/{kind}_{stream}").status_code == 204

    @contextmanager
    def pair(self, port: int) -> Iterator[Pair]:
        client = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        server, _ = self.upstream.accept()
        for sock in (client, server):
            sock.settimeout(LIMIT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(client, server)
        try:
            yield pair
        finally:
            pair.close()


@contextmanager
def running(argv: list[str], port_flag: str = "--port") -> Iterator[Session]:
    """A server on a free port, and a session with it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*argv, port_flag, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    session = Session(port)
    try:
        until(lambda: answers(session))
        yield session
    finally:
        session.close()
        process.terminate()
        process.wait(LIMIT_S)


def answers(session: Session) -> bool:
    with suppress(httpx.TransportError):
        return session.ask("GET", "/version").status_code == 200
    return False


def until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Poll until `condition` holds; a deadline passed fails the test."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        got = sock.recv(size - len(data))
        assert got, f"the stream ended after {len(data)} of {size} bytes"
        data += got
    return bytes(data)


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while got := sock.recv(65536):
        data += got
    return bytes(data)


def ending(sock: socket.socket) -> str:
    """How the stream ends: `closed`, `reset`, or `open` when nothing comes for half a second."""
    sock.settimeout(0.5)
    try:
        return "data" if sock.recv(65536) else "closed"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "open"
    finally:
        sock.settimeout(LIMIT_S)


def reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
