"""The arithmetic that the load benchmark holds its tools against."""

import numpy as np
import pytest

from tests.benchmarks.bench_load import STALL_PER_S, near, truth
from tests.benchmarks.load_peers import POINTS, Shot


@pytest.mark.parametrize("served_per_s", [20_000.0, 60_000.0])
def test_the_truth_of_a_stop_is_what_a_queue_does(served_per_s: float) -> None:
    stall_s, length_s, calm_s = 1.4, 30, 0.0002
    due_s = np.arange(length_s * STALL_PER_S) / STALL_PER_S
    begin_s, free_s = length_s / 2, 0.0
    took_ms = []
    for due in due_s.tolist():
        start = max(due, free_s)
        start = begin_s + stall_s if begin_s <= start < begin_s + stall_s else start
        free_s = start + 1 / served_per_s
        took_ms.append((start - due + calm_s) * 1000)
    expected = truth(stall_s, length_s, served_per_s, calm_s * 1000)
    shares = (50, 90, 95, 99, 100)
    simulated = dict(zip(POINTS, np.percentile(took_ms, shares), strict=True))
    assert all(near(simulated[point], expected[point]) for point in POINTS)


def test_a_tool_that_counts_from_the_send_is_far_from_the_truth() -> None:
    true = truth(1.4, 30, 60_000, 0.2)
    assert not near(0.3, true["p99"])
    assert not near(true["p99"] * 1.02, true["p99"])
    assert near(true["p99"] * 1.005, true["p99"])


def test_what_was_late_or_never_sent_is_missed() -> None:
    shot = Shot(sent=990, asked=1000, late=5, length_s=1, cpu_s=1, rss_mb=1)
    assert shot.missed == 0.015
    assert Shot(sent=990, length_s=1, cpu_s=1, rss_mb=1).missed == 0
