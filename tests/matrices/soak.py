"""Memory while a hundred million requests go by: `python -m tests.matrices.soak [REQUESTS]`.

Records as a worker writes them, 10,000 a second by a clock that is set, are folded by everything
that follows a run while it goes on: the live series, and a tally of every metric, by outcome and
by window. Printed: the resident memory on the way, and how much it grew by after the first
million. Exit status 1 when that is 10 MB or more.
"""

import gc
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from gameday.traffic.history import RECORD, HistoryHeader, Outcome
from gameday.traffic.metrics import About, Fold, RunningTotals
from gameday.traffic.thresholds import METRICS

REQUESTS = 100_000_000
PIECE = 100_000
RATE_PER_S = 10_000
WARM = 10
MOST_MB = 10.0
NS = 1_000_000_000
T0 = 1_000 * NS
SPEC = {"executor": "constant-arrival-rate", "rate": f"{RATE_PER_S}/s", "duration": "24h"}
HEADER = HistoryHeader.from_json(
    {"scenario": "soak", "seed": 7, "users": 1, "t0_ns": T0, "spec": SPEC}
)
OUTCOMES = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.REFUSED, Outcome.UNKNOWN)


def keys() -> list[str]:
    """Every metric, and the duration by outcome and by window."""
    tags = [f"outcome:{outcome.text}" for outcome in OUTCOMES]
    tags += ["window:before", "window:during-a", "window:after-a", "expected_response:true"]
    return [*METRICS, *(f"http_req_duration{{{tag}}}" for tag in tags)]


def windows(requests: int) -> About:
    third = requests // RATE_PER_S * NS // 3
    names = ("before", "during-a", "after-a")
    return About(
        windows={name: [(T0 + n * third, T0 + (n + 1) * third)] for n, name in enumerate(names)}
    )


def piece(first: int, rng: np.random.Generator) -> Any:
    """The next records: times from 0.1 ms to 10 s, all outcomes, some new connections."""
    records = np.zeros(PIECE, dtype=RECORD)
    records["k"] = np.arange(first, first + PIECE)
    records["intended_ns"] = T0 + np.arange(first, first + PIECE) * (NS // RATE_PER_S)
    records["sent_ns"] = records["intended_ns"] + rng.integers(1_000, 1_000_000, PIECE)
    took_ns = np.clip(rng.lognormal(16, 2, PIECE), 100_000, 10 * NS).astype(np.int64)
    records["ended_ns"] = records["sent_ns"] + took_ns
    records["first_byte_ns"] = records["ended_ns"] - took_ns // 10
    records["outcome"] = rng.choice(OUTCOMES, PIECE, p=(0.3, 0.1, 0.4, 0.1, 0.1))
    records["status"], records["attempts"], records["bytes_received"] = 200, 1, 180
    records["connecting_ms"][::100], records["sending_ms"] = 0.3, 0.02
    return records


def resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1e6


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def soak(requests: int, tell: Callable[[str], None] = say) -> tuple[float, float]:
    """How many MB the resident memory grew by after the warm-up, and requests folded a CPU s."""
    fold, totals = Fold("soak"), RunningTotals(keys(), windows(requests))
    rng, before_mb, cpu_s = np.random.default_rng(1), 0.0, 0.0
    pieces = max(WARM + 1, requests // PIECE)
    for number in range(pieces):
        records = piece(number * PIECE, rng)
        began = time.process_time()
        fold.add(records, (number + 1) * PIECE, int(records["ended_ns"][-1]))
        totals.add(HEADER, records, (number + 1) * PIECE)
        cpu_s += time.process_time() - began
        del records
        if number == WARM - 1:
            before_mb = resident_mb()
        if (number + 1) % (pieces // 10 or 1) == 0:
            tell(f"{(number + 1) * PIECE:12,d} requests  {resident_mb():8.1f} MB")
    p95 = totals.figures("http_req_duration", T0 + NS)
    assert p95 is not None
    assert p95["count"] == pieces * PIECE
    return resident_mb() - before_mb, pieces * PIECE / cpu_s


def main() -> int:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    grown_mb, per_s = soak(requests)
    say(f"grown by {grown_mb:.1f} MB, of {MOST_MB:g} MB allowed; {per_s:,.0f} folded a CPU second")
    say(f"every sample kept, 8 bytes for each of 11 times: {requests * 88 / 1e6:,.0f} MB")
    return 0 if grown_mb < MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
