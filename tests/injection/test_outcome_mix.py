"""What people are told is a witness too; an honest sell-out, duplicates and noise are none."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.messages import Message
from gameday.injection.verify.impact_verdict import Felt, prompt, shifts
from gameday.injection.verify.injection_verdict import injected, unmeasured
from gameday.injection.verify.outcome_mix import mix_shift
from gameday.injection.verify.traffic_windows import Stretch, Told, stretches
from gameday.spec.changes import EvictKeys, ProxyFlap
from gameday.traffic.history import RECORD, History, HistoryHeader, Outcome
from tests.support.toxics import toxic

LOST = EvictKeys("*", 1.0, 0)
STOCK = 10_000
S = 1_000_000_000
HEADER = HistoryHeader.from_json(
    {
        "scenario": "drop",
        "seed": 1,
        "users": 100_000,
        "t0_ns": 0,
        "spec": {"executor": "constant-arrival-rate", "rate": "50/s", "duration": "20s"},
    }
)


def told(*shares: tuple[float, float, float], taken: int = 100, begin_s: int = 0) -> list[Stretch]:
    """A stretch a second: shares of issued, accepted, sold out; all quick and well."""
    return [
        Stretch(
            (begin_s + n) * S,
            (begin_s + n + 1) * S,
            50,
            0.01,
            0.0,
            0.001,
            (begin_s + n) * S + S // 100,
            Told(*each),
            taken,
        )
        for n, each in enumerate(shares)
    ]


ISSUING = told(*[(1.0, 0.0, 0.0)] * 5)
GONE = told(*[(0.0, 0.0, 1.0)] * 8)


def test_all_later_people_told_sold_out_with_stock_left_is_felt() -> None:
    seen = mix_shift(LOST, ISSUING, GONE, STOCK)
    assert seen is not None
    assert (seen.witness, seen.ok, seen.measured) == ("T", True, 1.0)
    felt = shifts(LOST, Felt([], ISSUING), Felt([], GONE), dependency=False, stock=STOCK)
    probe = unmeasured(Message("readback.in_place"), ok=True)
    verdict, why = injected(probe, felt, probed=False)
    assert verdict == "yes"
    assert "with stock left" in str(why)


@pytest.mark.parametrize("stock", [None, 100, 50])
def test_an_honest_sell_out_is_not_called_felt(stock: int | None) -> None:
    seen = mix_shift(LOST, ISSUING, GONE, stock)
    assert seen is not None
    assert seen.ok is None
    assert "may be because all are gone" in seen.why


def test_a_sell_out_in_the_middle_of_the_fault_is_not_called_felt() -> None:
    selling = told((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.4, 0.0, 0.6), taken=90)
    over = told(*[(0.0, 0.0, 1.0)] * 6, taken=100, begin_s=3)
    seen = mix_shift(LOST, ISSUING, [*selling, *over], 100)
    assert seen is None or seen.ok is None


def test_people_who_ask_again_are_no_changed_mix() -> None:
    again = told(*[(0.1, 0.0, 0.0)] * 8)
    assert mix_shift(LOST, ISSUING, again, STOCK) is None
    assert mix_shift(LOST, again[:5], ISSUING * 2, STOCK) is None


def test_coupons_after_all_were_gone_are_felt() -> None:
    seen = mix_shift(LOST, GONE[:5], told(*[(1.0, 0.0, 0.0)] * 8), STOCK)
    assert seen is not None
    assert seen.ok is True


def test_the_way_to_a_queue_and_back_is_felt() -> None:
    queued = told(*[(0.0, 1.0, 0.0)] * 8)
    for before, during in ((ISSUING, queued), (queued[:5], [*ISSUING, *ISSUING[:3]])):
        seen = mix_shift(LOST, before, during, STOCK)
        assert seen is not None
        assert seen.ok is True


def test_a_second_of_it_is_a_hiccup() -> None:
    hiccup = told(*[(1.0, 0.0, 0.0)] * 4, (0.0, 0.0, 1.0), *[(1.0, 0.0, 0.0)] * 4)
    assert mix_shift(LOST, ISSUING, hiccup, STOCK) is None


def test_a_mix_that_comes_and_goes_with_a_flap_is_felt() -> None:
    flap = ProxyFlap("redis", 1000, 1000, 0)
    turns = told(*[(0.0, 0.0, 1.0), (1.0, 0.0, 0.0)] * 4)
    seen = mix_shift(flap, ISSUING, turns, STOCK)
    assert seen is not None
    assert seen.ok is True


def test_a_mix_that_a_metric_contradicts_tells_nothing() -> None:
    late = toxic("redis", "latency", latency=300)
    calm, hit = Felt([0.002] * 5, ISSUING), Felt([0.002] * 8, GONE)
    seen = shifts(late, calm, hit, dependency=True, stock=STOCK)
    assert [each.ok for each in seen] == [False, False, None]


def test_without_a_probe_only_what_began_with_the_fault_is_felt() -> None:
    slow = [replace(each, took_s=0.4) for each in ISSUING]
    late = toxic("x", "latency", latency=300)
    at_once = prompt(late, Felt([], ISSUING), Felt([], slow * 2), STOCK)
    assert [each.ok for each in at_once if each.unit == "s"] in ([True], [None])
    later = prompt(late, Felt([], ISSUING), Felt([], [*ISSUING, *slow, *slow]), STOCK)
    assert [each.ok for each in later] == [False]
    read_back = unmeasured(Message("readback.in_place"), ok=True, shown=False)
    assert injected(read_back, later, by_traffic=True)[0] == "unknown"
    assert injected(read_back, [replace(later[0], ok=True)])[0] == "unknown"
    assert injected(read_back, [replace(later[0], ok=True)], by_traffic=True)[0] == "yes"
    assert injected(unmeasured(Message("readback.not_there"), ok=False), at_once, by_traffic=True)[
        0
    ] == ("no")


def drop(outcomes: list[Outcome], per_s: int = 50) -> History:
    """One start every 1/50 s, all answered within 10 ms."""
    records = np.zeros(len(outcomes), dtype=RECORD)
    for k, outcome in enumerate(outcomes):
        due = k * S // per_s
        records["k"][k], records["outcome"][k] = k, outcome
        records["intended_ns"][k] = records["sent_ns"][k] = due
        records["ended_ns"][k] = due + 10_000_000
    return History(HEADER, len(outcomes), records)


@given(
    stock=st.integers(0, 900),
    duplicates=st.floats(0, 0.9),
    seed=st.integers(0, 2**32 - 1),
    unanswered=st.floats(0, 0.3),
)
def test_noise_of_an_honest_sell_out_is_never_called_felt(
    stock: int, duplicates: float, seed: int, unanswered: float
) -> None:
    draw, left = np.random.default_rng(seed), stock
    outcomes = []
    for _ in range(1000):
        if draw.random() < duplicates:
            outcomes.append(Outcome.DUPLICATE)
        elif left:
            left -= 1
            outcomes.append(Outcome.UNKNOWN if draw.random() < unanswered else Outcome.ISSUED)
        else:
            outcomes.append(Outcome.SOLD_OUT)
    seen = stretches([drop(outcomes)], 0, 20 * S, 30 * S, 0.5)
    before, during = seen[10:20], seen[20:]
    assert len(before) == 10
    found = mix_shift(LOST, before, during, stock)
    assert found is None or not found.ok


@given(seed=st.integers(0, 2**32 - 1), unanswered=st.floats(0, 0.2))
def test_a_cache_that_lost_its_keys_is_always_called_felt(seed: int, unanswered: float) -> None:
    draw = np.random.default_rng(seed)
    outcomes = [
        Outcome.UNKNOWN if draw.random() < unanswered else Outcome.ISSUED for _ in range(500)
    ]
    outcomes += [Outcome.SOLD_OUT] * 500
    seen = stretches([drop(outcomes)], 0, 20 * S, 30 * S, 0.5)
    found = mix_shift(LOST, seen[10:20], seen[20:], 600)
    assert found is not None
    assert found.ok
