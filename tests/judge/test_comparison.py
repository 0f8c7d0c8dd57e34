"""Comparing runs: repeats of one thing never differ, and a shift above their spread is found."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.judge.comparison import Comparison, Difference, compare, noise, student_t95
from gameday.judge.result import CheckLine, Clocks, Result, TrafficLine

LATENCY = "http_req_duration_intended"
figures = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def result(recovered_s: float | None = 8.0, p95_ms: float = 300.0, **given: Any) -> Result:
    told = {
        "run": "a-run",
        "experiment": "redis-slow",
        "stack": "embedded",
        "seed": 7,
        "started_at": "2026-11-23T08:30:00Z",
        "ended_at": "2026-11-23T08:31:00Z",
        "verdict": "passed",
        "ended": "completed",
        "exit_code": 0,
        "checks": [CheckLine(name="recovered", verdict="valid", summary="")],
        "faults": [],
        "alerts": [],
        "traffic": TrafficLine(metrics={LATENCY: {"p(95)": p95_ms}, "http_reqs": {"rate": 100.0}}),
        "playbook": [],
        "clocks": Clocks(damage_at=15.0, recovered_after_s=recovered_s),
    }
    return Result(**{**told, **given})


def line(found: Comparison, name: str) -> Difference:
    return next(each for each in (*found.clocks, *found.traffic) if each.name == name)


@given(figures, figures, st.lists(figures, max_size=9))
def test_a_run_never_differs_from_itself(
    recovered_s: float, p95_ms: float, earlier: list[float]
) -> None:
    one = result(recovered_s, p95_ms)
    found = compare(one, one, [[result(each, each) for each in earlier]])
    assert not found.differing
    assert not found.unknown


@given(st.lists(figures, min_size=4, max_size=12), st.data())
def test_two_runs_within_the_spread_of_earlier_ones_do_not_differ(
    earlier: list[float], data: st.DataObject
) -> None:
    inside = st.floats(min(earlier), max(earlier))
    before, after = result(data.draw(inside)), result(data.draw(inside))
    found = line(compare(before, after, [[result(each) for each in earlier]]), "recovered")
    assert found.finding in {"same", "within"}


@given(st.lists(st.floats(min_value=0, max_value=1000), min_size=4, max_size=12), st.booleans())
def test_a_shift_above_the_noise_is_found_and_its_side_is_told(
    earlier: list[float], slower: bool
) -> None:
    limit = noise([earlier], 1.0)
    assert limit is not None
    low, high = 5.0, 5.0 + limit * 1.01
    before, after = (low, high) if slower else (high, low)
    groups = [[result(each) for each in earlier]]
    found = line(compare(result(before), result(after), groups), "recovered")
    assert found.finding == "differs"
    assert found.better is not slower


@given(st.lists(figures, max_size=3), figures, figures)
def test_with_too_few_earlier_runs_the_noise_is_unknown(
    earlier: list[float], before: float, after: float
) -> None:
    groups = [[result(each) for each in earlier]]
    found = line(compare(result(before), result(after), groups), "recovered")
    assert found.limit is None
    assert found.finding != "differs"
    if abs(after - before) > 1.0:
        assert found.finding == "unknown"


def test_of_repeats_alone_at_most_one_in_twenty_is_said_to_differ() -> None:
    """Figures of 2,000 pairs that differ by nothing but noise, each beside its own repeats."""
    random = np.random.default_rng(14)
    for repeats in (4, 6, 12, 30):
        drawn = random.normal(100, 5, (2000, repeats + 2))
        limits = [noise([row[2:].tolist()], 0.0) or 0 for row in drawn]
        wrong = np.mean(np.abs(drawn[:, 0] - drawn[:, 1]) > limits)
        assert wrong < 0.06, repeats  # 5 %, and three standard errors of 2,000 draws


def test_a_planted_shift_of_six_deviations_is_nearly_always_found() -> None:
    random = np.random.default_rng(41)
    for repeats in (6, 12, 30):
        drawn = random.normal(100, 5, (2000, repeats + 2))
        limits = [noise([row[2:].tolist()], 0.0) or 0 for row in drawn]
        found = np.mean(np.abs(drawn[:, 0] + 30 - drawn[:, 1]) > limits)
        assert found > 0.85, repeats


def test_groups_of_other_inputs_may_lie_apart_without_making_noise() -> None:
    near, far = [10.0, 10.1, 9.9], [90.0, 90.1, 89.9]
    apart = noise([near, far], 0.0)
    assert apart is not None
    assert apart < 1
    assert noise([[*near, *far]], 0.0) > 80  # type: ignore[operator]


def test_points_of_students_t_are_those_of_the_tables() -> None:
    known = {1: 12.706, 10: 2.228, 30: 2.042, 40: 2.021, 60: 2.000, 100: 1.984}
    for freedom, point in known.items():
        assert student_t95(freedom) == pytest.approx(point, abs=0.01)


def test_a_turn_that_one_run_never_came_to_is_a_difference_unless_repeats_lack_it_too() -> None:
    before, after = result(8.0), result(None)
    always = [[result(8.0) for _ in range(5)]]
    found = line(compare(before, after, always), "recovered")
    assert (found.finding, found.better) == ("differs", False)
    at_times = [[result(8.0), result(None), result(8.1), result(7.9)]]
    assert line(compare(before, after, at_times), "recovered").finding == "within"
    assert line(compare(before, after, [[result(8.0)]]), "recovered").finding == "unknown"


def test_a_check_that_turns_invalid_differs_unless_it_did_so_before() -> None:
    bad = [CheckLine(name="recovered", verdict="invalid", summary="")]
    before, after = result(), result(checks=bad, verdict="failed")
    steady = [[result() for _ in range(4)]]
    assert compare(before, after, steady).checks[0].finding == "differs"
    assert compare(before, after, steady).verdict.finding == "differs"
    flaky = [[*steady[0], result(checks=bad, verdict="failed")]]
    found = compare(before, after, flaky).checks[0]
    assert (found.finding, found.repeats) == ("within", {"valid": 4, "invalid": 1})
    assert compare(before, after, [[]]).checks[0].finding == "unknown"


def test_a_check_that_only_one_of_them_has_is_a_line_of_its_own() -> None:
    more = [*result().checks, CheckLine(name="alerts", verdict="valid", summary="")]
    found = compare(result(), result(checks=more), [[result() for _ in range(4)]])
    assert [(each.name, each.before, each.after) for each in found.checks] == [
        ("recovered", "valid", "valid"),
        ("alerts", None, "valid"),
    ]


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_not_known(strange: float) -> None:
    earlier = [[result(p95_ms=each) for each in (300, 301, strange, 302, 299)]]
    found = line(compare(result(p95_ms=strange), result(p95_ms=305), earlier), "p95")
    assert found.before is None
    assert found.repeats == 4


def test_a_run_without_traffic_is_compared_all_the_same() -> None:
    found = compare(result(), replace(result(), traffic=None), [[]])
    assert line(found, "p95").after is None
    assert line(found, "p95").finding == "unknown"
