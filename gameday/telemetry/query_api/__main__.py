"""`python -m gameday.telemetry.query_api --fd N`: the query API of a run that is under way.

Not for people: `gameday run --query-port` starts it. One line from the pipe N says what it serves
and at which socket, of which it has inherited the number; the end of the pipe is its end.
"""

import json
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core.json_objects import read_object
from gameday.core.network import event_loop
from gameday.telemetry.query_api.server import QueryApiServer
from gameday.telemetry.query_api.settings import QueryApiSettings

LONGEST_ORDER: Final = 64 * 1024
_NICE: Final = 10  # whoever looks must not slow down what is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryApiOrder:
    """The line that says what to serve."""

    run: str
    samples: Path
    rules: Path
    wall_offset_ns: int
    socket: int


def _first_line(pipe: int) -> bytes:
    raw = b""
    while not raw.endswith(b"\n") and len(raw) < LONGEST_ORDER:
        part = os.read(pipe, 1)  # no more than the line: what follows is its end
        if not part:
            break
        raw += part
    return raw


def _wait_for_end(pipe: int, server: QueryApiServer) -> None:
    """Close it when whoever holds the other end of the pipe is gone."""
    while os.read(pipe, 4096):
        pass
    server.close()


def main(argv: list[str]) -> int:
    """Serve until the run is over; the exit code."""
    os.nice(_NICE)
    pipe = int(argv[argv.index("--fd") + 1])
    order = read_object(QueryApiOrder, json.loads(_first_line(pipe)))
    settings = QueryApiSettings(
        run=order.run,
        samples=order.samples,
        rules=order.rules,
        wall_offset_ns=order.wall_offset_ns,
        is_over=False,
    )
    server = QueryApiServer(settings, socket.socket(fileno=order.socket))
    threading.Thread(target=_wait_for_end, args=(pipe, server), daemon=True).start()
    event_loop.run(server.serve(lambda: None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
