"""A controller that has a fault in and then hangs, in the way that is named, with its reaper.

The fault is a folder, which is there until somebody takes it out.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

from gameday.core.clock import SystemClock
from gameday.core.network.event_loop import run
from gameday.injection.drivers import folder
from gameday.run.context import Abort
from gameday.run.control_socket import ControlSocket, signals
from gameday.run.forced_exit import Leaving
from gameday.run.reaper_client import Reaper
from tests.support.events import event_of
from tests.support.signed import KEY, signed

FAULT = "gameday-fault"


async def main(run_dir: Path, hangs: str) -> None:
    (run_dir / "logs").mkdir(parents=True)
    clock, abort = SystemClock(), Abort()
    journal = signed(run_dir / "journal.jsonl")
    journal.write(event_of("run.started", run=run_dir.name))
    reaper = Reaper(run_dir, clock, lambda why: abort("interrupted", why))
    await reaper.launch(KEY)
    undo = folder.record(run_dir / FAULT)
    leaving = Leaving(run_dir, reaper, abort)
    with leaving, signals(ControlSocket(run_dir.name, journal, abort), leaving.at_once):
        if hangs != "before":
            journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
            (run_dir / FAULT).mkdir()
            folder.mark(undo)
        sys.stdout.write("hangs\n")
        sys.stdout.flush()
        await HANGS[hangs]()


async def in_loop() -> None:
    """No task gets its turn."""
    SystemClock().pause(600)


async def in_task() -> None:
    """Nobody hears of the abort."""
    await asyncio.Event().wait()


async def in_shield() -> None:
    """Nor of being cancelled."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def in_thread() -> None:
    await asyncio.to_thread(threading.Event().wait)


async def in_kernel() -> None:
    os.read(os.pipe()[0], 1)


HANGS = {
    "before": in_task,
    "loop": in_loop,
    "task": in_task,
    "shield": in_shield,
    "thread": in_thread,
    "pipe": in_kernel,
}


if __name__ == "__main__":
    run(main(Path(sys.argv[1]), sys.argv[2]))
