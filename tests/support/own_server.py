"""Somebody else's issuance server, in the standard library: what `--stack external` is for.

    python own_server.py PORT_FILE STOCK [--careless]

Careless: it looks at the stock, does something else for a moment, and then takes a coupon.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

stock = int(sys.argv[2])
careless = "--careless" in sys.argv
rows: dict[int, str] = {}
lock = threading.Lock()


def issue(user: int) -> tuple[int, dict[str, object]]:
    """Status and body for one request."""
    if careless:
        if len(rows) >= stock:
            return 410, {"error": "gone"}
        sleep(0.02)
    with lock:
        if user in rows:
            return 409, {"error": "again"}
        if not careless and len(rows) >= stock:
            return 410, {"error": "gone"}
        rows[user] = f"c{len(rows)}"
        return 200, {"coupon": {"id": rows[user]}}


class Handler(BaseHTTPRequestHandler):
    """POST /issue and GET /audit."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.answer(*issue(json.loads(self.rfile.read(length))["user"]))

    def do_GET(self) -> None:
        listed = [{"userId": user, "issueId": name} for user, name in list(rows.items())]
        self.answer(200, {"code": "DROP", "stock": stock, "rows": listed})

    def answer(self, status: int, body: dict[str, object]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Path(sys.argv[1]).write_text(str(server.server_port))
server.serve_forever()
