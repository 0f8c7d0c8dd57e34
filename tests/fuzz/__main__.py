"""Run one fuzzer for some minutes of CPU, then say what was found. Exit code 1 for anything."""

import argparse
import importlib
import pkgutil
import sys

import tests.fuzz
from tests.fuzz.running import Found, run

TARGETS = sorted(
    module.name
    for module in pkgutil.iter_modules(tests.fuzz.__path__)
    if module.name not in ("__main__", "mutate", "running")
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=tests.fuzz.__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0, help="of CPU time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="only this number, with its traceback")
    given = parser.parse_args()
    cases = importlib.import_module(f"tests.fuzz.{given.target}").cases()
    only = None if given.case is None else [given.case]
    done = run(cases, given.seed, given.minutes * 60, _tell, only)
    for name, number in sorted(done.counts.items()):
        sys.stdout.write(f"{name:24} {number}\n")
    sys.stdout.write(f"slowest: {done.slowest_s:.2f} s ({done.slowest}), peak {done.peak_mb} MB\n")
    total = sum(done.counts.values())
    sys.stdout.write(f"target {given.target}, seed {given.seed}: {total} inputs in ")
    sys.stdout.write(f"{done.cpu_s:.0f} s of CPU, {len(done.found)} found\n")
    return 1 if done.found or not total else 0


def _tell(found: Found) -> None:
    sys.stdout.write(f"FOUND {found.reader}, case {found.number}: {found.what}\n{found.input}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
