"""Tiny services to start, a system file for them, and a look at what a stack left behind."""

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from gameday.core.clock import SystemClock
from gameday.injection.process.process import alive
from gameday.spec.system import System
from gameday.spec.undos import ProcessUndo, Undo, from_json
from gameday.stacks.stack import StackWorkdir

SERVICE = """
import http.server, os, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = repr(sorted(os.environ)).encode()
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
print("the password is", os.environ.get("REDIS_URL", "none"), flush=True)
address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Answers).serve_forever()
"""
BROKEN = """
import os, sys
print("looking at", os.environ.get("SECRET"))
print("no such table: coupons", file=sys.stderr)
sys.exit(3)
"""
MUTE = "import threading; threading.Event().wait(60)"

BOTH = {"REDIS_URL": "{redis}", "DATABASE_URL": "{postgres}"}


def system_of(folder: Path, program: str = SERVICE, **env: str) -> System:
    """A system that runs `program` from `folder`, told its port and what `env` says."""
    (folder / "service.py").write_text(program)
    return System.model_validate(document_of(**env))


def document_of(**env: str) -> dict[str, Any]:
    """The system file of such a service, as data; JSON of it is YAML."""
    return {
        "name": "tiny",
        "base_url": "http://127.0.0.1:8080",
        "metrics": ["http://127.0.0.1:8080/metrics"],
        "start": {
            "argv": ["python", "service.py"],
            "env": {"PORT": "{port}", **env},
            "ready": "/healthz",
        },
        "requests": {"issue": {"post": "/issue", "outcomes": {"issued": {"status": 200}}}},
        "audit": {"get": "/audit"},
        "proxies": {"redis": "redis", "postgres": "postgres"},
    }


class Ground:
    """Where a stack is put up in a test, and all that it announced."""

    def __init__(self, folder: Path, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.announced: list[tuple[str, Undo]] = []
        self.progress: list[tuple[list[str], list[str]]] = []
        self.site = StackWorkdir(
            work_dir, folder / "logs", SystemClock(), self._announce, folder, self._progress
        )

    def _progress(self, well: Sequence[str], waiting: Sequence[str]) -> None:
        self.progress.append((list(well), list(waiting)))

    def _announce(self, name: str, records: list[Undo]) -> None:
        self.announced += [(name, record) for record in records]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.announced]

    def left(self) -> list[str]:
        """What is still there of it."""
        return [*(["folder"] if self.work_dir.exists() else []), *running(self.records())]

    def records(self) -> list[dict[str, Any]]:
        return [record.as_json() for _, record in self.announced]


def running(records: list[dict[str, Any]]) -> list[str]:
    """The names of the announced processes that run."""
    undos = map(from_json, records)
    return [undo.name for undo in undos if isinstance(undo, ProcessUndo) and alive(undo)]


def records_in(path: Path) -> list[dict[str, Any]]:
    """The records that a child process announced, a JSON line each."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def answers(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether it comes to hold in time."""
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(within_s * 1e9)
    while not holds():
        if clock.now_ns() > deadline_ns:
            return False
        clock.pause(0.02)
    return True


async def is_ended(session: "asyncpg.Connection[asyncpg.Record]", within_s: float = 10.0) -> bool:
    """True once the client has seen the end of its session.

    In the moment between the server's last words and that, a query fails in any of asyncpg's ways.
    """
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(within_s * 1e9)
    while not session.is_closed() and clock.now_ns() < deadline_ns:
        await clock.sleep(0.02)
    return session.is_closed()
