"""End N runs in their fault, and measure how soon the fault is out.

`python -m tests.matrices.stops N`.

Runs of `redis-slow --short`, its fault lengthened, on one kept stack of its own, each ended at a
random moment in the fault, in one of six ways in turn: `gameday stop`, SIGTERM, SIGINT (twice),
SIGHUP, a guard, a closed terminal. Time counts from the order (the signal sent, the terminal
closed, the instant the journal says that the guard tripped or the order was heard) to a look at
the proxies that shows no toxic; the look is our own, not the run's. Exit code 1 when something is
left, a run did not end as it should, or the 99th percentile is above 2 s.
"""

import argparse
import json
import os
import pty
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from gameday.evidence import journal
from tests.matrices.kills import GAMEDAY, Kept, kept_stack, lives, percentile, until

ROOT = Path(__file__).parents[2]
ALLOWED_S = 2.0
NS = 1_000_000_000


@dataclass(frozen=True)
class Outcome:
    """One run: how it was ended, how soon the fault was out, and what is wrong ("" nothing)."""

    way: str
    out_s: float | None
    told_s: float | None
    wrong: str


class Run:
    """One run under way, in a terminal of its own where `terminal` is set."""

    def __init__(self, kept: Kept, experiment: str, *, terminal: bool = False) -> None:
        self.kept = kept
        self._runs = Path(tempfile.mkdtemp(dir=kept.folder, prefix="runs-"))
        self.command = [*GAMEDAY, "run", experiment, "--short", "--reuse"]
        self.command += ["--runs", str(self._runs)]
        self.terminal = -1
        self.stopping: psutil.Popen | None = None
        self.process = self._in_terminal() if terminal else self._plain()

    def _plain(self) -> psutil.Popen:
        quiet = subprocess.DEVNULL
        return psutil.Popen(self.command, stdout=quiet, stderr=quiet, cwd=ROOT)

    def _in_terminal(self) -> psutil.Popen:
        self.terminal, theirs = pty.openpty()
        # setsid takes the terminal as its own: closing it sends the hang-up.
        command = ["setsid", "--ctty", "--wait", *self.command]
        process = psutil.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT)
        os.close(theirs)
        return process

    def records(self) -> tuple[journal.Record, ...]:
        path = next(self._runs.glob("*/journal.jsonl"), None)
        return () if path is None else journal.read(path).records

    def at(self, event: str) -> int | None:
        """When the journal has such a record, its instant."""
        return next((r.t_ns for r in self.records() if r.event.kind == event), None)

    def gets_to(self, event: str) -> bool:
        """Wait for such a record, without parsing; False when the run ends without it."""
        word = f'"event": "{event}"'.encode()

        def there() -> bool:
            path = next(self._runs.glob("*/journal.jsonl"), None)
            return path is not None and word in path.read_bytes()

        until(lambda: there() or self.process.poll() is not None, every_s=0.005)
        return there()

    def ended(self) -> str:
        return next(
            (str(r.data["ended"]) for r in self.records() if r.event.kind == "run.ended"), ""
        )

    def result(self) -> int | None:
        """The exit code that the result says, which a hung-up run can show to nobody."""
        path = next(self._runs.glob("*/result.json"), None)
        return None if path is None else int(json.loads(path.read_bytes())["exit_code"])


Way = Callable[[Run, random.Random], int]
"""Ends a run, and returns the instant of the order."""


def by_command(run: Run, draw: random.Random) -> int:
    """The order counts from when the run has heard it, not from the start of the command."""
    time.sleep(draw.uniform(0, 7))
    quiet = subprocess.DEVNULL
    run.stopping = psutil.Popen([*GAMEDAY, "stop"], stdout=quiet, stderr=quiet, cwd=ROOT)
    run.gets_to("operator.stop")
    return run.at("operator.stop") or 0


def by_signal(*numbers: signal.Signals) -> Way:
    def end(run: Run, draw: random.Random) -> int:
        time.sleep(draw.uniform(0, 7))
        now_ns = time.monotonic_ns()
        for number in numbers:
            run.process.send_signal(number)
        return now_ns

    return end


def by_guard(run: Run, draw: random.Random) -> int:
    """The experiment trips its guard by itself, at a count of requests drawn for it."""
    del draw
    run.gets_to("guard.tripped")
    return run.at("guard.tripped") or 0


def by_closing(run: Run, draw: random.Random) -> int:
    time.sleep(draw.uniform(0, 7))
    now_ns = time.monotonic_ns()
    os.close(run.terminal)
    return now_ns


