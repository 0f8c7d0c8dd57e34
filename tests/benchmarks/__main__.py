"""`make bench`: every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys

PARTS = (
    "bench_service",
    "bench_traffic",
    "bench_judge",
    "bench_load",
    "bench_toxiproxy",
    "bench_journal",
)


def main() -> int:
    """Run them all; 1 when one of them could not be run."""
    worst = 0
    for part in PARTS:
        print(f"== {part}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tests.benchmarks.{part}"], check=False)
        worst = max(worst, int(done.returncode != 0))
    return worst


if __name__ == "__main__":
    sys.exit(main())
