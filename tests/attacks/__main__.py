"""Run every attack, or those whose name holds a word, and say which fell. Exit code 1 if any."""

import argparse
import sys
import time
from collections import Counter

from tests.attacks.registry import all_attacks
from tests.attacks.running import Outcome, run_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("words", nargs="*", help="only attacks whose name holds one of these")
    parser.add_argument("--list", action="store_true", help="print the names, run nothing")
    parser.add_argument("--at-once", type=int, default=3)
    given = parser.parse_args()
    chosen = [
        each
        for each in all_attacks()
        if not given.words or any(word in each.name for word in given.words)
    ]
    if given.list:
        sys.stdout.writelines(f"{each.name}\n" for each in chosen)
        return 0
    begun_s = time.monotonic()
    outcomes = run_all(chosen, given.at_once, _tell)
    fell = [each for each in outcomes if each.fell]
    for kind, number in sorted(Counter(each.attack.kind for each in outcomes).items()):
        held = number - sum(each.attack.kind == kind for each in fell)
        sys.stdout.write(f"{kind:14} {held:4} of {number} held\n")
    slowest = max(outcomes, key=lambda each: each.took_s, default=None)
    if slowest is not None:
        sys.stdout.write(f"slowest: {slowest.attack.name}, {slowest.took_s:.1f} s\n")
    sys.stdout.write(f"{len(outcomes)} attacks in {time.monotonic() - begun_s:.0f} s: ")
    sys.stdout.write(f"{len(outcomes) - len(fell)} held, {len(fell)} fell\n")
    return 1 if fell or not outcomes else 0


def _tell(outcome: Outcome) -> None:
    if outcome.fell:
        sys.stdout.write(f"FELL {outcome.attack.name} ({outcome.took_s:.1f} s)\n{outcome.fell}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
