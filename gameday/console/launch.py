"""Starting a console as a process of its own, beside a run.

It is in a session of its own, so that Ctrl-C of the run is not its end, nor its end the run's. Its
tokens and the key of a drill go to it by a pipe, which it holds to learn of the run's end; none of
it stands in its arguments, its environment or a file. It answers with its links in a line.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.console.access import ConsoleRole, new_token
from gameday.console.server import ConsoleLinks
from gameday.console.settings import ListenSettings
from gameday.core import settings
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StackError
from gameday.core.json_objects import plain, read_object
from gameday.evidence.sealed_box import Box

START_S: Final = 20.0
LOG: Final = "console.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """The first line that a console reads: what it serves, and its secrets."""

    run_dir: Path
    address: str
    port: int | None = None
    hosts: tuple[str, ...] = ()
    cert: Path | None = None
    key: Path | None = None
    facilitator: str = ""
    trainee: str = ""
    observer: str = ""
    box: str = ""
    lingers: bool = True
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Launched:
    """A console that was started; it hears of our end by the `pipe`, open until then."""

    process: "subprocess.Popen[bytes]"
    links: ConsoleLinks
    pipe: int


def launch(
    run_dir: Path,
    listen: ListenSettings,
    roles: Collection[ConsoleRole] = tuple(ConsoleRole),
    box: Box | None = None,
) -> Launched:
    """Start a console for a run directory. Raises StackError where it does not answer."""
    reads, writes = os.pipe()
    # It is given secrets: the folder gameday is called from must not shadow what it imports.
    argv = [sys.executable, "-P", "-m", "gameday.console", "--fd", str(reads)]
    logs = run_dir / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / LOG).open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[reads],
            start_new_session=True,
        )
    os.close(reads)
    tokens = {role: new_token() for role in roles}
    order = LaunchOrder(
        run_dir=run_dir.resolve(),
        address=listen.address,
        port=listen.port,
        hosts=tuple(listen.hosts),
        cert=listen.cert,
        key=listen.key,
        box=box.text if box is not None else "",
        language=settings.chosen_language(),
        facilitator=tokens.get(ConsoleRole.FACILITATOR, ""),
        trainee=tokens.get(ConsoleRole.TRAINEE, ""),
        observer=tokens.get(ConsoleRole.OBSERVER, ""),
    )
    os.write(writes, json.dumps(plain(order)).encode() + b"\n")
    try:
        return Launched(process, _answer(process), writes)
    except BaseException:
        os.close(writes)
        raise


def _answer(process: "subprocess.Popen[bytes]") -> ConsoleLinks:
    """The line in which it tells its links; it says nothing else there."""
    assert process.stdout is not None
    with process.stdout as out:
        raw = _line(out.fileno())
    answer = json.loads(raw) if raw.endswith(b"\n") else {"problem": "the console did not start"}
    if "problem" not in answer:
        return read_object(ConsoleLinks, answer)
    process.kill()
    process.wait()
    cure = str(answer.get("help") or f"logs/{LOG} of the run says why")
    raise StackError(str(answer["problem"]), help=cure)


def _line(file: int) -> bytes:
    """A line, or as much of it as comes in time."""
    clock = SystemClock()
    deadline_ns = clock.now_ns() + int(START_S * NS)
    raw = b""
    while not raw.endswith(b"\n"):
        left_s = (deadline_ns - clock.now_ns()) / NS
        ready, _, _ = select.select([file], [], [], max(0.0, left_s))
        part = os.read(file, 65536) if ready else b""
        if not part:
            break
        raw += part
    return raw
