"""A server to misbehave to, byte by byte: started alone, watched, and ended within its time.

Shared by the tests of the server's manners and by the attacks on it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 10.0
ENDS_WITHIN_S = 2.0


def patience(within_s: float) -> float:
    """`within_s` on a machine that has nothing else to do, longer on one that is overloaded."""
    return within_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as it came."""

    status: int
    head: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `port` is its API's."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), LIMIT_S)
        sock.settimeout(LIMIT_S)
        return sock

    def say(self, raw: bytes) -> list[Answer]:
        """Send some bytes and no more, and return all answers to them."""
        with self.connect() as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            return answers_in(read_all(sock))

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask once; `host` is loopback unless it is given."""
        given = {"host": "127.0.0.1", "content-length": str(len(body)), **(headers or {})}
        lines = [f"{name}: {value}" for name, value in given.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "Connection: close"])
        answers = self.say(head.encode("utf-8") + b"\r\n\r\n" + body)
        assert answers, f"no answer to {method} {path}"
        return answers[0]

    def proxies(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(self.ask("GET", "/proxies").body)
        return found

    def proxy(self, name: str, upstream: str) -> int:
        """Make a proxy, and return its port."""
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream}
        made = self.ask("POST", "/proxies", json.dumps(body).encode())
        assert made.status == 201, made
        return int(json.loads(made.body)["listen"].rpartition(":")[2])

    def slowest_s(self, times: int = 20) -> float:
        """The longest that another client waits for an answer."""
        worst_s = 0.0
        for _ in range(times):
            begun_s = time.monotonic()
            assert self.ask("GET", "/version").status == 200
            worst_s = max(worst_s, time.monotonic() - begun_s)
        return worst_s

    def memory_mb(self) -> float:
        """How much memory it has."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def files(self) -> int:
        """How many files it has open, connections among them."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: it must end by itself, well, and in time."""
        begun_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(LIMIT_S)
        took_s = time.monotonic() - begun_s
        assert code == 0, f"exit {code}: {self.log.read_text()[-2000:]}"
        assert took_s < patience(ENDS_WITHIN_S), f"it took {took_s:.1f} s to end"


@contextmanager
def serving(folder: Path, *options: str, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server with these options, which must not have been in trouble when the block ends."""
    log = folder / "toxiproxy.log"
    argv = [sys.executable, "-m", "gameday.toxiproxy", "--host", host, "--port", "0", *options]
    with (
        log.open("wb") as file,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=file) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text()
            server = Server(process, int(json.loads(line)["listening"][1]), log)
            yield server
            if process.poll() is None:
                server.end()
            assert "Traceback" not in log.read_text(), log.read_text()[-3000:]
        finally:
            process.kill()


def read_all(sock: socket.socket) -> bytes:
    """Everything until the end of the stream, or until it is reset."""
    data = bytearray()
    try:
        while got := sock.recv(65536):
            data += got
    except ConnectionResetError:
        pass
    return bytes(data)


def answers_in(raw: bytes) -> list[Answer]:
    """The answers that a stream holds."""
    found = []
    while raw:
        head, ended, raw = raw.partition(b"\r\n\r\n")
        assert ended, f"half an answer: {head!r}"
        text = head.decode("latin-1")
        lengths = [line for line in text.lower().splitlines() if line.startswith("content-length:")]
        length = int(lengths[0].partition(":")[2]) if lengths else 0
        assert len(raw) >= length, f"half a body: {text}"
        found.append(Answer(int(text.split()[1]), text, raw[:length]))
        raw = raw[length:]
    return found
