"""A shop of somebody else that gives out limited vouchers: told of in its own words, not in ours.

    python foreign_shop.py PORT_FILE '{"stock": 100, ...}'

Who asks is `member` of a JSON body, a form, a text, or a query, whatever the path. What it keeps of
them, and how it tells, is set by words of its configuration:

- `stock`, `per_member` (how many one may hold; 0: any number), `units` (how many one claim takes)
- `spelling`: `same`, `keys` (the audit tells of keys of its own), `upper` (case is changed),
  `number` (kept as a number where it is one), `twice` (the audit tells every tenth member as text
  and as a number: two rows)
- `planted`: members that are in the audit though nobody asked for them, as JSON has them;
  `planted_long`: one more, of so many characters
- `turns_away`: `[[from_s, to_s, status, share], …]`: from and to so many seconds after the first
  claim, that share of the claims is answered with the status, and nothing is done
- `gone`: `[from_s, to_s]` after the first claim nobody listens, as when its process was killed
- `later_ms`: a claim is answered 202 with a ticket, and decided so much later, as `/tickets/N`
  tells with the voucher; `loses`: every so many are never stored although it says they are
"""

import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

setting: dict[str, Any] = json.loads(sys.argv[2])
held: dict[str, int] = {}
rows: list[dict[str, Any]] = []
tickets: dict[str, tuple[str, str]] = {}
left = int(setting["stock"])
lock = threading.Lock()
numbers = itertools.count(1)
asked_for = itertools.count()
began: list[float] = []


def planted_members() -> list[Any]:
    """Who is there without having asked, once somebody has."""
    if not rows:
        return []
    long = int(setting.get("planted_long", 0))
    return [*setting.get("planted", []), *(["x" * long] if long else [])]


def kept(member: object) -> Any:
    """A member as this shop keeps one."""
    text = str(member)
    match setting.get("spelling", "same"):
        case "upper":
            return text.upper()
        case "keys":
            return f"pk-{next(numbers)}"
        case "number" if text.lstrip("u").isdecimal():
            return int(text.lstrip("u"))
        case _:
            return member


def claim(member: object, *, loses: bool = False) -> tuple[str, str]:
    """The outcome of a claim, and the voucher."""
    global left
    units, most = int(setting.get("units", 1)), int(setting.get("per_member", 1))
    who = str(member)
    with lock:
        if most and held.get(who, 0) >= most:
            return "again", ""
        if left < units:
            return "gone", ""
        left -= units
        held[who] = held.get(who, 0) + 1
        voucher = f"v{next(numbers)}"
        told = [kept(member)]
        if setting.get("spelling") == "twice" and int(who) % 10 == 0:
            told.append(who)
        if not loses:
            rows.extend({"userId": each, "issueId": voucher, "units": units} for each in told)
        return "ok", voucher


def turned_away() -> int:
    """The status that this claim is turned away with, 0: it is not."""
    began[:] = began or [monotonic()]
    since_s, number = monotonic() - began[0], next(asked_for)
    for from_s, to_s, status, share in setting.get("turns_away", []):
        if from_s <= since_s < to_s and int(share * number) != int(share * (number + 1)):
            return int(status)
    return 0


def decide(ticket: str, member: object) -> None:
    sleep(setting["later_ms"] / 1000)
    every = int(setting.get("loses", 0))
    tickets[ticket] = claim(member, loses=bool(every) and int(ticket) % every == 0)


class Handler(BaseHTTPRequestHandler):
    """POST or GET /claim…, GET /tickets/N, GET /audit."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.asked(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/audit":
            planted = [
                {"userId": each, "issueId": f"p{n}"} for n, each in enumerate(planted_members())
            ]
            holders = [row["userId"] for row in rows]
            view = {"remaining": left, "holders": holders, "current": not planted}
            told = {"stock": setting["stock"], "rows": rows + planted, "views": {"cache": view}}
            self.answer(200, told)
        elif path.startswith("/tickets/"):
            state, voucher = tickets.get(path.rpartition("/")[2], ("pending", ""))
            self.answer(200, {"state": state, "voucher": voucher})
        elif not path.startswith("/claim"):
            self.answer(200, {})
        else:
            self.asked("")

    def asked(self, body: str) -> None:
        """A claim, in whatever form."""
        if status := turned_away():
            self.answer(status, {"result": "not now"})
            return
        kind = self.headers.get("Content-Type", "")
        query = parse_qs(urlsplit(self.path).query)
        member: object
        if "json" in kind:
            member = json.loads(body)["member"]
        elif "form" in kind:
            member = parse_qs(body)["member"][0]
        else:
            member = query["member"][0] if "member" in query else body.strip()
        if "later_ms" in setting:
            ticket = str(next(numbers))
            threading.Thread(target=decide, args=(ticket, member), daemon=True).start()
            self.answer(202, {"ticket": ticket})
            return
        outcome, voucher = claim(member)
        status = {"ok": 201, "again": 409, "gone": 409}[outcome]
        if self.headers.get("Accept", "").startswith("text/plain"):
            self.answer(status, f"{outcome} {voucher}".strip())
        else:
            self.answer(status, {"result": outcome, "voucher": voucher}, {"X-Result": outcome})

    def answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "gone" in setting:  # then no connection is open where nobody listens any more
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that left."""

    request_queue_size = 100

    def handle_error(self, *_: object) -> None:
        """Go on."""


def serve(server: Server) -> None:
    """Answer; and not for a while, where it is set."""
    if "gone" in setting:
        threading.Thread(target=stop_listening, args=(server,), daemon=True).start()
    server.serve_forever()
    server.server_close()
    from_s, to_s = setting["gone"]
    sleep(to_s - from_s)
    Server(("127.0.0.1", server.server_port), Handler).serve_forever()


def stop_listening(server: Server) -> None:
    """End it so many seconds after the first claim."""
    while not began:
        sleep(0.02)
    sleep(setting["gone"][0])
    server.shutdown()


server = Server(("127.0.0.1", 0), Handler)
port_file = Path(sys.argv[1])
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
serve(server)
