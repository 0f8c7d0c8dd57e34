"""Runs of the foreign shop whose fault is a command, which switches the shop off.

The shop is `foreign_shop.py` behind a small relay of this file, which answers 503 to every claim
while the file `cut` is there: something that no driver of gameday could do.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LATE_S = 30.0


async def relay(folder: Path, port: int) -> None:
    """Pass requests on, one a connection; while `cut` is there, refuse those that claim."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await _head(reader):
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                body = await reader.readexactly(length) if length else b""
                if (folder / "cut").exists() and b"/claim" in head.split(b"\r\n", 1)[0]:
                    writer.write(b"HTTP/1.1 503 Cut\r\nContent-Length: 0\r\n\r\n")
                else:
                    writer.write(await _behind(port, head, body))
                await writer.drain()
        except (OSError, EOFError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    new = folder / "relay-port.new"
    new.write_text(str(server.sockets[0].getsockname()[1]))
    new.rename(folder / "relay-port")
    await server.serve_forever()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _behind(port: int, head: bytes, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return answer + (await reader.readexactly(length) if length else b"")
    finally:
        writer.close()


@contextmanager
def relayed(folder: Path, url: str) -> Iterator[str]:
    """The relay at work before a shop; its address."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.support.command_shop", str(folder), port]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        file, deadline = folder / "relay-port", time.monotonic() + LATE_S
        while not file.exists():
            assert time.monotonic() < deadline and process.poll() is None
        yield f"http://127.0.0.1:{file.read_text()}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def write_files(folder: Path, url: str, **command: Any) -> None:
    """An experiment of six seconds, whose fault is a command, and its system file."""
    cut: Mapping[str, Any] = {
        "run": ["sh", "-c", "echo in >> acts; touch cut"],
        "undo": ["sh", "-c", "rm -f cut; echo out >> acts"],
        "check": ["sh", "-c", "test -e cut || exit 3"],
        "within": "5s",
    }
    experiment = {
        "name": "cut-off",
        "seed": 7,
        "campaign": {"coupon": "SALE", "users": 5_000},
        "traffic": {
            "drop": {"executor": "constant-arrival-rate", "rate": "40/s", "duration": "9s"}
        },
        "method": [{"fault": "command.run", "command": "cut", "at": "3s", "duration": "3s"}],
    }
    outcomes = {
        "issued": {"status": 201},
        "duplicate": {"status": 409, "json": {"result": "again"}},
        "sold_out": {"status": 409, "json": {"result": "gone"}},
        "refused": {"status": 503},
    }
    issue = {
        "post": "/claim",
        "json": {"member": "{user}"},
        "capture": {"issue_id": "voucher"},
        "outcomes": outcomes,
    }
    system = {
        "name": "shop",
        "base_url": url,
        "requests": {"issue": issue},
        "audit": {"get": "/audit"},
        "settle": "300ms",
        "commands": {"cut": {k: v for k, v in {**cut, **command}.items() if v is not None}},
    }
    (folder / "cut-off.yaml").write_text(json.dumps(experiment))
    (folder / "shop.yaml").write_text(json.dumps(system))


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}


def gameday(folder: Path, *arguments: str, here: Path | None = None) -> "subprocess.Popen[str]":
    """A command of gameday under way, from the folder of the files."""
    return subprocess.Popen(
        [sys.executable, "-m", "gameday", *arguments],
        cwd=here or folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_arguments(folder: Path, runs: str = "runs") -> list[str]:
    where = ["--stack", "external", "--system", str(folder / "shop.yaml")]
    return ["run", str(folder / "cut-off.yaml"), *where, "--runs", str(folder / runs)]


if __name__ == "__main__":
    asyncio.run(relay(Path(sys.argv[1]), int(sys.argv[2])))
