"""`python -m gameday.console --fd N`: a console as a process of its own.

Not for people: `gameday run --console` and its like start it. It reads one line from the pipe N,
says its links in one line on stdout, and serves.
"""

import json
import os
import sys
from pathlib import Path

from gameday.console.access import ConsoleRole
from gameday.console.launch import LaunchOrder
from gameday.console.server import ConsoleLinks, ConsoleServer, ConsoleSettings
from gameday.console.settings import ListenSettings
from gameday.core.errors import GamedayError
from gameday.core.files.private import only_for_us
from gameday.core.json_objects import plain, read_object
from gameday.core.network import event_loop
from gameday.core.processes.parent_pipe import first_line, on_end
from gameday.evidence.sealed_box import Box


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


def main(argv: list[str]) -> int:
    """Serve until nobody needs it; the exit code."""
    pipe = int(argv[argv.index("--fd") + 1])
    order = read_object(LaunchOrder, json.loads(first_line(pipe)))
    try:
        server = ConsoleServer(settings_of(order))
    except GamedayError as error:
        _say({"problem": error.message, "help": error.help})
        return int(error.exit_code)
    on_end(pipe, server.parent_is_gone)

    def ready(links: ConsoleLinks) -> None:
        _say(links)

    event_loop.run(server.serve(ready))
    return 0


if __name__ == "__main__":
    with only_for_us():
        sys.exit(main(sys.argv[1:]))
