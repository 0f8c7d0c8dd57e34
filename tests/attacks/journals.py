"""Runs as an attacker would leave them, and servers and processes that show what was obeyed."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.clock import SystemClock
from gameday.core.secrets.signing import SigningKey
from gameday.evidence.journal import Journal
from tests.attacks.place import Place
from tests.support.events import event_of
from tests.support.signed import KEY, own_key

RUN = "20261128T200000Z-drop-aaaa"
OTHER = "20261128T190000Z-drop-bbbb"
FOREIGN = SigningKey(b"the key of another user, or host")
SECRET = "canary-9f2e"
Event = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Server:
    """A Toxiproxy with one proxy `p` that answers anything else too; it notes what it is asked."""

    url: str
    toxics: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    stuck: bool = False
    moved: bool = False
    """Whether somebody has made its toxics anew on another proxy, `q`."""

    def toxic(self, name: str = "gameday-x-1") -> dict[str, Any]:
        """The undo of a toxic that is there."""
        self.toxics.append(name)
        return {"kind": "toxic", "url": self.url, "proxy": "p", "name": name}

    def proxy(self, name: str) -> dict[str, Any]:
        toxics = [{"name": each} for each in self.toxics if (name == "q") == self.moved]
        return {"name": name, "listen": "", "upstream": "", "enabled": True, "toxics": toxics}

    def answer(self, method: str, path: str) -> tuple[int, object]:
        name = path.rpartition("/")[2]
        if self.stuck and method != "GET":
            return 500, {"error": "stuck"}
        if method == "DELETE" and name in self.toxics and not self.moved:
            self.toxics.remove(name)
            return 204, None
        if path == "/proxies/p":
            return 200, self.proxy("p")
        if path == "/proxies" and method == "GET":
            return 200, {name: self.proxy(name) for name in "pq"}
        return 200, {"version": "2.12.0"}


@contextmanager
def server() -> Iterator[Server]:
    """It runs in a thread, on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode("latin-1")
            there.asked.append(f"{self.command} {self.path} {self.headers.as_string()} {body}")
            status, said = there.answer(self.command, self.path)
            raw = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = handle_one

        def log_message(self, *_: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = Server(f"http://127.0.0.1:{http.server_address[1]}")
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield there
    finally:
        http.shutdown()
        http.server_close()


@contextmanager
def sleeper(token: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the user's, which nobody may end; with a token, a part of a stack."""
    environment = {"PATH": os.environ["PATH"], **({"GAMEDAY_PART": token} if token else {})}
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def called(place: Place, *arguments: str) -> Result:
    """A command in this process, in the place: an attack has a process of its own."""
    os.environ.update({k: v for k, v in place.environment.items() if k.startswith(("HOME", "XDG"))})
    os.environ["GAMEDAY_CANARY"] = SECRET
    os.chdir(place.folder)
    return CliRunner().invoke(main, list(arguments))


def has_key(place: Place, key: SigningKey = KEY) -> Path:
    """The user of the place has signed with this key so far."""
    return own_key(Path(place.environment["XDG_STATE_HOME"]), key)


def write(place: Place, file: str, *events: Event, key: SigningKey | None = None) -> Path:
    """Append to a file of the run, `RUN/journal.jsonl` for instance; signed where a key is given.

    A file that is there goes on as if one writer had written it all.
    """
    path = place.folder / "runs" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    book = Journal(path, SystemClock(), "m1")
    book.key = key
    for event, data in events:
        book.write(event_of(event, **data))
    book.close()
    path.write_bytes(before + path.read_bytes())
    return path


def begun(**more: Any) -> Event:
    return "run.started", {"run": RUN, "controller": None, "allowed": [], **more}


def fault(*undo: Any) -> Event:
    return "fault.injecting", {"id": "f", "undo": list(undo)}


def step(undo: Mapping[str, Any]) -> Event:
    return "step.started", {"step": 1, "undoing": False, "undo": undo}


def part(*undo: Any, name: str = "redis") -> Event:
    return "stack.starting", {"name": name, "undo": list(undo)}


REMOVED: Event = ("fault.removed", {"id": "f", "gone": True})
ENDED: Event = ("run.ended", {"ended": "completed"})


def is_foreign(result: Result) -> None:
    """It was listed with the way out, and nobody can take the run for clean."""
    assert result.exit_code == 6, (result.exit_code, result.output)
    assert "--trust" in result.output, result.output
    assert "Traceback" not in result.output, result.output


def said(result: Result) -> str:
    """What it printed, as one line: a table breaks its cells."""
    return " ".join(result.output.split())
