"""Kill the controller N times at random moments, and look what is left.

`python -m tests.matrices.kills N`.

Runs of short forms (`--experiments`, drawn in turn) on one kept stack of its own, so that several
of these commands can go on side by side. Half of the moments are drawn over the whole run, half
over the fault and the seconds around it; with `--stops M`, M more runs are stopped (SIGSTOP) in
their fault until it is out, and then woken up. With
`--secrets M`, M of the runs have a secret that is a word of the run (`wordy`): it must change
nothing. Nothing may be left: no toxic, no disabled proxy, no stopped or missing part of the stack,
no process, no switched strategy, nothing of which its own undo says that it is there. Exit code 1
when something is, or when the 99th percentile of the clean-up times is above the lease and 2 s.
"""

import argparse
import asyncio
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from gameday.core.errors import GamedayError
from gameday.evidence import journal
from gameday.injection.drivers import Drivers
from gameday.injection.heal import left_behind
from gameday.injection.process.process import is_stopped, leaders
from gameday.run.reaper.lease import LEASE_S
from gameday.spec.inputs import load_inputs
from gameday.spec.undos import ProcessUndo, Undo, from_json
from gameday.traffic.forecast import traffic_end_s
from tests.support import wordy

drivers = Drivers()

BESIDE_TRAFFIC_S = 5.0  # from the start of the process to that of the traffic, and a bit
AFTER_FAULT_S = 1.0
EXPERIMENTS = "redis-slow,redis-down,db-slow"
ALLOWED_S = LEASE_S + 2.0
PATIENCE_S = 60.0
GAMEDAY = (sys.executable, "-m", "gameday")


@dataclass
class Kept:
    """The stack that is kept up, and where runs on it go."""

    folder: Path
    toxiproxy: str
    metrics: str
    health: str
    client: httpx.Client

    def described(self) -> dict[str, Any]:
        """The state file of the stack."""
        path = self.folder / "state" / "gameday" / "stack.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def unclean(self) -> list[str]:
        """What a run has left in the proxies and the parts of the stack, in words."""
        return self.broken_proxies() + self.broken_parts()

    def broken_proxies(self) -> list[str]:
        """Toxics and disabled proxies, as the server shows them."""
        proxies = self.client.get(f"{self.toxiproxy}/proxies").json()
        return [
            f"{name}: {what}"
            for name, proxy in proxies.items()
            for what in [t["name"] for t in proxy["toxics"]] + ["disabled"] * (not proxy["enabled"])
        ]

    def broken_parts(self) -> list[str]:
        """Parts of the stack that do not run, and a service that does not answer."""
        names = dict.fromkeys(each.name for each in self.parts())
        alive = {each.name for each in self.parts() if runs(each)}
        return [f"{name} does not run" for name in names if name not in alive] + self.ill()

    def parts(self) -> list[ProcessUndo]:
        """The processes of the stack, as they were announced."""
        undos = map(from_json, self.described()["undo"])
        return [each for each in undos if isinstance(each, ProcessUndo)]

    def ill(self) -> list[str]:
        """Whether the service answers that it is not well, or nothing."""
        try:
            status = self.client.get(self.health).status_code
        except httpx.HTTPError as error:
            return [f"the service does not answer: {error!r}"]
        return [] if status == 200 else [f"the service answers {status}"]

    def switched(self) -> bool:
        """Whether the playbook's switch was not taken back."""
        text = self.client.get(self.metrics).text
        return 'issuance_strategy{strategy="redis"} 1.0' not in text


@dataclass(frozen=True)
class Outcome:
    """One run: how long until the proxies were clean, and what stayed."""

    moment: str
    had_something: bool
    clean_s: float
    over_s: float
    left: list[str]


@dataclass(frozen=True)
class Short:
    """An experiment's short form: how long a run takes, and how long it is in its fault."""

    name: str
    run_s: float
    fault_s: float

    @classmethod
    def load(cls, name: str) -> "Short":
        experiment = load_inputs(name, None, short=True, seed=None).experiment.experiment
        faults = experiment.method
        begin_s = min(fault.at.total_seconds() for fault in faults)
        end_s = max((fault.at + fault.duration).total_seconds() for fault in faults)
        run_s = traffic_end_s(experiment) + BESIDE_TRAFFIC_S
        return cls(name, run_s, end_s - begin_s + AFTER_FAULT_S)


