"""What has become slower: a checkout beside an older one, in turn on the same machine.

    python -m tests.benchmarks.bench_pairs OLD [--pairs 9] [--only traffic proxy judge]

OLD is another checkout with a `.venv` of its own (`git worktree add`, then `make setup` there).
Old and new are measured in turn, and who goes first changes from pair to pair, so that a machine
that changes its speed hurts both alike. Each figure is told as the median of the pairs' ratios
new/old and the interval that the true median lies in with at least 95 % (order statistics). Exit
code 1 when a figure is slower: its whole interval lies above `ALLOWED`.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.load_target import nginx, target

ALLOWED = 1.05
COVERED = 0.95
LONGEST_S = 180
HERE = Path(__file__).resolve().parent.parent.parent
WHAT = ("traffic", "proxy", "judge")


def shot(checkout: Path, what: str, port: int) -> dict[str, float]:
    """The figures of one measurement of a checkout."""
    script = Path(__file__).with_name("pair_shot.py")
    argv = [str(checkout / ".venv" / "bin" / "python"), "-P", str(script), what, str(port)]
    environment = {"PYTHONPATH": str(checkout), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(
        argv, cwd=checkout, env=environment, stdout=subprocess.PIPE, timeout=LONGEST_S, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """The order statistics that hold the true median with probability `COVERED` or more."""
    n, ordered = len(ratios), sorted(ratios)
    for k in range((n - 1) // 2, 0, -1):
        outside = 2 * sum(math.comb(n, i) for i in range(k)) / 2**n
        if 1 - outside >= COVERED:
            return ordered[k - 1], ordered[n - k]
    return ordered[0], ordered[-1]


def main() -> int:
    """Print the table; 1 when something is slower."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_pairs")
    parser.add_argument("old", type=Path)
    parser.add_argument("--pairs", type=int, default=9, help="7 or more, or nothing is shown")
    parser.add_argument("--only", nargs="*", choices=WHAT, default=WHAT)
    given = parser.parse_args()
    program = nginx()
    if program is None:
        sys.exit("nginx is not here")
    ratios: dict[str, list[float]] = defaultdict(list)
    olds: dict[str, list[float]] = defaultdict(list)
    with target(program) as server:
        for pair in range(given.pairs):
            for what in given.only:
                sides = [given.old.resolve(), HERE]
                found = {s: shot(s, what, server.port) for s in sides[:: 1 - 2 * (pair % 2)]}
                old, new = (found[side] for side in sides)
                for name, value in old.items():
                    olds[name].append(value)
                    ratios[name].append(new[name] / value)
            print(f"pair {pair + 1} of {given.pairs}", file=sys.stderr, flush=True)
    return table(olds, ratios)


def table(olds: dict[str, list[float]], ratios: dict[str, list[float]]) -> int:
    """Print a row for each figure; 1 when one is slower."""
    print("| figure | old, s | new/old | 95 % | |\n|---|---:|---:|---:|---|")
    slower = False
    for name, found in ratios.items():
        low, high = interval(found)
        worse = low > ALLOWED
        slower |= worse
        median, old = statistics.median(found), statistics.median(olds[name])
        word = "SLOWER" if worse else "as fast"
        print(f"| {name} | {old:.3f} | {median:.3f} | {low:.3f} to {high:.3f} | {word} |")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
