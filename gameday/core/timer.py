"""Waking on time: event loops tick once a millisecond, which is late at 5,000 starts a second.

On Linux a timerfd wakes the loop at the very instant (within some tens of microseconds), without
spinning. Where there is none, the loop's own timer has to do.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gameday.core.clock import NS, Clock

_CLOCK_MONOTONIC = 1  # of linux/time.h
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME of sys/timerfd.h
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class Alarm(Protocol):
    """Calls back once at a set time; setting it again replaces the time."""

    def set(self, at_ns: int) -> None: ...

    def close(self) -> None: ...


class LoopAlarm:
    """The event loop's own timer, good to about a millisecond."""

    def __init__(self, callback: Callable[[], None], clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        self.close()
        wait_s = max(0.0, (at_ns - self._clock.now_ns()) / NS)
        self._handle = self._loop.call_later(wait_s, self._callback)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class _Timer(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("every_s", ctypes.c_long),
        ("every_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


class TimerfdAlarm:
    """A Linux timerfd on CLOCK_MONOTONIC, read by the event loop."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._timer = _Timer()
        self._pointer = ctypes.byref(self._timer)
        self._callback = callback
        self._silent = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._rang)

    def set(self, at_ns: int) -> None:
        # 0 would disarm it; 1 ns is in the past and rings at once.
        self._timer.at_s, self._timer.at_ns = divmod(max(at_ns, 1), NS)
        self._silent = True
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._pointer, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _rang(self) -> None:
        """Setting it silences it, too; only one that is not set again has to be read."""
        self._silent = False
        self._callback()
        if not self._silent:
            with suppress(BlockingIOError):  # it was set and read meanwhile
                os.read(self._fd, 8)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


def alarm(callback: Callable[[], None], clock: Clock) -> Alarm:
    """The most precise alarm of this system."""
    if sys.platform == "linux":
        return TimerfdAlarm(callback)
    return LoopAlarm(callback, clock)