def main() -> int:
    """Kill, look, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.kills")
    parser.add_argument("kills", type=int)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", default=EXPERIMENTS)
    parser.add_argument("--secrets", type=int, default=0)
    asked = parser.parse_args()
    shorts = [Short.load(name) for name in asked.experiments.split(",")]
    outcomes = []
    with kept_stack() as kept:
        for number in range(asked.kills + asked.stops):
            draw = random.Random(f"{asked.seed} {number}")
            short = shorts[number // 2 % len(shorts)]
            wordy_one = is_spread(number, asked.secrets, asked.kills + asked.stops)
            run = Run(kept, short, wordy.drawn(draw, short.name) if wordy_one else "")
            stop = number >= asked.kills
            outcome = stopped(run, draw) if stop else killed(run, draw, in_fault=number % 2 == 1)
            if wordy_one and run.dir is not None:
                outcome = replace(outcome, left=outcome.left + wordy.misread(run.dir))
            outcomes.append(outcome)
            mark = "" if outcome.had_something else " (nothing to undo)"
            print(
                f"{number + 1:4} {outcome.moment}: clean after {outcome.clean_s:.2f} s{mark}, "
                f"reaper ended after {outcome.over_s:.1f} s; left: {outcome.left or 'nothing'}",
                flush=True,
            )
    return told(outcomes)


def is_spread(number: int, some: int, of: int) -> bool:
    """Whether this one is among `some` that are spread evenly over `of`."""
    return (number + 1) * some // of > number * some // of


def gameday(*arguments: str) -> int:
    """The exit code of a command of which nobody wants to read."""
    quiet = subprocess.DEVNULL
    command = [*GAMEDAY, *arguments]
    return subprocess.run(command, check=False, timeout=120, stdout=quiet, stderr=quiet).returncode


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
        health = described["base_url"] + described["start"]["ready"]
        with httpx.Client(timeout=5, trust_env=False) as client:
            yield Kept(folder, addresses["toxiproxy"], metrics, health, client)
    finally:
        gameday("stop", "--all")
        down = until(lambda: gameday("down") == 0, every_s=1.0)
        if not down:  # as when this command was ended in a run that does not end
            raise RuntimeError(f"the stack stays: XDG_STATE_HOME={folder / 'state'} gameday down")
        shutil.rmtree(folder)


class Run:
    """One `gameday run` under way on the kept stack."""

    def __init__(self, kept: Kept, short: Short, secret: str = "") -> None:
        """`secret` is sent with each request, and may be a word of the run."""
        self.kept = kept
        self.short = short
        self._runs = Path(tempfile.mkdtemp(dir=kept.folder, prefix="runs-"))
        command = [*GAMEDAY, "run", short.name, "--short", "--reuse", "--runs", str(self._runs)]
        if secret:
            command += ["--system", str(wordy.system_file(kept.folder))]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, wordy.VARIABLE: secret},
        )

    @property
    def dir(self) -> Path | None:
        """The run directory, None until there is one."""
        path = next(self._runs.glob("*/journal.jsonl"), None)
        return None if path is None else path.parent

    def records(self) -> list[journal.Record]:
        paths = [*self._runs.glob("*/journal.jsonl"), *self._runs.glob("*/reaper.jsonl")]
        return [record for path in paths for record in journal.read(path).records]

    def happened(self, event: str) -> bool:
        """Whether the journal has such a line; asked often, so it is not parsed."""
        path = next(self._runs.glob("*/journal.jsonl"), None)
        return path is not None and f'"event": "{event}"'.encode() in path.read_bytes()

    def gets_to(self, event: str) -> bool:
        """Wait for such a line; False when the run ends without it."""
        until(lambda: self.happened(event) or self.process.poll() is not None, every_s=0.005)
        return self.happened(event)

    def without_fault(self) -> str:
        """Why no fault came in, as far as the journal says it."""
        why = [
            f"{record.data.get('ended', '')} {record.data['why']}".strip()
            for record in self.records()
            if record.event.kind in ("run.ended", "fault.dosed")
        ]
        return f"{self.short.name}: no fault came in ({'; '.join(why) or 'no word'})"

    def children(self) -> list[psutil.Process]:
        """The processes of the run, its own stack excluded: that one is kept."""
        if self.process.poll() is not None:
            return []
        found = psutil.Process(self.process.pid).children(recursive=True)
        kept = {pid for part in self.kept.parts() for pid in leaders(part)}  # started again by it
        return [child for child in found if child.pid not in kept]

    def still_there(self) -> list[str]:
        """Faults of which the undo itself reads that they are there, whatever was journaled."""
        undos = [
            (record.data["id"], from_json(undo))
            for record in self.records()
            if record.event.kind == "fault.injecting"
            for undo in record.data["undo"]
        ]
        environment = {**self.kept.described()["environment"], **os.environ}
        there = [(name, undo) for name, undo in undos if not reads_as_gone(undo, environment)]
        return [f"fault {name}: {undo.kind}" for name, undo in there]


def reads_as_gone(undo: Undo, environment: Mapping[str, str]) -> bool:
    try:
        return asyncio.run(drivers.read_back(undo, environment)) is True
    except GamedayError:
        return False


def killed(run: Run, draw: random.Random, *, in_fault: bool) -> Outcome:
    """One run, killed."""
    if in_fault:
        if not run.gets_to("fault.injecting"):
            return look(run, [], (run.without_fault(), False, time.monotonic()))
        # Every other one so soon that the change may be on its way.
        after_s = draw.uniform(0, 0.05 if draw.random() < 0.5 else run.short.fault_s)
        moment = f"{run.short.name}: kill {after_s:6.3f} s into the fault"
    else:
        after_s = draw.uniform(0, run.short.run_s)
        moment = f"{run.short.name}: kill {after_s:6.3f} s into the run  "
    time.sleep(after_s)
    children = run.children()
    run.process.kill()
    began = time.monotonic()
    run.process.wait()
    had_something = any(left.owner == "fault" for left in left_behind(run.records()))
    return look(run, children, (moment, had_something, began))


def stopped(run: Run, draw: random.Random) -> Outcome:
    """One run, stopped in its fault until that is out, then woken up; it must end by itself."""
    if not run.gets_to("fault.injected"):
        return look(run, [], (run.without_fault(), False, time.monotonic()))
    after_s = draw.uniform(0, 3.0)
    time.sleep(after_s)
    children = run.children()
    run.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: not run.kept.unclean() and not run.still_there())
    clean_s = time.monotonic() - began
    run.process.send_signal(signal.SIGCONT)
    code = run.process.wait(timeout=90)
    moment = f"{run.short.name}: stop {after_s:6.3f} s into the fault"
    found = look(run, children, (moment, True, began))
    ended = [record.data["ended"] for record in run.records() if record.event.kind == "run.ended"]
    fine = code == 5 and ended == ["interrupted"]
    left = found.left + ([] if fine else [f"ended {ended}, exit code {code}"])
    return replace(found, clean_s=clean_s, left=left)


def look(run: Run, children: list[psutil.Process], about: tuple[str, bool, float]) -> Outcome:
    """When all was as before, when every process had ended, and what is there after that."""
    moment, had_something, began = about
    kept = run.kept
    until(lambda: not kept.broken_proxies())
    until(lambda: not kept.broken_parts() and not run.still_there())
    clean_s = time.monotonic() - began
    until(lambda: not [each for each in children if lives(each)])
    over_s = time.monotonic() - began
    left = kept.unclean() + run.still_there() + (["the strategy"] if kept.switched() else [])
    left += [f"process {each.pid}" for each in children if lives(each)]
    return Outcome(moment, had_something, clean_s, over_s, left)


def runs(part: ProcessUndo) -> bool:
    """Whether a process of the stack is there, and is not stopped."""
    found = leaders(part)  # it may have been started again meanwhile
    return bool(found) and not any(is_stopped(pid) for pid in found)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], Any], *, every_s: float = 0.02) -> bool:
    """Wait for it, and say whether it came about."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


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
