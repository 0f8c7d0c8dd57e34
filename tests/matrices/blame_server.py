"""A server that misbehaves on order, for `tests.matrices.blame`: a process of its own.

    python -m tests.matrices.blame_server '{"delay_ms": 300}'

Keys: `delay_ms`; `status`; `share` (of the requests that get `status`, the others 200); `how`
(`answer`, `reset`, `garbage`, `cut`, `silent`, `fast` without
looking, `close` after each answer); `accept` (`at_once`,
`never`, or seconds between two). It says its port on stdout and ends when stdin closes.
"""

import asyncio
import json
import os
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Any, cast

import uvloop

BODY = b'{"issueId":"0123456789abcdef0123","remaining":77}'
RESET = struct.pack("ii", 1, 0)


def answer(status: int, *, cut: bool = False, last: bool = False) -> bytes:
    length = len(BODY) + (50 if cut else 0)
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    return head.encode() + b"Connection: close\r\n" * last + b"\r\n" + BODY


OK = answer(200)


class Misbehaving(asyncio.Protocol):
    """One connection; the requests of the matrix have a body of less than one segment."""

    asked = 0

    def __init__(self, manner: dict[str, Any]) -> None:
        self.manner = manner
        self.waiting = b""
        self.fast = manner.get("how") == "fast"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.fast:
            self.transport.write(OK)
            return
        self.waiting += data
        head, found, body = self.waiting.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if found else 0
        if not found or len(body) < length:
            return
        self.waiting = body[length:]
        delay_s = self.manner.get("delay_ms", 0) / 1000
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self.reply)
        else:
            self.reply()

    def reply(self) -> None:
        how = self.manner.get("how", "answer")
        Misbehaving.asked += 1
        share = self.manner.get("share", 1.0)
        told = Misbehaving.asked * share % 1 < share
        status = self.manner.get("status", 200) if told else 200
        if how == "silent" or self.transport.is_closing():
            return
        if how == "reset" and told:
            sock = cast("socket.socket", self.transport.get_extra_info("socket"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        elif how == "garbage":
            self.transport.write(b"\x00\x01 this is no HTTP \r\n\r\n")
        elif how == "cut":
            self.transport.write(answer(status, cut=True))
            self.transport.close()
        else:
            self.transport.write(answer(status, last=how == "close"))
            if how == "close":
                self.transport.close()


def accept_slowly(
    listening: socket.socket, every_s: float, loop: asyncio.AbstractEventLoop, manner: Any
) -> None:
    """Accept one connection now and then, in a thread."""
    while True:
        time.sleep(every_s)
        accepted, _ = listening.accept()
        asyncio.run_coroutine_threadsafe(
            loop.connect_accepted_socket(lambda: Misbehaving(manner), accepted), loop
        )


async def serve(manner: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    accept = manner.get("accept", "at_once")
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024 if accept == "at_once" else 1)
    if accept == "at_once":
        listening.settimeout(0)
        await loop.create_server(lambda: Misbehaving(manner), sock=listening)
    elif accept != "never":
        args = (listening, float(accept), loop, manner)
        threading.Thread(target=accept_slowly, args=args, daemon=True).start()
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    await told.read()


if __name__ == "__main__":
    with suppress(PermissionError):  # as the worker does, so that neither is preferred
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    uvloop.run(serve(json.loads(sys.argv[1])))
