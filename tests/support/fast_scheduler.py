"""The real scheduler, with a wall clock on which a minute takes a second.

`python -m tests.support.fast_scheduler BASE DAY...`; BASE is the real second at which the fast
clock showed what the real one did. The days are `tests.support.brief_day`.
"""

import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from gameday.calendar.scheduler import ProcessLauncher, Scheduler
from gameday.calendar.state import Look, ScheduleState
from gameday.cli.scheduler import serve
from gameday.core.messages import Message

SPEED = 60.0


def wall_s(base_s: float) -> float:
    """The fast clock."""
    return base_s + (time.time() - base_s) * SPEED


def main() -> None:
    base_s, files = float(sys.argv[1]), tuple(sys.argv[2:])

    def look() -> Look:
        fast_s = wall_s(base_s)
        return Look(fast_s, fast_s, fast_s, "fast")

    def tell(message: Message) -> None:
        sys.stderr.write(f"{message.text()}\n")

    state = ScheduleState.of_user()
    launch = ProcessLauncher(state, (sys.executable, str(Path(__file__).with_name("brief_day.py"))))
    one = Scheduler(state, launch, tell, lambda *_: None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    serve(one, files, timedelta(milliseconds=50), threading.Event(), look)


if __name__ == "__main__":
    main()
