"""Metrics while a run goes on: the same as in the end, in memory that does not grow."""

from typing import Any

import numpy as np
import pytest

from gameday.traffic.history import Outcome, Reason
from gameday.traffic.metrics import About, RunningTotals, measure
from gameday.traffic.thresholds import METRICS
from tests.matrices import soak
from tests.traffic.test_metrics import COUNT, MS, SPEC, T0, drop, header, history, refuse, sent

LIVE = (*(name for name in METRICS if METRICS[name] != "gauge"),)
TAGGED = (
    "http_req_duration{outcome:issued}",
    "http_req_failed{window:late}",
    "http_reqs{status:503}",
    "http_reqs{method:POST}",
    "iteration_duration{expected_response:true}",
)
ABOUT = About(tags={"method": "POST"}, windows={"late": [(T0 + 10**10, T0 + 2 * 10**10)]})


def mixed() -> Any:
    records = sent(lag_ms=2.0)
    rng = np.random.default_rng(5)
    records["ended_ns"] += rng.integers(0, 300 * MS, COUNT)
    records["outcome"][::7], records["status"][::7] = Outcome.REFUSED, 503
    refuse(records, slice(100, 120))
    drop(records, slice(200, 230), Reason.NO_VUS)
    records["connecting_ms"][::50] = 0.5
    return records[np.argsort(records["ended_ns"], kind="stable")]


def tally(records: Any, pieces: int, keys: tuple[str, ...] = (*LIVE, *TAGGED)) -> RunningTotals:
    found = RunningTotals(keys, ABOUT)
    spec = SPEC | {"sleep": "1s"}
    for part in np.array_split(records, pieces):
        found.add(header(spec=spec), part, COUNT)
    return found


@pytest.mark.parametrize("key", [*LIVE, *TAGGED])
def test_a_tally_says_what_the_summary_says(key: str) -> None:
    records = mixed()
    told = [history(records, spec=SPEC | {"sleep": "1s"})]
    exact = measure(told, key, about=ABOUT)
    end_ns = int(records["ended_ns"].max())
    assert exact is not None
    for pieces in (1, 17):
        said = tally(records, pieces).figures(key, end_ns)
        assert said is not None
        assert said == pytest.approx(exact, rel=0.001)


def test_what_did_not_happen_is_zero_and_what_nobody_could_know_is_nothing() -> None:
    keys = (
        "http_reqs{outcome:duplicate}",
        "http_reqs{scenario:other}",
        "http_req_receiving",
        "vus",
    )
    empty = RunningTotals(keys)
    assert [empty.figures(key, T0 + 1) for key in keys] == [None] * 4
    records = sent(10)
    records["first_byte_ns"] = 0
    found = tally(records, 1, keys)
    assert found.figures(keys[0], T0 + 1) == {"count": 0, "rate": 0}
    assert found.figures(keys[1], T0 + 1) is None
    assert found.figures(keys[2], T0 + 1) is None
    assert found.figures(keys[3], T0 + 1) == {"value": COUNT - 10, "min": 0, "max": COUNT - 10}


def test_open_requests_enter_when_they_are_given_up() -> None:
    records = sent(100)
    records["outcome"][90:], records["reason"][90:] = Outcome.UNKNOWN, Reason.INTERRUPTED
    records["ended_ns"][90:] = 0
    said = tally(records, 3, ("http_req_duration",)).figures("http_req_duration", T0)
    assert said is not None
    assert said["censored"] == 10
    assert said["count"] == 100


def test_memory_stays_flat_over_a_million_requests_after_the_first() -> None:
    grown_mb, _ = soak.soak(2_000_000, tell=lambda _: None)
    assert grown_mb < soak.MOST_MB
