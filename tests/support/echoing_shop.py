"""A shop that refuses everybody, and quotes in its answer all that it was sent.

    python echoing_shop.py PORT_FILE '{}'

A token that it makes up is in the answer too, under a name that tells.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """400 to every POST, an empty audit to every GET."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = f"made-for-this-user-{asked['member']}"
        key = self.headers["X-Api-Key"]
        self.answer(400, {"why": "closed\x1b[2J", **asked, "key": key, "sessionToken": token})

    def do_GET(self) -> None:
        self.answer(200, {"stock": 100, "rows": []})

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port_file = Path(sys.argv[1])
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
server.serve_forever()
