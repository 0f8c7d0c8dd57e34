"""One scheduled day: `python -m gameday.calendar.launch DATABASE TOKEN LOG -- ARGV...`.

The scheduler starts this for a claim, in a session of its own, so that a day outlives the scheduler
that began it and its end is remembered all the same. It takes the claim up, and does nothing when
that was taken back; then it runs the day and writes its exit code down. Where the disk is full it
waits for room: an end that nobody wrote down would look like a run that was killed.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from gameday.calendar.state import ScheduleState
from gameday.core.clock import NS, SystemClock, wall_time_ns
from gameday.core.errors import ExitCode, UnknownError
from gameday.core.files.private import only_for_us
from gameday.injection.process.process import start_time

PAUSE_S: Final = 5.0
ATTEMPTS: Final = 720  # an hour; then it counts as killed
NOT_TAKEN: Final = 75


def this_process(pid: int = 0) -> tuple[int, str]:
    """A process as it is written down: a later one of the same PID began at another time."""
    pid = pid or os.getpid()
    return pid, start_time(pid) or ""


def is_alive(pid: int | None, began: str | None) -> bool:
    """True if that very process runs."""
    return pid is not None and start_time(pid) == began


def main(arguments: list[str]) -> int:
    """Run the day of a claim; its exit code, NOT_TAKEN where the claim is worth nothing."""
    database, token, log, _, *argv = arguments
    with only_for_us(), open(log, "ab") as out:  # first: without a log it is not taken up at all
        state = ScheduleState(Path(database))
        if not state.begin(token, this_process(), wall_time_ns() // NS):
            return NOT_TAKEN
        code = _run(state, token, argv, out)
    for _attempt in range(ATTEMPTS):
        try:
            state.end(token, code, wall_time_ns() // NS)
        except UnknownError:
            SystemClock().pause(PAUSE_S)
        else:
            break
    return max(code, 0)


def _run(state: ScheduleState, token: str, argv: Sequence[str], out: BinaryIO) -> int:
    """Run the day to its end; its exit code, that of "unknown" where it cannot be started."""
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    except OSError as error:
        out.write(f"it cannot be started: {error}\n".encode())
        return int(ExitCode.UNKNOWN)
    try:
        state.name_child(token, this_process(child.pid))
    except UnknownError:  # a full disk; its end is what counts
        pass
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
