"""`python -m tests.matrices.stalls run EXPERIMENT …`: a run whose event loop is watched for stalls.

Everything after the module's name is handed to gameday. A beat in the loop comes every 5 ms; a
thread beside it takes the stack of the loop's thread whenever that beat is late, and of the other
threads too, for a long call of one of them holds up the loop as well. The longest stalls are told
on stderr when the run is over, each with where it was seen to be, and the time that this process
itself waited for a processor: what a busy machine takes is nobody's work.
"""

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.cli import main

BEAT_S = 0.005
LATE_S = 0.05
LOOK_S = 0.01
SHOWN = 12
FRAMES = 4
IDLE = ("_worker", "_do_waitpid", "pause", "_work", "wait")  # of a thread that waits


@dataclass
class Stall:
    """The loop came `late_s` late at `at_s`, for `waited_s` of it kept from the processor."""

    at_s: float
    late_s: float
    waited_s: float
    seen: Counter[str] = field(default_factory=Counter)


class Watch:
    """The beat of one loop, and the thread that looks at it."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []
        self._began = self._beaten = time.monotonic()
        self._waited_s = _waited_s()
        self._seen: Counter[str] = Counter()
        self._loops = threading.get_ident()
        self._over = threading.Event()

    async def around(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do `work` with the loop watched."""
        threading.Thread(target=self._look, daemon=True).start()
        beating = asyncio.create_task(self._beat())
        try:
            return await work
        finally:
            beating.cancel()
            self._over.set()

    async def _beat(self) -> None:
        while True:
            now, waited_s = time.monotonic(), _waited_s()
            late_s = now - self._beaten - BEAT_S
            if late_s > LATE_S:
                at_s = self._beaten - self._began
                self.stalls.append(Stall(at_s, late_s, waited_s - self._waited_s, self._seen))
            self._seen = Counter()
            self._beaten, self._waited_s = now, waited_s
            await asyncio.sleep(BEAT_S)

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            if time.monotonic() - self._beaten > LATE_S:
                for ident, frame in sys._current_frames().items():  # noqa: SLF001
                    if ident == self._loops:
                        self._seen[f"loop: {_where(frame)}"] += 1
                    elif frame.f_code.co_name not in IDLE and ident != threading.get_ident():
                        self._seen[f"thread: {_where(frame)}"] += 1

    def tell(self) -> None:
        """The longest stalls, on stderr."""
        longest = sorted(self.stalls, key=lambda stall: -stall.late_s)[:SHOWN]
        sys.stderr.write(f"{len(self.stalls)} stalls of more than {LATE_S * 1000:.0f} ms\n")
        for stall in longest:
            sys.stderr.write(
                f"{stall.late_s * 1000:6.0f} ms at {stall.at_s:6.1f} s"
                f" ({stall.waited_s * 1000:.0f} ms of it waiting for a processor)\n"
            )
            for where, count in stall.seen.most_common(3):
                sys.stderr.write(f"        {count:4} x {where}\n")


def _where(frame: Any) -> str:
    """The innermost frames, and those of gameday's own code around them."""
    told: list[str] = []
    while frame is not None and len(told) < 2 * FRAMES:
        code = frame.f_code
        if len(told) < FRAMES or "/gameday/" in code.co_filename:
            told.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(told)


def _waited_s() -> float:
    """How long this process' main thread was ready to run and did not."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def watched_run(work: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run`, with a watch over the loop that is the controller's."""
    if threading.current_thread() is not threading.main_thread():
        return _run(work)
    watch = Watch()
    try:
        with asyncio.Runner() as runner:
            return runner.run(watch.around(work))
    finally:
        watch.tell()


_run = asyncio.run
if __name__ == "__main__":
    asyncio.run = watched_run  # type: ignore[assignment]
    main()
