"""Start times are k6's, to 1 µs: those of its formulas, and those that were recorded.

The formulas are solved exactly (k6_formulas.py). The code under test solves the same quadratic in
floats, from whichever end loses no digits.
"""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.schedule.virtual_users import share_of
from tests.matrices.k6_starts import differences, recorded, vectors, virtual_users, vus_at
from tests.support.due_times import due_ns, due_times
from tests.support.k6_formulas import NS, as_decimal, exact_ms, k6_count, k6_due_s, lines

US = 1000
CONFIGURATIONS = 10_000
STARTS_EACH = 5


def random_scenarios(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Constant rates, and ramps of up to five stages; some flat, of no length, or from 0."""
    draw = Random(seed)
    for _ in range(count):
        unit = draw.choice(["s", "s", "m"])
        more = {"startTime": f"{draw.choice([0, 0, draw.randint(1, 60_000)])}ms"}
        if draw.random() < 0.25:
            rate, ms = draw.randint(1, 20_000), draw.randint(1000, 600_000)
            spec = {"executor": "constant-arrival-rate", "rate": f"{rate}/{unit}"}
            yield {**spec, "duration": f"{ms}ms", **more}
            continue
        rates = [draw.choice([0, draw.randint(0, 3000), draw.randint(0, 10)]) for _ in range(6)]
        if draw.random() < 0.2:
            rates[1] = rates[0]
        lengths = [
            draw.choice([0, draw.randint(1, 900), draw.randint(1000, 240_000)]) for _ in "12345"
        ]
        stages = [
            {"target": f"{rate}/{unit}", "duration": f"{ms}ms"}
            for rate, ms in zip(rates[1:], lengths[: draw.randint(1, 5)], strict=False)
        ]
        spec = {"executor": "ramping-arrival-rate", "startRate": f"{rates[0]}/{unit}"}
        yield {**spec, "stages": stages, **more}


def test_start_times_equal_k6s_formulas_to_a_microsecond_in_10000_random_scenarios() -> None:
    draw, worst, compared = Random(5), Decimal(0), 0
    with localcontext(prec=40):
        for spec in random_scenarios(11, CONFIGURATIONS):
            times, count = from_json(spec), k6_count(spec)
            assert times.count == count, spec
            if not count:
                continue
            ends = lines(spec) if "stages" in spec else []
            picked = {0, count - 1, *(draw.randrange(count) for _ in range(STARTS_EACH - 2))}
            ks = sorted(picked)
            wait_s = as_decimal(exact_ms(spec["startTime"]))
            for k, due in zip(ks, times.due_ns(np.array(ks)).tolist(), strict=True):
                expected = (wait_s + k6_due_s(spec, ends, k)) * NS
                worst = max(worst, abs(expected - due))
                compared += 1
            assert worst <= US, spec
    assert compared > 3 * CONFIGURATIONS


def test_starts_and_virtual_users_are_those_of_the_recorded_vectors() -> None:
    assert len(recorded()["vectors"]) == 60
    assert not list(differences(recorded()["vectors"]))


def test_the_recorded_vectors_are_what_the_formulas_say() -> None:
    assert recorded()["vectors"] == vectors(60)


def test_a_vector_that_differs_is_told() -> None:
    constant, ramp, users = recorded()["vectors"][:3]
    late = {**ramp, "starts_us": [us + 10 for us in ramp["starts_us"]]}
    fewer = {**constant, "starts_us": constant["starts_us"][1:]}
    other = {**users, "vus": [[at_ns, many + 1] for at_ns, many in users["vus"]]}
    told = list(differences([late, fewer, other, ramp]))
    assert len(told) == 3
    assert "10 µs" in told[0]


def test_as_many_are_due_as_real_k6s_sent_and_dropped() -> None:
    counts = recorded()["counts"]
    due = sum(from_json(spec).count for spec in counts["scenarios"].values())
    for run in counts["runs"]:
        assert 0 <= due - run["sent"] - run["dropped"] <= len(counts["scenarios"]), run


def test_thirty_a_second_for_thirty_seconds_are_900_starts_or_901() -> None:
    spec = {"executor": "constant-arrival-rate", "rate": "30/s", "duration": "30s"}
    times = from_json(spec)
    assert times.count == 901
    assert 30 * NS - due_ns(times, 900) == 300  # k6 may or may not make it in time


def test_a_ramp_from_zero_to_a_hundred_in_ten_seconds() -> None:
    stages = [{"target": "100/s", "duration": "10s"}]
    times = from_json({"executor": "ramping-arrival-rate", "startRate": "0/s", "stages": stages})
    assert times.count == 500
    assert due_times(times)[[0, 1, -1]] / NS == pytest.approx([0.447214, 0.632456, 10], abs=1e-6)


def ramping_vus(first: int, *stages: tuple[int, str], **more: Any) -> dict[str, Any]:
    given = [{"target": target, "duration": duration} for target, duration in stages]
    return {"executor": "ramping-vus", "startVUs": first, "stages": given, **more}


def test_ten_virtual_users_come_one_a_second_and_leave_one_a_second() -> None:
    plan = virtual_users(ramping_vus(0, (10, "10s"), (0, "10s")))
    came = [(step.at_ns / NS, step.vus) for step in plan.steps]
    assert came[0] == (0, 0)
    assert came[1:11] == [(n, n) for n in range(1, 11)]
    assert came[11:21] == [(10 + n, 10 - n) for n in range(1, 11)]
    assert came[21:] == [(20, 0)]
    assert (plan.most_vus, plan.end_s) == (10, 20)
    assert [vus_at(plan, round(s * NS)) for s in (-1, 0, 0.999, 1, 10, 10.5, 11, 19.5, 20)] == [
        0,
        0,
        0,
        1,
        10,
        10,
        9,
        1,
        0,
    ]


def test_a_stage_of_no_length_jumps_and_the_end_is_the_end() -> None:
    plan = virtual_users(ramping_vus(2, (2, "3s"), (7, "0s"), (7, "2s"), startTime="1s"))
    assert [vus_at(plan, round(s * NS)) for s in (0.9, 1, 3.9, 4, 5.9, 6)] == [0, 2, 2, 7, 7, 0]


@given(
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60_000)), min_size=1, max_size=5),
    st.data(),
)
def test_the_number_of_virtual_users_is_the_line_in_whole_steps(
    first: int, drawn: list[tuple[int, int]], data: st.DataObject
) -> None:
    plan = virtual_users(ramping_vus(first, *((target, f"{ms}ms") for target, ms in drawn)))
    end = sum(ms for _, ms in drawn) * 1_000_000
    at = data.draw(st.integers(0, end + NS))
    assert vus_at(plan, at) == (0 if at >= end else on_the_line(first, drawn, at))
    assert plan.end_s == end / NS
    assert [step.at_ns for step in plan.steps] == sorted(step.at_ns for step in plan.steps)


def on_the_line(first: int, drawn: list[tuple[int, int]], at: int) -> int:
    """The line's value, cut towards where the stage came from."""
    begin = 0
    for target, ms in drawn:
        length = ms * 1_000_000
        if at < begin + length:
            value = first + Fraction((target - first) * (at - begin), length)
            # A step is due at a whole nanosecond, cut: it may come up to one early.
            late = first + Fraction((target - first) * (at - begin + 1), length)
            rounded = floor if target >= first else ceil
            whole = rounded(value)
            return (
                rounded(late)
                if rounded(late) != whole and early(first, target, length, at - begin)
                else whole
            )
        begin, first = begin + length, target
    return first


def early(first: int, target: int, length: int, into: int) -> bool:
    """Whether the next step's instant, cut to nanoseconds, is this one."""
    many = abs(target - first)
    return any(length * n // many == into for n in range(1, many + 1))


def test_constant_vus_are_there_from_the_start_to_the_end() -> None:
    plan = virtual_users(
        {"executor": "constant-vus", "vus": 5, "duration": "10s", "startTime": "2s", "sleep": "1s"}
    )
    assert [vus_at(plan, round(s * NS)) for s in (1.9, 2, 11.9, 12)] == [0, 5, 5, 0]
    assert (plan.graceful_stop_ns, plan.graceful_ramp_down_ns, plan.sleep_ns) == (
        30 * NS,
        30 * NS,
        NS,
    )


def test_a_scenario_of_virtual_users_has_no_due_times_and_no_known_number() -> None:
    times = from_json(ramping_vus(1, (5, "10s"), startTime="3s"))
    assert times.count == 2**32 - 1
    assert times.end_s == 13
    assert due_ns(times, 17) == 3 * NS
    assert times.highest_rate(0, 20) == times.highest_rate(5, 5) == 0


def test_maxvus_is_preallocatedvus_where_it_is_not_given_and_nothing_where_neither_is() -> None:
    spec = {"executor": "constant-arrival-rate", "rate": "5/s", "duration": "1s"}
    assert from_json(spec).limit is None
    assert from_json({**spec, "preAllocatedVUs": 3}).limit == (
        from_json({**spec, "preAllocatedVUs": 3, "maxVUs": 3}).limit
    )
    limit = from_json({**spec, "preAllocatedVUs": 3, "maxVUs": 9}).limit
    assert limit is not None
    assert (limit.first, limit.most) == (3, 9)


@given(st.integers(0, 500), st.integers(1, 9))
def test_the_workers_virtual_users_are_all_of_them(count: int, workers: int) -> None:
    shares = [share_of(count, worker, workers) for worker in range(workers)]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


@given(st.integers(2, 9), st.integers(1, 500), st.integers(1000, 5000))
def test_the_starts_of_one_user_at_once_are_due_together_and_no_fewer(
    size: int, rate: int, ms: int
) -> None:
    spec = {"executor": "constant-arrival-rate", "rate": f"{rate}/s", "duration": f"{ms}ms"}
    alone, bunched = from_json(spec), from_json({**spec, "population": {"same": size}})
    assert bunched.at_once == size
    assert bunched.count == alone.count
    firsts = due_times(alone)[::size]
    assert (due_times(bunched) == np.repeat(firsts, size)[: alone.count]).all()
    assert (bunched.end_s, bunched.highest_rate(0.5, 0.5)) == (
        alone.end_s,
        alone.highest_rate(0.5, 0.5),
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"executor": "constant-vus", "vus": -1, "duration": "1s"},
        {"executor": "ramping-vus", "stages": [{"target": True, "duration": "1s"}]},
    ],
)
def test_what_has_no_plan_of_virtual_users_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="virtual users"):
        virtual_users(spec)
