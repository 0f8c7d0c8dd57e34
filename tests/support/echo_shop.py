"""A shop that repeats what it knows of its members wherever it can: for runs that must hide it.

    python echo_shop.py SETTING_FILE PORT
    python echo_shop.py PORT_FILE '{"setting": SETTING_FILE}'

The setting is JSON: `members` (a list of rows), `stock`, and `loud`, a list of

- `ids`: an issue's id holds the email of whoever got it
- `refuses`: every fifth login is refused with all that was sent; `breaks`: every seventh order too
- `close`, `reset`: those requests fail with a member in the answer
- `rows`, `shape`: the audit's rows hold no user, or are none; `text`: the audit is a page of HTML
- `metrics`: they are lines of no format
- `strangers`: the audit tells of members by phone
- `loses`: every fifth issue is told and never stored
- `later`: 202 and a ticket with the email in it

It logs every request with headers and body, and names members in headers, redirects, metrics, and
in keys, values and views of its audit.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

port_file = None if sys.argv[2].isdecimal() else Path(sys.argv[1])
setting_file = Path(sys.argv[1] if port_file is None else json.loads(sys.argv[2])["setting"])
setting: dict[str, Any] = json.loads(setting_file.read_text())
members: list[dict[str, Any]] = setting["members"]
loud: set[str] = set(setting.get("loud", []))
by_email = {each["email"]: each for each in members}
by_token = {each["token"]: each for each in members}
left = int(setting["stock"])
rows: list[dict[str, Any]] = []
holders: set[str] = set()
tickets: dict[str, tuple[int, dict[str, Any]]] = {}
number = 0
lock = threading.Lock()


def log(*told: object) -> None:
    sys.stdout.write(" ".join(map(str, told)) + "\n")
    sys.stdout.flush()


def issue(member: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    global left, number
    with lock:
        number += 1
        said = {"member": member, "id": f"v-{number}"}
        if "ids" in loud:
            said["id"] = f"{number}-{member['email']}"
        if "breaks" in loud and number % 7 == 0:
            return 500, {"error": f"no stock for {member}"}
        if member["email"] in holders:
            return 409, {"result": "again", "member": member}
        if left <= 0:
            return 409, {"result": "gone", "member": member}
        left -= 1
        holders.add(member["email"])
        if "loses" not in loud or number % 5:
            rows.append({"userId": member["email"], "issueId": said["id"]})
        return 201, said


class Handler(BaseHTTPRequestHandler):
    """The requests named above."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        log("POST", self.path, dict(self.headers), raw)
        kind = self.path.split("/")[1]
        if kind == "login":
            self.login(raw)
        elif kind in ("orders", "claim"):
            member = by_token[self.headers["Authorization"].removeprefix("Bearer ")]
            if kind == "claim":
                self.claim(member)
                return
            self.answer(201, member, member, {"Location": f"/claim/{quote(member['email'])}"})
        elif kind in loud:  # close, reset
            first = members[0]
            self.answer(500, f"<b>{first['email']}</b> {first} {first['email']}:x".encode(), first)
        else:
            self.answer(200, {"all": members}, members[0])

    def login(self, raw: str) -> None:
        member = by_email[json.loads(raw)["email"]]
        if "refuses" in loud and members.index(member) % 5 == 0:
            self.answer(401, {"error": f"no: {raw}", "known": member}, member)
        else:
            self.answer(200, {"token": member["token"], "member": member}, member)

    def claim(self, member: dict[str, Any]) -> None:
        if "later" not in loud:
            self.answer(*issue(member), member)
            return
        ticket = f"t-{quote(member['email'])}"
        if ticket not in tickets:
            tickets[ticket] = issue(member)
        self.answer(202, {"ticket": ticket, "member": member}, member)

    def do_GET(self) -> None:
        log("GET", self.path, dict(self.headers))
        if self.path.startswith("/audit"):
            self.audit()
        elif self.path.startswith("/tickets/"):
            status, said = tickets.get(quote(unquote(self.path.split("/")[2])), (404, {}))
            self.answer(status, said, members[0])
        elif self.path == "/metrics":
            lines = [
                f'shop_sold_total{{member="{each["email"]}",path="/u/{each["phone"]}"}} 1'
                for each in members[:9]
            ]
            if "metrics" in loud:
                lines = [f"{each['email']} is here: {each['token']}" for each in members]
            self.answer(200, "\n".join(["# TYPE shop_sold_total counter", *lines, ""]).encode())
        else:
            self.answer(200, {"all": members})

    def audit(self) -> None:
        last = members[-1]
        told: dict[str, Any] = {
            "stock": setting["stock"],
            "rows": list(rows),
            "lastBuyer": last["email"],
            "lastPhone": int(last["phone"]),
            "pin": int(last["pin"]),
            "name": last["name"],
            "buyers": {each["email"]: each for each in members},
            "views": {
                "cache": {"remaining": left, "holders": [*holders], "of": last["token"]},
                last["email"]: {"remaining": left, "holders": [int(last["phone"]), last["email"]]},
            },
        }
        if "rows" in loud:
            told["rows"] = [{"user": each["email"], "token": each["token"]} for each in members]
        if "shape" in loud:
            told = {each["email"]: each for each in members}
        if "strangers" in loud:
            told["rows"] = [{**row, "userId": _phone(row["userId"])} for row in rows]
        if "text" in loud:
            page = "".join(f"<p>{each['token']}</p>" for each in members)
            self.answer(200, page.encode(), last)
        else:
            self.answer(200, told, last)

    def answer(
        self,
        status: int,
        body: object,
        member: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        known = {} if member is None else {"X-Member": member["email"]}
        if member is not None:
            known["Set-Cookie"] = f"sid={quote(member['token'])}; Path=/"
        for name, value in {**known, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; it has said all."""


def _phone(email: str) -> int:
    return int(by_email[email]["phone"])


class Server(ThreadingHTTPServer):
    """Says nothing of clients that left."""

    request_queue_size = 200

    def handle_error(self, *_: object) -> None:
        """Go on."""


if "start" in loud:
    log(members)
    raise RuntimeError(f"no schema for {members[3]['email']}: {members[3]['token']}")
server = Server(("127.0.0.1", int(sys.argv[2]) if port_file is None else 0), Handler)
if port_file is not None:
    port_file.with_suffix(".new").write_text(str(server.server_port))
    port_file.with_suffix(".new").rename(port_file)
server.serve_forever()
