"""Files, servers and proxies that a plan is asked about."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from gameday.spec.inputs import Inputs, load_inputs
from gameday.spec.undos import Undo, from_json
from tests.support.events import event_of
from tests.support.signed import signed
from tests.support.stack_parts import document_of

DROP: dict[str, Any] = {
    "name": "drop",
    "campaign": {"coupon": "C", "stock": 100, "users": 10_000},
    "traffic": {
        "even": {"executor": "constant-arrival-rate", "rate": "50/s", "duration": "20s"},
    },
}
SLOW = {"fault": "network.latency", "target": "redis", "latency": "300ms", "at": "5s"}


def inputs_of(folder: Path, system: Mapping[str, Any] | None = None, **experiment: Any) -> Inputs:
    """Files with these keys, loaded; JSON is YAML."""
    (folder / "system.yaml").write_text(json.dumps({**document_of(), **(system or {})}))
    (folder / "drop.yaml").write_text(json.dumps({**DROP, **experiment}))
    return load_inputs(str(folder / "drop.yaml"), str(folder / "system.yaml"))


def slow(**more: Any) -> list[dict[str, Any]]:
    return [{**SLOW, "duration": "5s", **more}]


async def post(url: str, path: str, body: Mapping[str, Any]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url + path, json=body)
    assert answer.status_code in (200, 201), answer.text


async def make(url: str, name: str, upstream: int) -> None:
    where = {"listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
    await post(url, "/proxies", {"name": name, "enabled": True, **where})


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@asynccontextmanager
async def serving(pages: Mapping[str, tuple[int, str]]) -> AsyncIterator[str]:
    """A server of these pages: path → status and body; anything else is not found."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, body = pages.get(head.split()[1], (404, ""))
        raw = body.encode()
        lines = f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        writer.write(lines.encode() + raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def wedged() -> AsyncIterator[str]:
    """A Toxiproxy as it is when its lock is held for ever: `/version` answers, nothing else."""
    body = json.dumps({"version": "2.12.0"})
    shut = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.split()[1] != "/version":
            await shut.wait()
        else:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        shut.set()
        server.close()
        await server.wait_closed()


PAGES = """
import http.server, json, sys
pages = json.loads(sys.argv[1])
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = pages.get(self.path, "").encode()
        self.send_response(200 if self.path in pages else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def own_server(pages: Mapping[str, str]) -> Iterator[str]:
    """The same in a process of its own, for commands."""
    process = subprocess.Popen(
        [sys.executable, "-c", PAGES, json.dumps(pages)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def left_run(folder: Path, base_url: str, undo: Undo) -> None:
    """A run that was killed with a fault in and a step done."""
    folder.mkdir(parents=True)
    journal = signed(folder / "journal.jsonl")
    journal.write(event_of("run.started", run=folder.name))
    journal.write(event_of("stack.ready", addresses={"base_url": base_url}))
    journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
    request = from_json({"kind": "request", "action": "use-redis"})
    journal.write(event_of("step.started", step=1, undo=request.as_json()))
    journal.close()
