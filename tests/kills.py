"""`python -m tests.kills N`: kill the controller N times at random moments, and look what is left.

Runs of `redis-slow --short` on one kept stack. Half of the moments are drawn over the whole run,
half over the fault and the seconds around it; with `--stops M`, M more runs are stopped (SIGSTOP)
in their fault until it is out, and then woken up. Nothing may be left: no toxic, no disabled
proxy, no process, no switched strategy. Exit code 1 when something is, or when the 99th
percentile of the clean-up times is above the lease and 2 s.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from gameday import journal
from gameday.healing import left_behind
from gameday.reaper.lease import LEASE_S

RUN_S = 30.0  # from the start of the process to where a short run closes its campaign
AROUND_FAULT_S = 10.0  # from its announcement to after its end
ALLOWED_S = LEASE_S + 2.0
PATIENCE_S = 60.0
GAMEDAY = (sys.executable, "-m", "gameday")


@dataclass
class Kept:
    """The stack that is kept up, and where runs on it go."""

    folder: Path
    toxiproxy: str
    metrics: str

    def unclean(self) -> list[str]:
        """What a run has left in the proxies, in words."""
        proxies = httpx.get(f"{self.toxiproxy}/proxies", timeout=5, trust_env=False).json()
        return [
            f"{name}: {what}"
            for name, proxy in proxies.items()
            for what in [t["name"] for t in proxy["toxics"]] + ["disabled"] * (not proxy["enabled"])
        ]

    def switched(self) -> bool:
        """Whether the playbook's switch was not taken back."""
        text = httpx.get(self.metrics, timeout=5, trust_env=False).text
        return 'issuance_strategy{strategy="redis"} 1.0' not in text


@dataclass(frozen=True)
class Outcome:
    """One run: how long until the proxies were clean, and what stayed."""

    moment: str
    had_something: bool
    clean_s: float
    over_s: float
    left: list[str]


def main() -> int:
    """Kill, look, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("kills", type=int)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    outcomes = []
    with kept_stack() as kept:
        for number in range(asked.kills + asked.stops):
            draw = random.Random(f"{asked.seed} {number}")
            stop = number >= asked.kills
            outcome = stopped(kept, draw) if stop else killed(kept, draw, in_fault=number % 2 == 1)
            outcomes.append(outcome)
            mark = "" if outcome.had_something else " (nothing to undo)"
            print(
                f"{number + 1:4} {outcome.moment}: clean after {outcome.clean_s:.2f} s{mark}, "
                f"reaper ended after {outcome.over_s:.1f} s; left: {outcome.left or 'nothing'}",
                flush=True,
            )
    return told(outcomes)


@contextmanager
def kept_stack() -> Iterator[Kept]:
    """`gameday up` in a state folder of its own, and `gameday down` in the end."""
    folder = Path(tempfile.mkdtemp(prefix="gameday-kills-"))
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        subprocess.run([*GAMEDAY, "up"], check=True, timeout=120, stdout=subprocess.DEVNULL)
        described = json.loads((folder / "state" / "gameday" / "stack.json").read_text())
        addresses = described["addresses"]
        metrics = f"http://127.0.0.1:{addresses['admin_port']}/metrics"
        yield Kept(folder, addresses["toxiproxy"], metrics)
    finally:
        subprocess.run([*GAMEDAY, "down"], check=True, timeout=60, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder)


class Run:
    """One `gameday run` under way."""

    def __init__(self, kept: Kept) -> None:
        self._runs = Path(tempfile.mkdtemp(dir=kept.folder, prefix="runs-"))
        command = [*GAMEDAY, "run", "redis-slow", "--short", "--reuse", "--runs", str(self._runs)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def records(self) -> tuple[journal.Record, ...]:
        path = next(self._runs.glob("*/journal.jsonl"), None)
        return () if path is None else journal.read(path).records

    def happened(self, event: str) -> bool:
        """Whether the journal has such a line; asked often, so it is not parsed."""
        path = next(self._runs.glob("*/journal.jsonl"), None)
        return path is not None and f'"event": "{event}"'.encode() in path.read_bytes()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def killed(kept: Kept, draw: random.Random, *, in_fault: bool) -> Outcome:
    """One run, killed."""
    run = Run(kept)
    if in_fault:
        until(lambda: run.happened("fault.injecting"), "the fault", every_s=0.005)
        # Every other one so soon that the toxic may be on its way.
        after_s = draw.uniform(0, 0.05 if draw.random() < 0.5 else AROUND_FAULT_S)
        moment = f"kill {after_s:6.3f} s into the fault"
    else:
        after_s = draw.uniform(0, RUN_S)
        moment = f"kill {after_s:6.3f} s into the run  "
    time.sleep(after_s)
    children = run.children() if run.process.poll() is None else []
    run.process.kill()
    began = time.monotonic()
    run.process.wait()
    had_something = bool(left_behind(run.records()))
    return look(kept, children, (moment, had_something, began))


def stopped(kept: Kept, draw: random.Random) -> Outcome:
    """One run, stopped in its fault until that is out, then woken up; it must end by itself."""
    run = Run(kept)
    until(lambda: run.happened("fault.injected"), "the fault")
    after_s = draw.uniform(0, 3.0)
    time.sleep(after_s)
    children = run.children()
    run.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: not kept.unclean(), "a clean Toxiproxy")
    clean_s = time.monotonic() - began
    run.process.send_signal(signal.SIGCONT)
    code = run.process.wait(timeout=90)
    found = look(kept, children, (f"stop {after_s:6.3f} s into the fault", True, began))
    ended = [record.data["ended"] for record in run.records() if record.event == "run.ended"]
    fine = code == 5 and ended == ["interrupted"]
    left = found.left + ([] if fine else [f"ended {ended}, exit code {code}"])
    return replace(found, clean_s=clean_s, left=left)


def look(kept: Kept, children: list[psutil.Process], about: tuple[str, bool, float]) -> Outcome:
    """When the proxies were clean, when every process had ended, and what is there after that."""
    moment, had_something, began = about
    until(lambda: not kept.unclean(), "a clean Toxiproxy")
    clean_s = time.monotonic() - began
    until(lambda: not [each for each in children if lives(each)], "the end of every process")
    over_s = time.monotonic() - began
    left = kept.unclean() + (["the strategy"] if kept.switched() else [])
    return Outcome(moment, had_something, clean_s, over_s, left)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], Any], what: str, *, every_s: float = 0.01) -> None:
    """Wait for it. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about within {PATIENCE_S:g} s")
        time.sleep(every_s)


def told(outcomes: list[Outcome]) -> int:
    """Print the figures; the exit code."""
    times = sorted(each.clean_s for each in outcomes if each.had_something)
    left = [each for each in outcomes if each.left]
    print(
        f"{len(outcomes)} runs, {len(times)} of them with something to undo; {len(left)} left-overs"
    )
    if not times:
        return 1
    p99 = percentile(times, 0.99)
    print(
        f"clean-up: p50 {percentile(times, 0.5):.2f} s, p99 {p99:.2f} s, longest {times[-1]:.2f} s "
        f"(allowed: {ALLOWED_S:g} s)"
    )
    return int(bool(left) or p99 > ALLOWED_S)


def percentile(ordered: list[float], share: float) -> float:
    """The nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


if __name__ == "__main__":
    sys.exit(main())
