"""A container engine that answers over TCP and has no containers, only what it says of them.

It speaks as much of the engine's API as the drivers use, and refuses or breaks off what it is told
to: states that a real engine is in for a moment only, and nobody can bring about at will.
"""

import json
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from gameday.injection import engine
from gameday.spec.undos import ProjectUndo

_ID = "small-engine"
NETWORK = "net-1"


class SmallEngine:
    """`containers` by id; `refused` are the ids that nothing may be done to."""

    def __init__(self) -> None:
        self.address = ""
        self.containers: dict[str, dict[str, Any]] = {}
        self.refused: set[str] = set()
        self.done: list[tuple[str, str]] = []

    @property
    def project(self) -> ProjectUndo:
        return ProjectUndo(engine=self.address, engine_id=_ID, name="p", token="t")

    def add(self, id_: str, service: str, state: str = "running", health: str = "") -> None:
        """One more container of the project, without limits and in no network."""
        self.containers[id_] = {
            "service": service,
            "state": state,
            "health": health,
            "limits": {"NanoCpus": 0, "CpuQuota": 0, "CpuPeriod": 0, "Memory": 0, "MemorySwap": 0},
            "networks": {},
            "throttling": {"periods": 0, "throttled_periods": 0},
        }

    def listed(self) -> list[dict[str, Any]]:
        return [_listed(id_, each) for id_, each in self.containers.items()]

    def inspected(self, id_: str) -> dict[str, Any]:
        each = self.containers[id_]
        return {
            "Id": id_,
            "HostConfig": each["limits"],
            "Config": {"Tty": False},
            "State": {"Paused": each["state"] == "paused", "StartedAt": ""},
            "NetworkSettings": {"Networks": each["networks"]},
        }

    def told(self, id_: str, verb: str, body: Mapping[str, Any]) -> int:
        """Do something to a container; the status of the answer."""
        if id_ in self.refused:
            return 500
        each = self.containers[id_]
        self.done.append((id_, verb))
        if verb == "connect":
            each["networks"][NETWORK] = {"NetworkID": NETWORK}
        elif verb == "update":
            each["limits"].update(body)
        else:
            each["state"] = "running"
        return 200


def _listed(id_: str, each: Mapping[str, Any]) -> dict[str, Any]:
    status = {"running": "Up 1 second", "exited": "Exited (137) 1 second ago"}[each["state"]]
    health = f" (health: {each['health']})" if each["health"] else ""
    return {
        "Id": id_,
        "Names": [f"/{id_}"],
        "Labels": {engine.SERVICE: each["service"]},
        "Image": "i",
        "ImageID": "i",
        "State": each["state"],
        "Status": f"{status}{health}",
        "Ports": [],
    }


class _Answers(BaseHTTPRequestHandler):
    """The part of the API that is spoken here."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen of the tests."""

    def do_GET(self) -> None:
        small = self.server.small
        where = urlsplit(self.path).path.removeprefix("/v1.41")
        *_, id_, what = where.split("/")
        if what == "logs":
            self._break_off()
        elif what == "stats":
            throttling = small.containers[id_]["throttling"]
            self._answer(200, {"cpu_stats": {"throttling_data": throttling}})
        elif where == "/containers/json":
            self._answer(200, small.listed())
        elif what == "json":
            self._answer(200, small.inspected(id_))
        else:
            self._answer(200, {"ApiVersion": "1.41", "ID": _ID})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw or b"{}") or {}
        *_, id_, verb = urlsplit(self.path).path.split("/")
        status = self.server.small.told(body.get("Container", id_), verb, body)
        self._answer(status, {"message": "port is already allocated"} if status > 299 else {})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break_off(self) -> None:
        """A log that ends in the header of its second line, as where an engine is killed."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said = struct.pack(">BxxxL", 1, 4) + b"said" + b"\1\0\0"
        self.wfile.write(f"{len(said):x}\r\n".encode() + said + b"\r\n0\r\n\r\n")
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, small: SmallEngine) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.small = small


@contextmanager
def small_engine() -> Iterator[SmallEngine]:
    """One that listens, for as long as this lasts."""
    small = SmallEngine()
    server = _Server(small)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    small.address = f"tcp://127.0.0.1:{server.server_address[1]}"
    try:
        yield small
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
