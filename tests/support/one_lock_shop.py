"""A shop that serves one request at a time, and asks its store in each.

    python one_lock_shop.py PORT_FILE '{"store": ["127.0.0.1", 6379]}'

`POST /claim {"member"}` claims. Words of its configuration: `store` is asked PING on a connection
that stays, under the shop's only lock; without it nothing is asked. `stalls` is a list of
[from, to] in seconds since the first claim, in which the shop stands still, as in a long garbage
collection.
"""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

setting: dict[str, Any] = json.loads(sys.argv[2])
lock = threading.Lock()
held: set[str] = set()
opened: list[socket.socket] = []
began: list[float] = []


def ask_store() -> None:
    if "store" not in setting:
        return
    if not opened:
        opened.append(socket.create_connection(tuple(setting["store"])))
    opened[0].sendall(b"*1\r\n$4\r\nPING\r\n")
    opened[0].recv(100)


def stand_still() -> None:
    since = time.monotonic() - began[0]
    for begin, end in setting.get("stalls", []):
        if begin <= since < end:
            time.sleep(end - since)


class Handler(BaseHTTPRequestHandler):
    """Claims, and the audit."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        member = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["member"]
        with lock:
            began.append(began[0] if began else time.monotonic())
            stand_still()
            ask_store()
            status, result = (409, "again") if member in held else (201, "ok")
            held.add(member)
        self.answer(status, {"result": result, "id": f"v{member}"})

    def do_GET(self) -> None:
        rows = [{"userId": each, "issueId": f"v{each}"} for each in held]
        self.answer(200, {"stock": 100_000, "rows": rows})

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Server(ThreadingHTTPServer):
    """A server that keeps all who wait."""

    daemon_threads = True
    request_queue_size = 500


server = Server(("127.0.0.1", 0), Handler)
Path(f"{sys.argv[1]}.new").write_text(str(server.server_port))
Path(f"{sys.argv[1]}.new").rename(sys.argv[1])
server.serve_forever()
