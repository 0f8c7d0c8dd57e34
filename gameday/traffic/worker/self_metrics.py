"""A worker's own vital signs: what it used, what it waited for, and when it stood still.

Read once a second, which takes some tens of microseconds; stalls are noted as they happen. What
this system does not tell (macOS has no run queue to read) stays 0.
"""

import gc
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gameday.core.clock import NS, Clock
from gameday.traffic.vitals import Stall, WorkerSample

SHORTEST_STALL_MS: Final = 10.0  # a shorter one is scheduling noise of a shared machine
# Bounds one line of the vitals; as many in one second say all there is to say.
MOST_STALLS: Final = 50
_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_THROTTLED: Final = {"throttled_usec": 1e6, "throttled_time": 1e9}


class SelfMetrics:
    """The signs of this process, from when it is made."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stalls: list[tuple[int, float]] = []
        self._gc_ns = 0
        self._gc_began_ns = 0
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        gc.callbacks.append(self._collects)

    def _collects(self, phase: str, _info: Mapping[str, int]) -> None:
        """Called by the garbage collector, before and after."""
        now_ns = self._clock.now_ns()
        if phase == "start":
            self._gc_began_ns = now_ns
        else:
            self._gc_ns += now_ns - self._gc_began_ns

    def stood_still(self, now_ns: int, late_ns: int) -> None:
        """The event loop came back at `now_ns`, `late_ns` too late."""
        if late_ns >= SHORTEST_STALL_MS * 1e6 and len(self._stalls) < MOST_STALLS:
            self._stalls.append((now_ns, late_ns / 1e6))

    def sample(self, t0_ns: int, now_ns: int) -> WorkerSample:
        """The figures of this process; a stall is told once."""
        stalls = tuple(Stall(since_s(t0_ns, at), round(ms, 1)) for at, ms in self._stalls)
        self._stalls.clear()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return WorkerSample(
            t_s=since_s(t0_ns, now_ns),
            cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
            waited_s=_waited_s(),
            throttled_s=_throttled_s(),
            stolen_s=self._stolen_s(),
            gc_s=round(self._gc_ns / NS, 3),
            stalls=stalls,
            time_wait=_time_wait(),
        )

    def close(self) -> None:
        gc.callbacks.remove(self._collects)

    def _stolen_s(self) -> float:
        """The processor time (s) that other machines of the same host took from this one."""
        for line in _lines(_PROC / "stat"):
            return int(line.split()[8]) / self._ticks_per_s
        return 0.0


def since_s(t0_ns: int, now_ns: int) -> float:
    """Seconds from t = 0, as vitals say them."""
    return round((now_ns - t0_ns) / NS, 3)


def _waited_s() -> float:
    """The time (s) that this process was ready to run and did not run."""
    for line in _lines(_PROC / "self" / "schedstat"):
        return round(int(line.split()[1]) / NS, 3)
    return 0.0


def _time_wait() -> int:
    """Connections that are over and keep their port for a minute."""
    for line in _lines(_PROC / "net" / "sockstat"):
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("tw") + 1])
    return 0


def _throttled_s() -> float:
    """The time (s) its control group was throttled, by version 2's `cpu.stat` or version 1's.

    The group is looked up each time: a process can be moved to another.
    """
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, name = line.split(":", 2)
        named = "cpu" in controllers.split(",")
        if named or not controllers:
            root = _CGROUPS / "cpu" if named else _CGROUPS
            for told in _lines(root / name.lstrip("/") / "cpu.stat"):
                word, _, value = told.partition(" ")
                if word in _THROTTLED:
                    return int(value) / _THROTTLED[word]
    return 0.0


def _lines(path: Path) -> list[str]:
    """The lines of a file of the kernel's, none where there is no such file."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
