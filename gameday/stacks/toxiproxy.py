"""gameday's Toxiproxy-compatible server, with one proxy before each store.

It is a program of its own, as the real one is, and is spoken to through its HTTP API alone. Any
process of this machine can reach that API, so changes need a token, which only the user can read:
it stands in the stack's folder, and goes with it.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.core import files
from gameday.core.errors import StackError
from gameday.core.json_objects import read_object
from gameday.injection.process.launch import Launch, Question
from gameday.injection.toxiproxy_client import TOKEN_PREFIX, Toxiproxy, ToxiproxyError
from gameday.spec.undos import ProxyState
from gameday.stacks.ports import HOST
from gameday.stacks.supervisor import Supervisor, plain_environment, write_private

READY_S = 10.0
TOKEN_FILE = "toxiproxy.token"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The running server, and the port of the proxy before each store; None where none runs."""

    server: Toxiproxy | None
    ports: Mapping[str, int]

    @property
    def url(self) -> str | None:
        return None if self.server is None else self.server.url

    @property
    def token_file(self) -> Path | None:
        return None if self.server is None else self.server.token_file


async def start_toxiproxy(supervisor: Supervisor, *, is_open: bool) -> Toxiproxy:
    """Start the server; `is_open` lets anybody change what it does. Raises StackError."""
    output = supervisor.folder / "toxiproxy.out"
    # It imports what this process imports, from wherever this process does.
    found = os.pathsep.join(entry for entry in sys.path if entry)
    token_file = None if is_open else supervisor.folder / TOKEN_FILE
    token = [] if token_file is None else ["--token-file", str(token_file)]
    if token_file is not None:
        write_private(token_file, supervisor.new_secret(TOKEN_PREFIX))
    task = Launch(
        name="toxiproxy",
        argv=[sys.executable, "-m", "gameday.toxiproxy", "--host", HOST, *token, "--port", "0"],
        environment={**plain_environment(), "PYTHONPATH": found},
        folder=supervisor.folder,
        output=output,
    )

    async def listening() -> bool:
        return _announced(output) is not None

    part = await supervisor.start(task, listening, READY_S)
    told = _announced(output)
    if told is None:
        raise StackError("toxiproxy: it has not said where it listens")
    host, port = told.listening
    again = [*task.argv[:-1], str(port)]  # where its clients look for it
    part.is_healthy_when(Question.get(host, port, "/version"), argv=again)
    supervisor.ports.append(port)
    return Toxiproxy(f"http://{host}:{port}", token_file=token_file)


async def add_proxies(
    supervisor: Supervisor, server: Toxiproxy, upstreams: Mapping[str, int]
) -> Proxies:
    """Put a proxy before each store: Toxiproxy's name of the proxy → the store's port."""
    ports = {}
    for name, upstream in upstreams.items():
        wanted = ProxyState(listen=f"{HOST}:0", upstream=f"{HOST}:{upstream}", enabled=True)
        try:
            made = await server.create(name, wanted)
        except ToxiproxyError:
            supervisor.must_run()  # where it died, its log says more than the lost call
            raise
        ports[name] = int(made.listen.rpartition(":")[2])
    supervisor.ports.extend(ports.values())
    return Proxies(server, ports)


@dataclass(frozen=True, slots=True)
class _Announcement:
    """The first line of a server: where it listens."""

    listening: tuple[str, int]


def _announced(output: Path) -> _Announcement | None:
    """The first line of its standard output, once it is whole."""
    try:
        line, end, _ = files.read_bytes(output, files.SETTING_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    return read_object(_Announcement, json.loads(line)) if end else None
