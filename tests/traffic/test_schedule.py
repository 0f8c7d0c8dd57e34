"""Schedules are k6's arithmetic; users and requests are pure functions of the start's number."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import UsageError
from gameday.spec.experiment import ConstantArrivalRate
from gameday.spec.template import fill_json, fill_text, percent
from gameday.traffic.schedule.arrival_rate import RampingRate
from gameday.traffic.schedule.scenario_json import from_json, from_model
from gameday.traffic.schedule.users import key, user, users_of
from tests.support.due_times import due_ns, due_times

US = 1000


def constant(rate: str, duration: str, **more: Any) -> dict[str, Any]:
    return {"executor": "constant-arrival-rate", "rate": rate, "duration": duration, **more}


def ramping(start: str, *stages: tuple[str, str], **more: Any) -> dict[str, Any]:
    lines = [{"target": target, "duration": duration} for target, duration in stages]
    return {"executor": "ramping-arrival-rate", "startRate": start, "stages": lines, **more}


PEAK = ramping("10/s", ("1000/s", "1m"), ("1000/s", "2m"), ("10/s", "30s"))
STRESS = ramping(
    "10/s", ("10/s", "30s"), ("100/s", "1m"), ("500/s", "1m"), ("1000/s", "1m"), ("10/s", "30s")
)


@pytest.mark.parametrize(
    ("spec", "count"),
    [(constant("5/s", "5m"), 1500), (PEAK, 165_450), (STRESS, 81_750)],
    ids=["normal", "peak", "stress"],
)
def test_the_seed_reports_scenarios_have_the_starts_that_k6_counted(
    spec: dict[str, Any], count: int
) -> None:
    assert from_json(spec).count == count
    assert len(due_times(from_json(spec))) == count


def test_a_ramp_from_zero_starts_where_its_integral_reaches_whole_numbers() -> None:
    offsets = due_times(from_json(ramping("0/s", ("100/s", "10s"))))
    assert len(offsets) == 500
    assert abs(offsets[0] - 447_214_000) < US
    assert abs(offsets[1] - 632_456_000) < US
    assert offsets[-1] == 10_000_000_000


def test_the_example_of_k6s_documentation_integrates_to_4260() -> None:
    spec = ramping("300/m", ("300/m", "1m"), ("600/m", "2m"), ("600/m", "4m"), ("60/m", "2m"))
    offsets = due_times(from_json(spec))
    assert len(offsets) == 4260
    assert offsets[0] == 200_000_000
    assert offsets[-1] == 540_000_000_000


def test_a_constant_rate_begins_at_zero_and_cuts_its_period_to_nanoseconds() -> None:
    thirds = from_json(constant("30/s", "30s"))
    assert due_ns(thirds, 0) == 0
    assert due_ns(thirds, 1) == 33_333_333
    assert thirds.count == 901  # the 901st is due 300 ns before the end
    assert due_ns(from_json(constant("100/s", "60s", startTime="5s")), 0) == 5_000_000_000


def test_a_model_and_its_dump_have_the_same_schedule() -> None:
    model = ConstantArrivalRate.model_validate(constant("100/s", "1s"))
    assert from_model(model) == from_json(model.model_dump(mode="json"))


def test_a_decimal_rate_loses_no_start_to_rounding() -> None:
    assert from_json(ramping("0.3/s", ("0.3/s", "10s"))).count == 3


def test_a_scenario_may_last_until_it_is_switched_off() -> None:
    endless = from_json(constant("1000/s", "1s") | {"duration": None, "start_ns": 1_500_000_001})
    assert endless.end_s == float("inf")
    assert due_ns(endless, 10**6) == 1_000_000_000_000 + 1_500_000_001
    assert endless.highest_rate(10.0, 10.0) == 1000
    assert endless.highest_rate(0.0, 1.0) == 0


@pytest.mark.parametrize(
    "spec",
    [
        constant("0/s", "1s"),
        ramping("1/s", ("1000000/ms", "2h")),
        {"executor": "shared-iterations"},
    ],
)
def test_what_cannot_be_scheduled_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be scheduled|more than|unknown executor"):
        from_json(spec)


stages = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 20_000)), min_size=1, max_size=5)


@given(st.integers(0, 3000), stages, st.integers(0, 5000))
def test_every_start_of_a_ramp_lies_where_the_integral_says(
    first: int, drawn: list[tuple[int, int]], wait_ms: int
) -> None:
    spec = ramping(f"{first}/s", *((f"{rate}/s", f"{ms}ms") for rate, ms in drawn))
    times = from_json(spec | {"startTime": f"{wait_ms}ms"})
    assert isinstance(times, RampingRate)
    ks = np.unique(np.linspace(0, max(times.count - 1, 0), 12, dtype=np.int64))[: times.count]
    for k in ks.tolist():
        due = due_ns(times, k) - wait_ms * 1_000_000
        assert area(first, drawn, due - US) <= k + 1
        assert area(first, drawn, due + US) >= k + 1
    assert times.count == int(area(first, drawn, 10**15))
    assert (np.diff(times.due_ns(ks)) >= 0).all()


def area(first: int, drawn: list[tuple[int, int]], until_ns: int) -> Fraction:
    """The integral of the rate, by exact arithmetic and another road than the code's."""
    total, begin, a = Fraction(0), 0, Fraction(first)
    for rate, ms in drawn:
        length = ms * 1_000_000
        into = min(max(until_ns - begin, 0), length)
        if length:
            there = a + (rate - a) * Fraction(into, length)
            total += (a + there) / 2 * Fraction(into, 10**9)
        begin, a = begin + length, Fraction(rate)
    return total


