"""`python -m gameday.telemetry.collector`: settings in, a line a tick out, till the pipe closes.

Standard input holds the settings, and later a line for each change of the targets, as replicas come
and go; its end is the order to finish the current tick and leave with exit status 0. A standard
output that nobody reads any more means the same. SIGINT is ignored: Ctrl-C in a terminal reaches
every process of the group, and when the measuring stops is for the controller to decide.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from typing import Final

from gameday.core.clock import NS, Clock, SystemClock
from gameday.core.errors import GamedayError
from gameday.core.json_objects import plain
from gameday.core.network.allow_list import Allowed
from gameday.core.network.event_loop import run
from gameday.core.processes import READY
from gameday.telemetry.collector.grid import Grid
from gameday.telemetry.collector.settings import CollectorSettings, parse_settings, parse_targets
from gameday.telemetry.collector.tick import Instants

STDIN: Final = 0
STDOUT: Final = 1


def main() -> int:
    """Run the collector that standard input describes; its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = parse_settings(_next_line())
        run(_run(settings, SystemClock()), Allowed.of(settings.reach), fast=True)
    except GamedayError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code
    return 0


async def _run(settings: CollectorSettings, clock: Clock) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    instants = Instants(settings, clock)
    try:
        await instants.open()
        threading.Thread(target=_hear, args=(loop, instants, over), daemon=True).start()
        _say(READY, over)
        await _tick(Grid(settings.grid_start_ns, settings.period_ns), instants, clock, over)
    finally:
        await instants.close()


async def _tick(grid: Grid, instants: Instants, clock: Clock, over: asyncio.Event) -> None:
    last_ns: int | None = None
    ending = asyncio.ensure_future(over.wait())
    try:
        while not over.is_set():
            t_ns = grid.next_after(last_ns, clock.now_ns())
            waiting = asyncio.ensure_future(clock.sleep((t_ns - clock.now_ns()) / NS))
            await asyncio.wait({ending, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not over.is_set():
                _say(json.dumps(plain(await instants.measure(t_ns))).encode(), over)
                last_ns = t_ns
    finally:
        ending.cancel()


def _next_line() -> bytes:
    """Standard input up to its next line break, read without buffering what follows."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(STDIN, 1)
        if not piece:
            break
        line += piece
    return bytes(line)


def _hear(loop: asyncio.AbstractEventLoop, instants: Instants, over: asyncio.Event) -> None:
    """In a thread of its own, because not every standard input can be polled."""
    while line := _next_line():
        if line.endswith(b"\n") and not loop.is_closed():
            loop.call_soon_threadsafe(instants.retarget, parse_targets(line))
    # A loop that is closed has ended for another reason, and needs no order to.
    if not loop.is_closed():
        loop.call_soon_threadsafe(over.set)


def _say(line: bytes, over: asyncio.Event) -> None:
    raw = line + b"\n"
    try:
        while raw:
            raw = raw[os.write(STDOUT, raw) :]
    except BrokenPipeError:
        over.set()


if __name__ == "__main__":
    sys.exit(main())
