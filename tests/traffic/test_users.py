"""Which user asks: the same whoever computes it, spread as each population says."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.traffic.distinct_users import UserSources
from gameday.traffic.schedule.scenario import Population
from gameday.traffic.schedule.users import attempt, key, user, users_of
from gameday.traffic.schedule.zipf import weights

GOLDEN = 0x9E3779B97F4A7C15
STARTS = 200_000

seeds = st.integers(0, 2**63 - 1)
starts = st.lists(st.integers(0, 2**32 - 1), max_size=20)
populations = st.one_of(
    st.sampled_from([None, "uniform", "once"]),
    st.floats(0.05, 5).map(lambda z: {"zipf": z}),
    st.tuples(st.integers(1, 50), st.floats(0.01, 1)).map(
        lambda drawn: {"bots": drawn[0], "share": drawn[1]}
    ),
    st.integers(2, 50).map(lambda m: {"same": m}),
).map(Population.from_json)


def drawn(population: Any, users: int, count: int = STARTS) -> npt.NDArray[np.int64]:
    return users_of(7, "drop", np.arange(count), users, Population.from_json(population))


@given(seeds, st.integers(50, 2**53), starts, populations)
def test_one_user_and_many_users_are_drawn_alike(
    seed: int, users: int, ks: list[int], population: Population
) -> None:
    many = users_of(seed, "drop", np.array(ks, dtype=np.int64), users, population)
    assert many.tolist() == [user(seed, "drop", k, users, population) for k in ks]
    assert all(0 <= one < users for one in many)


@given(seeds, st.integers(1, 2**53), starts)
def test_uniform_users_are_splitmix64_by_the_book(seed: int, users: int, ks: list[int]) -> None:
    from hashlib import blake2b

    digest = blake2b(f"{seed}/users/drop".encode(), digest_size=8).digest()
    for k in ks:
        z = (int.from_bytes(digest, "little") + (k + 1) * GOLDEN) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        assert user(seed, "drop", k, users) == (z ^ (z >> 31)) % users


def test_a_population_is_one_for_each_seed_and_scenario() -> None:
    ks = np.arange(1000)
    for spec in ("uniform", "once", {"zipf": 1.1}, {"bots": 3, "share": 0.5}, {"same": 2}):
        population = Population.from_json(spec)
        here = users_of(7, "drop", ks, 1000, population)
        assert (here == users_of(7, "drop", ks, 1000, population)).all()
        assert (here != users_of(8, "drop", ks, 1000, population)).any()
        assert (here != users_of(7, "peak", ks, 1000, population)).any()


@given(seeds, st.integers(1, 3000), st.integers(1, 5))
def test_once_asks_each_user_once_whatever_worker_asks(seed: int, users: int, workers: int) -> None:
    shares = [
        users_of(seed, "drop", np.arange(worker, users, workers), users, Population("once"))
        for worker in range(workers)
    ]
    assert sorted(np.concatenate(shares).tolist()) == list(range(users))


def test_once_asks_in_no_order() -> None:
    asked = drawn("once", STARTS)
    assert len(np.unique(asked)) == STARTS
    assert abs(np.corrcoef(asked[:-1], asked[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(asked, np.arange(STARTS))[0, 1]) < 0.02
    assert abs(asked[: STARTS // 10].mean() / STARTS - 0.5) < 0.01


def test_once_also_walks_through_more_users_than_can_be_counted() -> None:
    asked = drawn("once", 2**53, 10_000)
    assert len(np.unique(asked)) == 10_000
    assert asked.max() < 2**53


@pytest.mark.parametrize("exponent", [0.5, 0.9, 1.0, 1.1, 2.0])
def test_zipfs_exponent_is_found_again_in_what_was_drawn(exponent: float) -> None:
    users = 1000
    ranks = np.arange(1, users + 1, dtype=float)
    counts = np.bincount(drawn({"zipf": exponent}, users), minlength=users)
    grid = np.linspace(exponent - 0.1, exponent + 0.1, 201)
    likelihood = [
        -z * (counts * np.log(ranks)).sum() - STARTS * math.log((ranks**-z).sum()) for z in grid
    ]
    assert grid[int(np.argmax(likelihood))] == pytest.approx(exponent, abs=0.02)
    expected = STARTS * ranks**-exponent / (ranks**-exponent).sum()
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < users + 5 * math.sqrt(2 * users)


def test_zipf_needs_no_table_of_its_users() -> None:
    asked = drawn({"zipf": 1.1}, 2**53, 10_000)
    assert asked.min() == 0
    assert asked.max() > 10**9
    assert drawn({"zipf": 1.1}, 1, 10).tolist() == [0] * 10


@pytest.mark.parametrize(("bots", "share"), [(3, 0.9), (50, 0.25), (1, 1.0)])
def test_bots_make_their_share_of_the_starts_and_alike(bots: int, share: float) -> None:
    asked = drawn({"bots": bots, "share": share}, 10_000)
    theirs = asked[asked < bots]
    deviation = math.sqrt(share * (1 - share) / STARTS)
    assert len(theirs) / STARTS == pytest.approx(share, abs=5 * deviation + 1e-9)
    counts = np.bincount(theirs, minlength=bots)
    assert abs(counts - counts.mean()).max() < 5 * math.sqrt(counts.mean())
    others = asked[asked >= bots]
    if len(others):
        assert len(np.unique(others)) == pytest.approx(
            (10_000 - bots) * -math.expm1(-len(others) / (10_000 - bots)), rel=0.02
        )


def test_the_same_user_asks_several_times_in_a_row() -> None:
    asked = drawn({"same": 4}, 100_000).reshape(-1, 4)
    assert (asked == asked[:, :1]).all()
    assert len(np.unique(asked[:, 0])) == pytest.approx(100_000 * -math.expm1(-0.5), rel=0.02)


def test_a_key_belongs_to_one_start_and_an_attempts_name_to_one_attempt() -> None:
    keys = {key("r", s, k) for s in ("drop", "peak") for k in range(100)}
    attempts = {attempt("r", s, k, n) for s in ("drop", "peak") for k in range(100) for n in (1, 2)}
    assert (len(keys), len(attempts)) == (200, 400)
    assert attempt("r", "drop", 7) == f"{key('r', 'drop', 7)}-1"


def test_an_unknown_population_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown population 'bots'"):
        Population.from_json("bots")


CROWDS: list[Any] = [
    "uniform",
    "once",
    {"zipf": 1.1},
    {"zipf": 0.6},
    {"bots": 3, "share": 0.9},
    {"same": 4},
]


@pytest.mark.parametrize("spec", CROWDS, ids=str)
@pytest.mark.parametrize("users", [500, 20_000])
def test_so_many_different_users_ask_as_are_expected(spec: Any, users: int) -> None:
    count = 400 if users == 500 else 15_000
    asked = len(np.unique(drawn(spec, users, count)))
    expected = UserSources(users, (Population.from_json(spec),)).expected([count])
    assert expected == pytest.approx(asked, abs=5 * math.sqrt(users) * (spec != "once") + 1e-6)


def test_two_scenarios_populations_are_counted_together() -> None:
    both = np.concatenate([drawn({"zipf": 1.1}, 20_000, 15_000), drawn("uniform", 20_000, 9000)])
    populations = (Population("zipf", zipf=1.1), Population())
    expected = UserSources(20_000, populations).expected([15_000, 9000])
    assert len(np.unique(both)) == pytest.approx(expected, rel=0.02)
    assert UserSources(20_000, populations).expected([0, 0]) == 0


@pytest.mark.parametrize("most", [1, 2, 3, 7, 64, 65])
@pytest.mark.parametrize(
    "spec", ["uniform", "once", {"zipf": 1.1}, {"bots": 20, "share": 0.5}, {"same": 3}]
)
@pytest.mark.parametrize("count", [0, 300, 1_500, 20_000])
def test_as_many_starts_count_as_users_may_hold(spec: Any, most: int, count: int) -> None:
    users = 500
    asked = np.bincount(drawn(spec, users, count), minlength=users)
    crowd = UserSources(users, (Population.from_json(spec),))
    seen = int(np.minimum(asked, most).sum())
    assert crowd.expected_up_to(most, [count]) == pytest.approx(seen, rel=0.12, abs=5)


def test_starts_of_several_populations_count_together() -> None:
    specs, counts = ["uniform", "once", {"same": 4}], [700, 1_200, 800]
    asked = sum(
        np.bincount(drawn(spec, 500, count), minlength=500)
        for spec, count in zip(specs, counts, strict=True)
    )
    crowd = UserSources(500, tuple(map(Population.from_json, specs)))
    for most in (1, 2, 3, 5, 9):
        seen = int(np.minimum(asked, most).sum())
        assert crowd.expected_up_to(most, [float(c) for c in counts]) == pytest.approx(
            seen, rel=0.05
        )


def test_zipfs_weights_are_the_sums_of_its_law() -> None:
    edges = np.array([0, 1, 2, 900, 1500, 30_000])
    for z in (0.6, 1.0, 1.7):
        exact = [sum(n**-z for n in range(a + 1, b + 1)) for a, b in pairwise(edges)]
        assert weights(edges, z) == pytest.approx(exact, rel=1e-6)
