"""Probes asked of one replica: only those that its one sample has an answer to."""

import pytest

from gameday.run.replica_state import is_of_one
from gameday.telemetry.promql import parse

OF_ONE = [
    "degraded == 0",
    "max(degraded) == 0",
    "absent(degraded == 1)",
    "-min by (a) (limit) > -5 and limit < 3",
    "absent_over_time(degraded[10s])",
    "max_over_time(degraded[10s]) == 0",
]
OF_MORE = [
    "sum(degraded) == 0",
    "count(up) > 1",
    "absent_over_time(degraded[10s:1s])",
    "max(max_over_time(degraded[10s:1s])) == 0",
    "absent(degraded offset 10s)",
    "absent(degraded @ 5)",
    "absent(rate(errors_total[10s]))",
    "(rate(errors_total[10s]) or vector(0)) > 1",
    "count_over_time(degraded[10s]) > 5",
    "changes(degraded[10s]) == 0",
]


@pytest.mark.parametrize("text", OF_ONE)
def test_a_probe_of_now_is_of_one_replica(text: str) -> None:
    assert is_of_one(parse(text))


@pytest.mark.parametrize("text", OF_MORE)
def test_a_probe_of_many_or_of_a_time_says_nothing_of_one(text: str) -> None:
    assert not is_of_one(parse(text))
