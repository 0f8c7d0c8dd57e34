"""Kill the controller of a run whose fault is a command, N times at random moments.

`python -m tests.matrices.command_kills N [--seed S]`.

Half of the commands are still at work when their fault is half over. Nothing may be left: not what
the command has made, not a process of it, and `gameday heal` must have nothing to say. Exit code 1
when something is.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.command_shop import gameday, relayed, run_arguments, write_files
from tests.support.foreign_runs import shop

SLOW = ["sh", "-c", "echo in >> acts; touch cut; sleep 1.7; echo late >> acts; touch cut"]
PATIENCE_S = 90.0


def main() -> int:
    """Kill, look, and print what is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.command_kills")
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    wrong = 0
    for number in range(asked.kills):
        with tempfile.TemporaryDirectory(prefix="gameday-command-kills-") as name:
            folder, draw = Path(name), random.Random(f"{asked.seed} {number}")
            with shop(folder, stock=1_000_000) as behind, relayed(folder, behind) as url:
                left = one(folder, url, number, draw)
            wrong += bool(left)
    print(f"{asked.kills} kills, {wrong} left something")
    return 1 if wrong else 0


def one(folder: Path, url: str, number: int, draw: random.Random) -> list[str]:
    """One run, killed at a moment around its fault; what is left of it."""
    slow, after_s = draw.random() < 0.5, draw.uniform(-0.3, 4.5)
    write_files(folder, url, **({"run": SLOW} if slow else {}))
    runs = "runs"
    running = gameday(folder, *run_arguments(folder, runs))
    begun = until(lambda: '"fault.injecting"' in text(folder, runs) or running.poll() is not None)
    if begun and after_s > 0:
        moment = time.monotonic() + after_s
        until(lambda: time.monotonic() >= moment)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    until(lambda: '"reaper.ended"' in text(folder, runs, "reaper") or over(folder, runs))
    until(lambda: not works(folder), within_s=10)
    left = ["it is in"] * (folder / "cut").exists() + ["it works"] * works(folder)
    said, _ = (healing := gameday(folder, "heal", "--runs", str(folder / runs))).communicate()
    left += [said] * (healing.returncode != 0)
    acts = (folder / "acts").read_text().split() if (folder / "acts").exists() else []
    what = "slow" if slow else "quick"
    print(f"{number + 1:3} {what}, {after_s:+.2f} s: {' '.join(acts) or '-'}; left: {left or 'no'}")
    return left


def over(folder: Path, runs: str) -> bool:
    return '"run.ended"' in text(folder, runs)


def works(folder: Path) -> bool:
    """Whether a process of the command is there."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if process.info["cwd"] == str(folder) and SLOW[2] in (process.info["cmdline"] or []):
            return True
    return False


def text(folder: Path, runs: str, name: str = "journal") -> str:
    return "".join(path.read_text() for path in (folder / runs).glob(f"*/{name}.jsonl"))


def until(condition: object, within_s: float = PATIENCE_S) -> bool:
    """Wait until it holds; False when it does not in time."""
    assert callable(condition)
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


if __name__ == "__main__":
    sys.exit(main())
