"""`make bench`: every benchmark in its short form, one after the other, each a process of its own.

Peers that are not there are left out, and said to be missing. The long forms of those that have
`--quick` are run by name: `python -m tests.benchmarks.bench_load`.
"""

import subprocess
import sys

PARTS = (
    ("bench_service",),
    ("bench_pace", "--quick"),
    ("bench_judge",),
    ("bench_rules", "--quick"),
    ("bench_load", "--quick"),
    ("bench_toxiproxy", "--quick"),
    ("bench_journal",),
)


def main() -> int:
    """Run them all; 1 when one of them missed its aim or could not be run."""
    ended = {}
    for name, *options in PARTS:
        print(f"== {name} {' '.join(options)}", flush=True)
        argv = [sys.executable, "-m", f"tests.benchmarks.{name}", *options]
        try:
            ended[name] = subprocess.run(argv, check=False).returncode
        except KeyboardInterrupt:
            ended[name] = 130
            break
    print("\n== " + ", ".join(f"{name} {code or 'ok'}" for name, code in ended.items()))
    return int(any(ended.values()))


if __name__ == "__main__":
    sys.exit(main())
