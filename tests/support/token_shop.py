"""A shop of somebody else whose members log in, reserve, and confirm: for runs with steps.

    python token_shop.py PORT_FILE '{"stock": 100, ...}'

- `POST /login` {email, password}: a token and a session cookie; `refuses` are emails it refuses,
  `breaks`: those whose token holds a line end
- `POST /reserve` with the token: 201 and `Location: /orders/N`; `full`: every so many is refused
- `POST /orders/N` with the token or the cookie: 201, 409 again or gone; with `later_ms` 202 and a
  ticket, which `GET /tickets/N` tells of; `loses`: every so many are told and never stored
- `POST /claim` with the token of a member (`Authorization`): the same in one step
- `GET /audit`, `GET /counts`: what it was asked, by kind
"""

import itertools
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

setting: dict[str, Any] = json.loads(sys.argv[2])
sessions: dict[str, str] = {}
orders: dict[str, str] = {}
tickets: dict[str, tuple[str, str]] = {}
rows: list[dict[str, Any]] = []
holders: set[str] = set()
counts: Counter[str] = Counter()
left = int(setting["stock"])
lock = threading.Lock()
numbers = itertools.count(1)
for email, token in setting.get("tokens", {}).items():
    sessions[token] = email


def issue(email: str, number: int) -> tuple[str, str]:
    global left
    with lock:
        if email in holders:
            return "again", ""
        if left <= 0:
            return "gone", ""
        left -= 1
        holders.add(email)
        voucher = f"v{number}"
        every = int(setting.get("loses", 0))
        if not every or number % every:
            rows.append({"userId": email, "issueId": voucher})
        return "ok", voucher


def decide(ticket: str, email: str, number: int) -> None:
    sleep(setting["later_ms"] / 1000)
    tickets[ticket] = issue(email, number)


class Handler(BaseHTTPRequestHandler):
    """The requests named above."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        number = next(numbers)
        if self.path == "/login":
            self.login(json.loads(raw))
            return
        email = self.member()
        kind = self.path.split("/")[1]
        counts[kind] += 1
        if email is None:
            counts["stranger"] += 1
            self.answer(401, {"error": "who are you", "sent": self.headers.get("Authorization")})
        elif kind == "reserve":
            every = int(setting.get("full", 0))
            if every and number % every == 0:
                self.answer(503, {"error": "busy"})
                return
            orders[str(number)] = email
            self.answer(201, {}, {"Location": f"/orders/{number}"})
        elif kind == "orders" and orders.get(self.path.split("/")[2]) != email:
            counts["other"] += 1
            self.answer(403, {"error": "not yours"})
        elif "later_ms" in setting:
            ticket = f"t{number}"
            threading.Thread(target=decide, args=(ticket, email, number), daemon=True).start()
            self.answer(202, {"ticket": ticket})
        else:
            outcome, voucher = issue(email, number)
            status = 201 if outcome == "ok" else 409
            self.answer(status, {"result": outcome, "voucher": voucher})

    def login(self, body: dict[str, Any]) -> None:
        counts["login"] += 1
        email = str(body["email"])
        if email in setting.get("refuses", []) or body.get("password") != f"pw-{email}":
            self.answer(401, {"error": f"no: {body}"})
            return
        token = f"tok/{email}=="
        sessions[token] = email
        if email in setting.get("breaks", []):
            token = "x\r\nX-Evil: 1"
        cookies = [f"sid=c-{email}; Path=/; HttpOnly", "other=1; Path=/elsewhere"]
        self.answer(200, {"data": {"token": token}}, {"Set-Cookie": cookies})

    def member(self) -> str | None:
        if self.headers.get("X-Evil"):
            counts["injected"] += 1
        cookie = self.headers.get("Cookie", "")
        if cookie.startswith("sid=c-"):
            counts["cookies"] += 1
            return cookie.removeprefix("sid=c-")
        return sessions.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def do_GET(self) -> None:
        if self.path == "/audit":
            self.answer(200, {"stock": setting["stock"], "rows": rows})
        elif self.path == "/counts":
            self.answer(200, dict(counts))
        elif self.path.startswith("/tickets/"):
            counts["tickets"] += 1
            outcome, voucher = tickets.get(self.path.split("/")[2], ("pending", ""))
            self.answer(200, {"state": outcome, "voucher": voucher})
        else:
            self.answer(200, {})

    def answer(self, status: int, body: object, headers: dict[str, Any] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            for each in value if isinstance(value, list) else [value]:
                self.send_header(name, each)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that left."""

    request_queue_size = 200

    def handle_error(self, *_: object) -> None:
        """Go on."""


server = Server(("127.0.0.1", 0), Handler)
port_file = Path(sys.argv[1])
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
server.serve_forever()
