"""Work beside an event loop: done, raised, and never waited for longer than is said."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from gameday.core.network.event_loop import run
from gameday.core.processes.threads import Threads


def test_work_is_done_in_turn_by_no_more_threads_than_are_allowed() -> None:
    threads = Threads(most=3)
    at_work, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1
        return number

    futures: list[Future[int]] = [threads.submit(work, n) for n in range(20)]
    assert [each.result(20) for each in futures] == list(range(20))
    assert most <= 3
    threads.shutdown()
    with pytest.raises(RuntimeError):
        threads.submit(work, 1)


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        with pytest.raises(ValueError, match="no"):
            await asyncio.to_thread(fail)

    run(main())


def test_what_never_ends_is_left() -> None:
    threads = Threads(end_s=0.1)
    held = threading.Event()
    threads.submit(held.wait)
    begun_s = time.monotonic()
    threads.shutdown()
    assert time.monotonic() - begun_s < 20
    held.set()


def test_a_process_ends_although_its_loop_has_a_thread_that_hangs() -> None:
    """`asyncio.run`, and the interpreter after it, would wait for ever."""
    program = """
import asyncio, threading
from gameday.core.network.event_loop import run
async def main():
    try:
        await asyncio.wait_for(asyncio.to_thread(threading.Event().wait), 0.1)
    except TimeoutError:
        print("left")
run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True
    )
    assert done.stdout == "left\n"
