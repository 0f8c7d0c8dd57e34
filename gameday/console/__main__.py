"""`python -m gameday.console --fd N`: a console as a process of its own.

Not for people: `gameday run --console` and its like start it. It reads one line from the pipe N,
says its links in one line on stdout, and serves.
"""

import json
import os
import sys
import threading
from pathlib import Path

from gameday.console.access import ConsoleRole
from gameday.console.launch import LaunchOrder
from gameday.console.server import ConsoleLinks, ConsoleServer, ConsoleSettings
from gameday.console.settings import ListenSettings
from gameday.core.errors import GamedayError
from gameday.core.files.private import only_for_us
from gameday.core.json_objects import plain, read_object
from gameday.core.network import event_loop
from gameday.evidence.sealed_box import Box

LONGEST_ORDER = 64 * 1024


def settings_of(order: LaunchOrder) -> ConsoleSettings:
    """The settings that an order means."""
    tokens = {role: getattr(order, role) for role in ConsoleRole}
    return ConsoleSettings(
        run_dir=Path(order.run_dir),
        listen=ListenSettings(
            address=order.address,
            port=order.port,
            hosts=order.hosts,
            cert=order.cert,
            key=order.key,
        ),
        tokens={role: token for role, token in tokens.items() if token},
        box=Box.of(order.box) if order.box else None,
        lingers=order.lingers,
        language=order.language,
    )


def _say(fields: object) -> None:
    os.write(1, json.dumps(plain(fields)).encode() + b"\n")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # the pipe ends with this line, whoever prints later
    os.close(nothing)


def _wait_for_end(pipe: int, server: ConsoleServer) -> None:
    """Tell it of the end of whoever holds the other end of the pipe."""
    while os.read(pipe, 4096):
        pass
    server.parent_is_gone()


def _first_line(pipe: int) -> bytes:
    raw = b""
    while not raw.endswith(b"\n") and len(raw) < LONGEST_ORDER:
        part = os.read(pipe, 1)  # no more than the line: what follows is its end
        if not part:
            break
        raw += part
    return raw


def main(argv: list[str]) -> int:
    """Serve until nobody needs it; the exit code."""
    pipe = int(argv[argv.index("--fd") + 1])
    order = read_object(LaunchOrder, json.loads(_first_line(pipe)))
    try:
        server = ConsoleServer(settings_of(order))
    except GamedayError as error:
        _say({"problem": error.message, "help": error.help})
        return int(error.exit_code)
    waiting = threading.Thread(target=_wait_for_end, args=(pipe, server), daemon=True)
    waiting.start()

    def ready(links: ConsoleLinks) -> None:
        _say(links)

    event_loop.run(server.serve(ready))
    return 0


if __name__ == "__main__":
    with only_for_us():
        sys.exit(main(sys.argv[1:]))
