"""`python -m gameday.traffic.worker`: orders on stdin, events on stdout, one JSON object a line.

Ctrl-C goes to every process of a terminal; this one ignores it, since the controller decides what
happens then. It ends when it is told to, and when its stdin closes.
"""

import asyncio
import gc
import os
import resource
import signal
import stat
import sys
from contextlib import suppress
from typing import TextIO, cast

from pydantic import ValidationError

from gameday.core.clock import SystemClock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.core.network.event_loop import allow_here, run
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.messages import Refused, event_line, order_in
from gameday.traffic.worker.worker import Say, Worker

LONGEST_LINE = 4 * 1024 * 1024  # the configuration with all scenarios is one line
GRACE_S = 2.0  # as long as an order to stop gives by default
PRIORITY = -10  # lateness of a worker blames no one, so it goes before the system where it may


class _Voice(asyncio.Protocol):
    """Stdout that never blocks the pace: lines wait in memory when nobody reads them."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's, not their classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()

    def say(self, line: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line + b"\n")

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self.gone.wait()


async def _hear(reader: asyncio.StreamReader, worker: Worker, say: Say) -> None:
    """Obey line by line; stop when there are no more."""
    while line := await reader.readline():
        try:
            worker.obey(order_in(line))
        except (GamedayError, ValueError, FileExistsError) as error:
            say(event_line(Refused(str(error), line.decode(errors="replace"))))
    worker.stop(GRACE_S)


def _where(location: tuple[str | int, ...]) -> str:
    return ".".join(str(step) for step in location) or "the line"


def _require_pipe(stream: TextIO, name: str) -> None:
    """Refuse what the event loop cannot wait for: files and devices."""
    mode = os.fstat(stream.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stream.isatty()):
        raise UsageError(f"{name} of the traffic worker is no pipe", help="gameday run starts it")


def _prefer() -> None:
    """Ask for the processor before others, where that is allowed: a late request blames no one."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


async def _work() -> None:
    voice = _Voice()
    loop = asyncio.get_running_loop()
    await loop.connect_write_pipe(lambda: voice, sys.stdout)
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        config = Config.model_validate_json(await reader.readline())
    except ValidationError as error:
        # Without the input: it holds secrets.
        found = [f"{_where(one['loc'])}: {one['msg']}" for one in error.errors(include_input=False)]
        raise UsageError(f"the traffic worker's configuration: {'; '.join(found)}") from None
    allow_here(Allowed.of(config.reach))
    worker = Worker(config, SystemClock(), voice.say)
    loop.add_signal_handler(signal.SIGTERM, worker.stop, GRACE_S)
    loop.set_exception_handler(worker.crash)
    # Nothing made so far is ever garbage; looking at it again would only delay requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    await worker.prepare()
    hearing = asyncio.create_task(_hear(reader, worker, voice.say))
    hearing.add_done_callback(worker.watch)
    await worker.finished.wait()
    await voice.close()
    hearing.cancel()
    if worker.problem is not None:
        raise worker.problem


def main() -> int:
    """Work until told to stop; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _prefer()
    try:
        _require_pipe(sys.stdin, "stdin")
        _require_pipe(sys.stdout, "stdout")
        run(_work(), fast=True)
    except GamedayError as error:
        sys.stderr.write(
            f"error: {error.message}\n" + (f"  help: {error.help}\n" * bool(error.help))
        )
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
