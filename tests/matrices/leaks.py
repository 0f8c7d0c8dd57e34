"""N live drills on the embedded stack, each searched for what a trainee must not find.

`python -m tests.matrices.leaks N`.

Experiments are drawn from shipped ones by `--seed`, two at a time. Before the fault, while it is in
and after the first orders every file at rest (run directory, state, temporary files, what the
terminal shows), and the command lines and environments of all processes of the drill, are searched
for the kind of the fault, its id and amounts, the names and the title of the experiment. After the
debrief the same words must be found: the search can find them. Exit code 1 when either fails.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gameday.evidence.events import FaultRemoved, OperatorAbort
from tests.support.live_drills import MARK, Held, copied, found_at_rest, held, short_folder, words

EXPERIMENTS = (
    "redis-slow,db-slow,redis-down,db-down,service-pause,service-kill,traffic-spike,postgres-lock,"
    "redis-block,redis-slow-under-spike"
)
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """What was found of one drill; `searched` counts searches.

    `blind` says why the search may have missed something. `out_s` is from the facilitator's order
    to the last fault that reads back as gone.
    """

    name: str
    leaks: list[str]
    searched: int
    blind: str
    out_s: float


def main() -> int:
    """Hold the drills, and tell what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.leaks", description=__doc__)
    parser.add_argument("drills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", default=EXPERIMENTS)
    asked = parser.parse_args()
    names = asked.experiments.split(",")
    order = random.Random(f"leaks {asked.seed}")
    drawn = [names[n % len(names)] for n in range(asked.drills)]
    order.shuffle(drawn)
    wrong, searches, longest_s = 0, 0, 0.0
    with short_folder() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        for number, one in enumerate(
            pool.map(lambda n: drilled(folder, n, drawn[n]), range(len(drawn)))
        ):
            told = one.leaks or one.blind or "nothing was found"
            sys.stdout.write(f"{number + 1:4} {one.name}: {told}\n")
            sys.stdout.flush()
            wrong += bool(one.leaks or one.blind)
            searches += one.searched
            longest_s = max(longest_s, one.out_s)
    sys.stdout.write(
        f"{asked.drills} drills, {searches} searches: {wrong} leaked; ended by the facilitator,"
        f" every fault was out within {longest_s:.2f} s\n"
    )
    return int(wrong > 0)


def drilled(folder: Path, number: int, name: str) -> Outcome:
    """One drill from its start to its debrief."""
    files = folder / f"f{number}"
    files.mkdir()
    copy = copied(name, files)
    looked_for, leaks, searched = words(copy), [], 0
    with held(copy.path, folder / f"d{number}") as drill:
        for _ in _moments(drill):
            leaks += found_at_rest(drill, looked_for)
            searched += 1
        ended = drill.facilitate("abort" if number % 2 else "debrief")
        drill.finish()
        after = found_at_rest(drill, [MARK, copy.experiment.method[0].fault])
    kinds = sum(copy.experiment.method[0].fault in each for each in after)
    blind = "" if kinds and any(MARK in each for each in after) else "the search finds nothing"
    if ended.returncode:
        blind = f"the facilitator could not end it: {ended.stderr}"
    return Outcome(name, sorted(set(leaks)), searched, blind, _out_s(drill))


def _out_s(drill: Held) -> float:
    """Seconds from the facilitator's order to the last fault; inf where one is not seen out."""
    records = drill.records()
    asked = [each.t_ns for each in records if isinstance(each.event, OperatorAbort)]
    out = [
        each.t_ns for each in records if isinstance(each.event, FaultRemoved) and each.event.gone
    ]
    return (max(out) - asked[0]) / 1e9 if asked and out else float("inf")


def _moments(drill: Held) -> Iterator[None]:
    """The instants at which it is searched."""
    drill.until("stack.ready")
    yield
    drill.until("fault.injected")
    yield
    for order in (("ack",), ("declare", "1"), ("hint",)):
        drill.order(*order)
    time.sleep(3)
    yield


if __name__ == "__main__":
    sys.exit(main())
