"""Time, as an argument: whoever waits or stamps takes a `Clock`, so tests can bring their own.

All instants are nanoseconds of CLOCK_MONOTONIC, one base for every process of a host. Wall
time is read only to name things and to tie a run to the calendar.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

NS = 1_000_000_000


class Clock(Protocol):
    """A source of time that can also wait."""

    def now_ns(self) -> int:
        """The monotonic time, in nanoseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        ...


class SystemClock:
    """The real time."""

    now_ns = staticmethod(time.monotonic_ns)  # without a call around it: workers ask very often

    async def sleep(self, seconds: float) -> None:
        import asyncio  # here, for the commands that never wait and should start quickly

        await asyncio.sleep(max(0.0, seconds))

    def pause(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(max(0.0, seconds))


def utc_now() -> datetime:
    """The wall clock, with its zone."""
    return datetime.now(UTC)


def boottime_ns() -> int:
    """Nanoseconds since boot, suspends included (CLOCK_MONOTONIC where there is none)."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """The identity of this boot of the host, "" where the system has none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def wall_time_ns() -> int:
    """The wall clock in nanoseconds since 1970, to tie monotonic records to the calendar."""
    return time.time_ns()
