"""`python -m gameday.telemetry.query_api --fd N`: the query API of a run that is under way.

Not for people: `gameday run --query-port` starts it. One line from the pipe N says what it serves
and at which socket, of which it has inherited the number; the end of the pipe is its end.
"""

import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core.json_objects import read_object
from gameday.core.network import event_loop
from gameday.core.processes.parent_pipe import first_line, on_end
from gameday.telemetry.query_api.server import QueryApiServer
from gameday.telemetry.query_api.settings import QueryApiSettings

_NICE: Final = 10  # whoever looks must not slow down what is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryApiOrder:
    """The line that says what to serve."""

    run: str
    samples: Path
    rules: Path
    wall_offset_ns: int
    socket: int


def main(argv: list[str]) -> int:
    """Serve until the run is over; the exit code."""
    os.nice(_NICE)
    pipe = int(argv[argv.index("--fd") + 1])
    order = read_object(QueryApiOrder, json.loads(first_line(pipe)))
    settings = QueryApiSettings(
        run=order.run,
        samples=order.samples,
        rules=order.rules,
        wall_offset_ns=order.wall_offset_ns,
        is_over=False,
    )
    server = QueryApiServer(settings, socket.socket(fileno=order.socket))
    on_end(pipe, server.close)
    event_loop.run(server.serve(lambda: None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
