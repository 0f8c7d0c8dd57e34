"""Real runs of bots, and how far the simulation is off: `python -m tests.matrices.bots_real`.

Each experiment's short form is run with nobody, and with each character as `--responder`; one run
at a time, kept in `--runs`. What is there already is not run again, so that it can be continued.
With `--compare` the runs that there are are held against the simulation: per run the harm that was
measured and the one that was simulated, and when it was acknowledged and mitigated.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gameday.drills.bots.characters import CHARACTERS

EXPERIMENTS = "redis-slow,redis-down,db-slow,redis-block"
PACE = 0.03  # a short run has 9 s of a fault: everybody is quicker
WRONG = {
    "redis-slow": "limit-users",
    "redis-block": "limit-users",
    "redis-down": "widen-pools",
    "db-slow": "use-postgres",
}


def main() -> int:
    """Run what is not there yet, then compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.bots_real", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/bots"))
    parser.add_argument("--experiments", default=EXPERIMENTS)
    parser.add_argument("--who", default=",".join(["none", *CHARACTERS]))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="Run nothing")
    asked = parser.parse_args()
    for name in asked.experiments.split(","):
        for who in asked.who.split(","):
            folder = asked.runs / f"{name}.{who}.{asked.seed}"
            if not asked.compare and not list(folder.glob("*/result.json")):
                _run(name, who, asked.seed, folder)
    return 0


def _run(name: str, who: str, seed: int, folder: Path) -> None:
    begun = time.monotonic()
    command = [sys.executable, "-m", "gameday", "run", name, "--short", "--runs", str(folder)]
    ended = subprocess.run(
        [*command, "--responder", responder(name, who, seed)],
        check=False,
        capture_output=True,
        text=True,
    )
    took_s = time.monotonic() - begun
    print(f"{name:16} {who:18} exit {ended.returncode}, {took_s:.0f} s", flush=True)


def responder(name: str, who: str, seed: int) -> str:
    """The `--responder` of a run."""
    if who == "none":
        return who
    options = [who, "--seed", str(seed), "--pace", str(PACE), "--wrong", WRONG[name]]
    options += ["--restart", "pause", "--restart", "resume"]
    return shlex.join([sys.executable, "-m", "gameday.drills.bots", *options])


def run_dirs(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """The runs that there are: experiment, who, and the run directory."""
    for path in sorted(folder.glob("*.*.*/*/result.json")):
        name, who, _ = path.parent.parent.name.rsplit(".", 2)
        yield name, who, path.parent


if __name__ == "__main__":
    sys.exit(main())
