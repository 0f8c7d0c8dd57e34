"""gameday's Toxiproxy-compatible server, with one proxy before each store.

It is a program of its own, as the real one is, and is spoken to through its HTTP API alone.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.core import files
from gameday.effects.toxiproxy import Toxiproxy, ToxiproxyError
from gameday.errors import StackError
from gameday.stacks.crew import Crew, Task, plain_environment
from gameday.stacks.part import Question
from gameday.stacks.ports import HOST

READY_S = 10.0


@dataclass(frozen=True, slots=True)
class Proxies:
    """The running server: its URL, and the port of the proxy before each store."""

    url: str
    ports: Mapping[str, int]


async def start_toxiproxy(crew: Crew) -> str:
    """Start the server, and return the URL of its API. Raises StackError."""
    output = crew.folder / "toxiproxy.out"
    # It imports what this process imports, from wherever this process does.
    found = os.pathsep.join(entry for entry in sys.path if entry)
    task = Task(
        name="toxiproxy",
        argv=[sys.executable, "-m", "gameday.toxiproxy", "--host", HOST, "--port", "0"],
        environment={**plain_environment(), "PYTHONPATH": found},
        folder=crew.folder,
        output=output,
        death_signal=signal.SIGKILL,
    )
    part = crew.launch(task)

    async def listening() -> bool:
        return _announced(output) is not None

    await part.until(listening, READY_S, crew.clock)
    host, port = _announced(output)["listening"]
    again = [*task.argv[:-1], str(port)]  # where its clients look for it
    part.is_healthy_when(Question.get(host, port, "/version"), argv=again)
    crew.ports.append(port)
    return f"http://{host}:{port}"


async def add_proxies(crew: Crew, url: str, upstreams: Mapping[str, int]) -> Proxies:
    """Put a proxy before each store: Toxiproxy's name of the proxy → the store's port."""
    server = Toxiproxy(url)
    ports = {}
    for name, upstream in upstreams.items():
        body = {"name": name, "listen": f"{HOST}:0", "upstream": f"{HOST}:{upstream}"}
        try:
            status, answer = await server.call("POST", "/proxies", {**body, "enabled": True})
        except ToxiproxyError:
            crew.must_run()  # where it died, its log says more than the lost call
            raise
        if status != 201:
            raise StackError(f"toxiproxy: cannot make proxy {name!r}: {status} {answer}")
        ports[name] = int(answer["listen"].rpartition(":")[2])
    crew.ports.extend(ports.values())
    return Proxies(url, ports)


def _announced(output: Path) -> Any:
    """The first line of its standard output, once it is whole."""
    try:
        line, end, _ = files.read_bytes(output, files.SETTING_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    return json.loads(line) if end else None
