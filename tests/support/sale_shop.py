"""A shop of somebody else with sales: its claims are told in pages, or stand in a store, or a file.

    python sale_shop.py PORT_FILE '{"stock": 100, ...}'

`POST /sales {"name", "size"}` creates a sale, whose id the shop makes up (a number); `POST /claims
{"member", "sale"}` claims; `GET /sales/ID/claims` tells of claims, all or by `page`, `offset` and
`limit`, or `cursor`; `POST /admin/reset` forgets all. Words of its configuration:

- `stock`: of the sale SALE, which is there from the beginning; `page_size`
- `oversells`: so many more are given out; `forgets`: every so many claims are told and not kept
- `late_s`: so long a claim takes, whether somebody still waits for its answer or not
- `pages`: `repeat` (each begins with the last claim of the one before), `short` (the last says that
  it is the last although there are more), `loop` (the last leads to the first), `elsewhere` (the
  next is on another host), `move` (a claim that is asked for is told first from then on)
- `redis`, `mysql`: claims are kept there too, at that address; `file`: they are appended there, CSV
"""

import itertools
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

setting: dict[str, Any] = json.loads(sys.argv[2])
lock = threading.Lock()
numbers = itertools.count(1)
sales: dict[str, dict[str, Any]] = {}
size = int(setting.get("page_size", 20))
stores: list[Any] = []


def open_stores() -> None:
    if "redis" in setting:
        import redis

        stores.append(redis.Redis.from_url(setting["redis"]))
    if "mysql" in setting:
        import pymysql

        parts = urlsplit(setting["mysql"])
        stores.append(
            pymysql.connect(
                host=parts.hostname,
                port=parts.port or 3306,
                user=parts.username,
                password=unquote(parts.password or ""),
                database=parts.path[1:],
                autocommit=True,
            )
        )


def keep(sale: str, member: object, voucher: str) -> None:
    """A claim, in every store there is."""
    for store in stores:
        if hasattr(store, "sadd"):
            store.sadd(f"claims:{sale}", str(member))
            store.hset(f"vouchers:{sale}", voucher, str(member))
            store.set(f"claim:{sale}:{member}", voucher)
        else:
            with store.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO claims (sale, member, code) VALUES (%s, %s, %s)",
                    (sale, str(member), voucher),
                )
    if "file" in setting:
        with Path(setting["file"]).open("a") as file:
            file.write(f"{sale},{member},{voucher}\n")


def claim(sale: dict[str, Any], name: str, member: object) -> tuple[int, dict[str, Any]]:
    with lock:
        if str(member) in sale["held"]:
            return 409, {"result": "again"}
        if len(sale["held"]) >= sale["size"] + int(setting.get("oversells", 0)):
            return 409, {"result": "gone"}
        voucher = f"v{next(numbers)}"
        sale["held"].add(str(member))
        every = int(setting.get("forgets", 0))
        if not every or len(sale["held"]) % every:
            sale["claims"].append({"member": {"id": member}, "voucher": voucher})
            keep(name, member, voucher)
        return 201, {"voucher": voucher}


def asked_for(query: dict[str, list[str]], count: int) -> tuple[int, int]:
    """The first claim that is asked for, and how many."""
    if "page" in query:
        return (int(query["page"][0]) - 1) * size, size
    if "offset" in query:
        return int(query["offset"][0]), int(query["limit"][0])
    if "cursor" in query or setting.get("by_cursor"):
        return int(query.get("cursor", ["0"])[0]), size
    return 0, count


def onward(path: str, begin: int, *, more: bool) -> str | None:
    """The address of the next page, right or wrong."""
    match setting.get("pages"):
        case "loop" if not more:
            return f"{path}?page=1"
        case "elsewhere" if more:
            return f"http://127.0.0.2:1{path}?page=2"
    return f"{path}?page={begin // size + 2}" if more else None


def page_of(sale: dict[str, Any], path: str, query: dict[str, list[str]]) -> dict[str, Any]:
    """One page of the claims of a sale, or all of them."""
    kind, claims = setting.get("pages", ""), list(sale["claims"])
    begin, many = asked_for(query, len(claims))
    if kind == "repeat" and begin:
        begin -= 1
    if kind == "move" and len(claims) > 1:
        sale["claims"].insert(0, sale["claims"].pop())
    more = begin + many < len(claims) and kind != "short"
    told = {
        "items": claims[begin : begin + many],
        "limit": sale["size"],
        "left": sale["size"] - len(claims),
        "count": len(claims),
    }
    link = {"next": onward(path, begin, more=more)}
    token = {"nextCursor": str(begin + many)} if more else {}
    return {"data": told, "links": link, **token}


class Handler(BaseHTTPRequestHandler):
    """The routes that the module names."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw or b"{}")
        if self.path == "/sales":
            number = 40 + next(numbers)
            sales[str(number)] = {"size": int(body["size"]), "held": set(), "claims": []}
            self.answer(201, {"data": {"id": number, "name": body["name"]}})
        elif self.path == "/admin/reset":
            for sale in sales.values():
                sale["held"], sale["claims"] = set(), []
            self.answer(200, {})
        elif str(body.get("sale")) not in sales:
            self.answer(404, {"result": "no such sale"})
        elif setting.get("strict") and not isinstance(body["sale"], int):
            self.answer(400, {"result": "a sale is a number"})
        else:
            name = str(body["sale"])
            time.sleep(setting.get("late_s", 0))
            self.answer(*claim(sales[name], name, body["member"]))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        steps = parts.path.strip("/").split("/")
        if len(steps) != 3 or steps[1] not in sales:
            self.answer(404, {"problem": "no such sale"})
        else:
            self.answer(200, page_of(sales[steps[1]], parts.path, parse_qs(parts.query)))

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
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


open_stores()
sales["SALE"] = {"size": int(setting["stock"]), "held": set(), "claims": []}
server = Server(("127.0.0.1", 0), Handler)
port_file = Path(sys.argv[1])
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
server.serve_forever()
