"""A controller with one fault and nothing else, for tests that kill, stop and wake it.

It tells what happens as JSON lines and reads orders from its standard input: `end` ends the run.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gameday.core.clock import SystemClock
from gameday.core.network.allow_list import Reach
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.run.locks import TargetLock
from gameday.run.reaper_client import Reaper
from gameday.spec.changes import NetworkChange, ProxyFlap
from tests.support.events import event_of
from tests.support.signed import KEY, signed
from tests.support.toxics import toxic

drivers = Drivers()


def say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def main(
    run_dir: Path, url: str, also: list[tuple[str, dict[str, Any]]], *, flap: bool
) -> None:
    """Inject a latency or a flap, hold, take out; `also` is journaled first."""
    clock = SystemClock()
    lost: asyncio.Queue[str] = asyncio.Queue()
    journal = signed(run_dir / "journal.jsonl")
    reaper = Reaper(run_dir, clock, lost.put_nowait)
    await reaper.launch(KEY)
    for event, data in also:
        journal.write(event_of(event, **data))
    with TargetLock("http://s", url, run_dir.name, run_dir.parent) as lock:
        await reaper.hand_over(lock.fileno(), {"TOKEN": "open sesame"}, Reach())
        site = InjectionContext(run_dir.name, url, {"redis": "cache"})
        change: NetworkChange = toxic("redis", "latency", latency=50, jitter=0)
        if flap:
            change = ProxyFlap("redis", 150, 150, 0)
        undo = await drivers.prepare(change, site)
        journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
        await drivers.act(change, undo, site)
        journal.write(event_of("fault.injected", id="f"))
        say(injected=undo.thing)
        order = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        why = asyncio.create_task(lost.get())
        await asyncio.wait({order, why}, return_when=asyncio.FIRST_COMPLETED)
        say(lost=why.result() if why.done() else "", died=reaper.died)
        await drivers.undo(undo)
        journal.write(event_of("fault.removed", id="f", gone=await drivers.read_back(undo)))
    journal.write(event_of("run.ended", ended="completed"))
    await reaper.finish()
    say(reaper_ended=reaper.died)
    if not order.done():
        await order


if __name__ == "__main__":
    folder, url, also, *options = sys.argv[1:]
    asyncio.run(main(Path(folder), url, json.loads(also), flap="flap" in options))
