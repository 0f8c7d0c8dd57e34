"""The one server that every load generator is pointed at, and someone who watches it from aside.

Debian's nginx with one worker answers a small JSON body from memory, and accepts all connections
that wait at once, not one between two answers. The watcher is a process of its own with one
connection that asks two hundred times a second: what a client sees who has nothing else to do. It
is what reported latencies are held against while the server runs.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil

BODY = b'{"userId":12345,"couponCode":"COUPON"}'
ANSWER = '{"issueId":"0123456789abcdef0123","remaining":77}'
PATH = "/api/v1/coupons/issue"
START_LIMIT_S = 10
WATCH_EVERY_S = 0.005
CONFIG = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; user {user};
worker_rlimit_nofile 65536;
events {{ worker_connections 20000; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs: its port, and the processes that answer."""

    port: int
    workers: tuple[psutil.Process, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def stop_for(self, seconds: float) -> float:
        """Stop it in the middle of everything; how long it really was, in seconds."""
        for worker in self.workers:
            worker.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            time.sleep(seconds)
        finally:
            for worker in self.workers:
                worker.send_signal(signal.SIGCONT)
        return time.monotonic() - began


def nginx() -> str | None:
    """Where nginx is; Debian puts it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def target(program: str) -> Iterator[Target]:
    """nginx, from when it answers."""
    with tempfile.TemporaryDirectory() as folder:
        port, path = free_port(), Path(folder)
        user = "root" if os.geteuid() == 0 else "nobody"
        text = CONFIG.format(folder=folder, port=port, answer=ANSWER, user=user)
        (path / "nginx.conf").write_text(text)
        argv = [program, "-p", folder, "-c", str(path / "nginx.conf")]
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as process:
            try:
                _await(port, process)
                yield Target(port, tuple(psutil.Process(process.pid).children()))
            finally:
                process.terminate()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            raise RuntimeError(f"nginx does not answer: {said}")
        time.sleep(0.02)


def request() -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


def _watch(port: int, pipe: Connection) -> None:
    """Ask until told to stop, then tell every time in ms."""
    took_ms = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = request()
        while not pipe.poll(WATCH_EVERY_S):
            began = time.perf_counter()
            connection.sendall(raw)
            connection.recv(4096)
            took_ms.append((time.perf_counter() - began) * 1000)
    pipe.send(took_ms)


@contextmanager
def watched(port: int) -> Iterator[list[float]]:
    """The p50 and p95 that the watcher saw, in the list afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_watch, args=(port, theirs))
    process.start()
    found: list[float] = []
    try:
        yield found
    finally:
        ours.send("stop")
        took_ms = (ours.recv() if ours.poll(10) else []) or [float("nan")]
        found.extend(float(p) for p in np.percentile(took_ms, (50, 95)))
        process.join(5)
