"""How long the event loop of a run waits for its journal, on a disk that takes its time.

    python -m tests.benchmarks.bench_journal [LINES]

The journal is a FIFO with a reader that sleeps between reads: a write to it blocks for as long as
the pipe is full, as a write does on a disk whose cache is full of dirty pages. While lines are
written, a task on the same event loop measures how late each of its wake-ups is. Beside it, in
the same run: a journal that writes in its caller, and no journal at all.

The lateness of the loop holds whatever else the machine does, so it is compared with no journal;
how long each call of `write` took is the journal's own.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gameday.core.clock import SystemClock
from gameday.evidence.journal import Journal, LiveJournal
from tests.support.events import event_of

LINES = 2_000
LINE_EVERY_S = 0.001
READ_EVERY_S = 0.05
READ_BYTES = 16 * 1024
TICK_S = 0.0005
PADDING = "x" * 400
AIM_MS = 1.0


def slow_reader(path: Path, over: threading.Event) -> threading.Thread:
    """Read a little, rarely, until told that it is over; then the rest."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read() -> None:
        while not over.wait(READ_EVERY_S):
            drain(file, READ_BYTES)
        while drain(file, 1 << 20) != b"":
            over.wait(0.001)
        os.close(file)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def drain(file: int, most: int) -> bytes | None:
    """What is there; None for nothing yet, empty when the writer has closed."""
    try:
        return os.read(file, most)
    except BlockingIOError:
        return None


async def lateness(until: asyncio.Event) -> list[float]:
    """How late each wake-up of this loop is, in ms."""
    late: list[float] = []
    while not until.is_set():
        due = time.monotonic_ns() + int(TICK_S * 1e9)
        await asyncio.sleep(TICK_S)
        late.append((time.monotonic_ns() - due) / 1e6)
    return late


async def measure(write: Callable[[int], object], lines: int) -> tuple[list[float], list[float]]:
    """Wake-ups of the loop, and calls of `write`, in ms."""
    over, calls = asyncio.Event(), []
    watching = asyncio.create_task(lateness(over))
    for number in range(lines):
        begun_ns = time.perf_counter_ns()
        write(number)
        calls.append((time.perf_counter_ns() - begun_ns) / 1e6)
        await asyncio.sleep(LINE_EVERY_S)
    over.set()
    return await watching, calls


async def through(kind: type[Journal], lines: int) -> tuple[list[float], list[float]]:
    """The same lines through one kind of journal, into the slow FIFO."""
    with tempfile.TemporaryDirectory() as folder:
        path, over = Path(folder, "journal.jsonl"), threading.Event()
        os.mkfifo(path)
        reader = slow_reader(path, over)
        book = kind(path, SystemClock(), "bench", print)
        try:
            return await measure(
                lambda n: book.write(event_of("bench", n=n, padding=PADDING)), lines
            )
        finally:
            over.set()
            book.close()
            reader.join()


def show(name: str, figures: list[float]) -> None:
    figures.sort()
    p50, p99 = statistics.median(figures), figures[int(len(figures) * 0.99)]
    over = sum(figure > AIM_MS for figure in figures)
    told = f"p50 {p50:7.3f}  p99 {p99:7.3f}  max {figures[-1]:8.3f} ms"
    print(f"{name:34s} {told}   over {AIM_MS:g} ms: {over} of {len(figures)}")


def main() -> int:
    """Print how late the loop was, and how long each write took, for each kind."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    idle, _ = asyncio.run(measure(lambda _: None, lines))
    show("loop late, no journal", idle)
    worst = 0.0
    for kind in (Journal, LiveJournal):
        late, calls = asyncio.run(through(kind, lines))
        show(f"loop late, {kind.__name__}", late)
        show(f"calls of write, {kind.__name__}", calls)
        worst = calls[int(len(calls) * 0.99)]
    print(f"LiveJournal: 99 % of the writes within {worst:.3f} ms; aim {AIM_MS:g} ms")
    return 0 if worst <= AIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
