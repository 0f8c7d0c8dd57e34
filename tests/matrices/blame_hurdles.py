"""Hurdles of `tests.matrices.blame` for a traffic worker, or for a server: one class a hurdle.

A hurdle is at work from t = 0 to the end of the traffic. `place` and `words` shape a process
before it starts, `work` acts on it while it runs. What a machine does not allow is told by `lacks`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
SPIN = "while True: pass"


@dataclass(frozen=True)
class Hurdle:
    """Nothing in the way."""

    def lacks(self) -> str:
        """What this machine does not give for it, "" where it can be had."""
        return ""

    @property
    def words(self) -> list[str]:
        """The words before the command line of the worker alone."""
        return []

    @contextmanager
    def place(self) -> Iterator[list[str]]:
        """The words before the command lines of worker and server."""
        yield []

    @contextmanager
    def work(self, pid: int, t0_ns: int, length_s: float) -> Iterator[None]:
        """At work on process `pid`."""
        yield


@contextmanager
def meanwhile(act: "threading.Thread") -> Iterator[None]:
    act.start()
    try:
        yield
    finally:
        act.join()


def wait_until(at_ns: int) -> None:
    time.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)


@dataclass(frozen=True)
class Stopped(Hurdle):
    """Stopped once, `for_s` None for ever (until it is killed)."""

    at_s: float
    for_s: float | None

    @contextmanager
    def work(self, pid: int, t0_ns: int, length_s: float) -> Iterator[None]:
        def act() -> None:
            wait_until(t0_ns + round(self.at_s * 1e9))
            os.kill(pid, signal.SIGSTOP)
            if self.for_s is not None:
                time.sleep(self.for_s)
                os.kill(pid, signal.SIGCONT)

        with meanwhile(threading.Thread(target=act)):
            yield


@dataclass(frozen=True)
class Duty(Hurdle):
    """Stopped again and again: `on_ms` awake, `off_ms` not."""

    on_ms: float
    off_ms: float

    @contextmanager
    def work(self, pid: int, t0_ns: int, length_s: float) -> Iterator[None]:
        def act() -> None:
            wait_until(t0_ns)
            while time.monotonic_ns() < t0_ns + length_s * 1e9:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self.off_ms / 1000)
                os.kill(pid, signal.SIGCONT)
                time.sleep(self.on_ms / 1000)

        with meanwhile(threading.Thread(target=act)):
            yield


@dataclass(frozen=True)
class Quota(Hurdle):
    """A control group that gives `share` of one core; version 1 or 2, as this machine has it."""

    share: float

    def _root(self) -> Path:
        return CGROUPS / "cpu" if (CGROUPS / "cpu" / "cpu.cfs_quota_us").exists() else CGROUPS

    def lacks(self) -> str:
        root = self._root()
        if root == CGROUPS and "cpu" not in _words(root / "cgroup.subtree_control"):
            return "a control group for processors"
        return "" if os.access(root, os.W_OK) and os.geteuid() == 0 else "root"

    @contextmanager
    def work(self, pid: int, t0_ns: int, length_s: float) -> Iterator[None]:
        group = self._root() / f"gameday-blame-{pid}"
        quota = round(self.share * PERIOD_US)
        group.mkdir()
        try:
            if (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            (group / "cgroup.procs").write_text(str(pid))
            yield
        finally:
            for each in (group / "cgroup.procs").read_text().split():
                (self._root() / "cgroup.procs").write_text(each)
            group.rmdir()


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@dataclass(frozen=True)
class Hogs(Hurdle):
    """Busy processes on the one core that the worker may use, preferred to it by its `nice`."""

    count: int
    nice: int = 19

    def lacks(self) -> str:
        return "" if os.geteuid() == 0 and hasattr(os, "sched_setaffinity") else "root"

    @contextmanager
    def work(self, pid: int, t0_ns: int, length_s: float) -> Iterator[None]:
        core = {min(os.sched_getaffinity(0))}
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), core)
            os.setpriority(os.PRIO_PROCESS, int(task.name), self.nice)
        hogs = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(self.count)]
        try:
            for hog in hogs:
                os.sched_setaffinity(hog.pid, core)
                os.setpriority(os.PRIO_PROCESS, hog.pid, 0)
            yield
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()


@dataclass(frozen=True)
class FewFiles(Hurdle):
    """No more than `limit` open files."""

    limit: int

    @property
    def words(self) -> list[str]:
        return ["sh", "-c", f'ulimit -n {self.limit} && exec "$@"', "sh"]


@dataclass(frozen=True)
class FewPorts(Hurdle):
    """A network of its own, with `count` ports to connect from."""

    count: int

    def lacks(self) -> str:
        if os.geteuid() != 0:
            return "root"
        tried = subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True)
        return "" if tried.returncode == 0 else "network namespaces"

    @contextmanager
    def place(self) -> Iterator[list[str]]:
        holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo made; exec sleep 60"], stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        try:
            holder.stdout.readline()
            inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
            last = 40_000 + self.count - 1
            ports = f"echo 40000 {last} > /proc/sys/net/ipv4/ip_local_port_range"
            script = f"ip link set lo up && {ports}"
            subprocess.run([*inside, "sh", "-c", script], check=True)
            yield inside
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()