WAYS: dict[str, tuple[Way, str]] = {
    "gameday stop": (by_command, "operator"),
    "SIGTERM": (by_signal(signal.SIGTERM), "signal"),
    "SIGINT twice": (by_signal(signal.SIGINT, signal.SIGINT), "operator"),
    "SIGHUP": (by_signal(signal.SIGHUP), "signal"),
    "guard": (by_guard, "guard"),
    "closed terminal": (by_closing, "signal"),
}


def written(folder: Path, way: str, draw: random.Random) -> str:
    """`redis-slow` with a fault that is longer than anybody needs to end it.

    For a guard, with one that trips at a random request of those in the fault.
    """
    experiment = yaml.safe_load((ROOT / "experiments" / "redis-slow.yaml").read_text())
    short = experiment["short"]
    short["traffic"]["drop"]["duration"] = "90s"
    short["method"][0]["duration"] = "75s"
    short["expect"] = {}
    short["rules"] = [str(ROOT / "experiments" / "rules" / "quick.yml")]
    experiment["playbook"] = str(ROOT / "playbooks" / "redis-slow.md")
    if way == "guard":
        expr = f"sum(k6_http_reqs_total) > {draw.randint(900, 1500)}"
        experiment["abort_if"] = [{"expr": expr}]
    path = folder / "redis-slow.yaml"
    path.write_text(yaml.safe_dump(experiment))
    return str(path)


def one(kept: Kept, way: str, draw: random.Random) -> Outcome:
    """One run, ended."""
    end, ended = WAYS[way]
    run = Run(kept, written(kept.folder, way, draw), terminal=way == "closed terminal")
    if not run.gets_to("fault.injected"):
        return Outcome(way, None, None, f"no fault came in, ended {run.ended()!r}")
    watching = [run.process, *run.process.children(recursive=True)]
    out_s = None
    order_ns = end(run, draw)
    if until(lambda: not kept.broken_proxies(), every_s=0.005):
        out_s = (time.monotonic_ns() - order_ns) / NS
    told_ns = run.at("fault.removed")
    told_s = None if told_ns is None else (told_ns - order_ns) / NS
    early = ["the fault was out before the order"] * (told_s is not None and told_s < 0)
    until(lambda: not any(lives(each) for each in watching))
    run.process.wait()
    return Outcome(way, out_s, told_s, "; ".join(early + wrong(run, ended, watching)))


def wrong(run: Run, ended: str, watching: list[psutil.Process]) -> list[str]:
    """What is not as it should be after the run."""
    found = run.kept.unclean() + (["the strategy"] if run.kept.switched() else [])
    found += [f"process {each.pid}" for each in watching if lives(each)]
    if run.ended() != ended:
        found.append(f"it ended {run.ended()!r}, not {ended!r}")
    if run.stopping is not None and (code := run.stopping.wait()) != 0:
        found.append(f"the exit code of `gameday stop` is {code}")
    if run.result() != 5:
        found.append(f"its exit code is {run.result()}")
    return found


def main() -> int:
    """End them, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.stops")
    parser.add_argument("runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS))
    asked = parser.parse_args()
    ways = asked.ways.split(",")
    outcomes = []
    with kept_stack() as kept:
        for number in range(asked.runs):
            draw = random.Random(f"stops {asked.seed} {number}")
            outcome = one(kept, ways[number % len(ways)], draw)
            outcomes.append(outcome)
            print(f"{number + 1:4} {shown(outcome)}", flush=True)
    return told(outcomes)


def shown(one: Outcome) -> str:
    out = "never out" if one.out_s is None else f"out after {one.out_s:.3f} s"
    said = "" if one.told_s is None else f" (the journal says {one.told_s:.3f} s)"
    return f"{one.way:16} {out}{said}; wrong: {one.wrong or 'nothing'}"


def told(outcomes: list[Outcome]) -> int:
    """Print the figures; the exit code."""
    times = sorted(each.out_s for each in outcomes if each.out_s is not None)
    bad = [each for each in outcomes if each.wrong or each.out_s is None]
    print(f"{len(outcomes)} runs ended in their fault; {len(bad)} with something wrong")
    if not times:
        return 1
    p99 = percentile(times, 0.99)
    print(
        f"order to all faults out: p50 {percentile(times, 0.5):.3f} s, p99 {p99:.3f} s, "
        f"max {times[-1]:.3f} s (allowed: {ALLOWED_S:g} s)"
    )
    return int(bool(bad) or p99 > ALLOWED_S)


if __name__ == "__main__":
    sys.exit(main())