@given(st.integers(1, 20_000), st.integers(1, 60_000))
def test_a_constant_rate_starts_evenly_and_only_before_its_end(rate: int, ms: int) -> None:
    times = from_json(constant(f"{rate}/s", f"{ms}ms"))
    period = 10**9 // rate
    assert due_ns(times, times.count - 1) == (times.count - 1) * period < ms * 1_000_000
    assert times.count * period >= ms * 1_000_000


def test_the_highest_rate_of_an_interval_sees_the_peak_within_it() -> None:
    times = from_json(PEAK)
    assert times.highest_rate(30, 30) == pytest.approx(505)
    assert times.highest_rate(50, 70) == 1000
    assert times.highest_rate(20, 30) == pytest.approx(505)
    assert times.highest_rate(300, 400) == 0


@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 2**53),
    st.lists(st.integers(0, 2**32 - 1), max_size=20),
)
def test_one_user_and_many_users_are_drawn_alike(seed: int, users: int, ks: list[int]) -> None:
    many = users_of(seed, "drop", np.array(ks, dtype=np.int64), users)
    assert many.tolist() == [user(seed, "drop", k, users) for k in ks]
    assert all(0 <= one < users for one in many)


def test_users_are_spread_evenly_and_differ_by_seed_and_scenario() -> None:
    ks = np.arange(100_000, dtype=np.int64)
    drawn = users_of(7, "drop", ks, 10)
    assert np.bincount(drawn).min() > 9_600
    assert np.bincount(drawn).max() < 10_400
    assert (drawn != users_of(8, "drop", ks, 10)).any()
    assert (drawn != users_of(7, "peak", ks, 10)).any()


def test_a_key_belongs_to_one_start() -> None:
    assert len({key("r", s, k) for s in ("drop", "peak") for k in range(100)}) == 200


VALUES: dict[str, int | str] = {"user": 5, "coupon": 'A "/é', "run": "r1"}


def test_a_value_that_is_one_placeholder_takes_its_type() -> None:
    body = {"userId": "{user}", "text": "user {user} of {run}", "{run}": ["{coupon}", 1, None]}
    filled = fill_json(body, VALUES)
    assert filled == {"userId": 5, "text": "user 5 of r1", "r1": ['A "/é', 1, None]}


def test_text_in_a_path_is_percent_encoded() -> None:
    assert fill_text("/c/{coupon}/{{x}}", VALUES, percent) == "/c/A%20%22%2F%C3%A9/{x}"


@pytest.mark.parametrize("text", ["{usr}", "{", "a {stock}"])
def test_an_unknown_placeholder_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        fill_text(text, VALUES)
    assert "{user}" in caught.value.help
