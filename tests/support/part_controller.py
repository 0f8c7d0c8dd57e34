"""A controller that strikes one part of the kept stack and nothing else, for tests that kill it.

It tells what happens as JSON lines, and ends in order when its standard input does.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, cast

from gameday.core.clock import SystemClock
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.run.reaper_client import Reaper
from gameday.spec.changes import ServiceChange, Strike
from gameday.spec.undos import ProcessUndo
from gameday.stacks.state import read_kept
from tests.support.events import event_of
from tests.support.signed import KEY, signed

drivers = Drivers()


def say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def main(run_dir: Path, part: str, do: Strike) -> None:
    """Strike, hold, take back."""
    kept = read_kept()
    if kept is None:
        raise SystemExit("no stack is kept")
    parts = {each.name: each.part for each in kept.undos(ProcessUndo) if each.part is not None}
    journal = signed(run_dir / "journal.jsonl")
    reaper = Reaper(run_dir, SystemClock(), lambda why: say(lost=why))
    await reaper.launch(KEY)
    site = InjectionContext(run_dir.name, None, {}, Direct(parts=parts))
    change = ServiceChange(part, do)
    undo = await drivers.prepare(change, site)
    journal.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
    await drivers.act(change, undo, site)
    journal.write(event_of("fault.injected", id="f"))
    say(injected=undo.as_json()["pid"])
    await asyncio.to_thread(sys.stdin.read)
    await drivers.undo(undo)
    journal.write(event_of("fault.removed", id="f", gone=await drivers.read_back(undo)))
    journal.write(event_of("run.ended", ended="completed"))
    journal.close()
    await reaper.finish()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], cast("Strike", sys.argv[3])))
