"""The arithmetic that the load benchmark holds its tools against."""

import os
import select
import socket
import threading
from collections.abc import Callable, Generator

import numpy as np
import pytest

from tests.benchmarks.bench_load import STEP, Bench, judged, searching, together
from tests.benchmarks.load_calm import TRIES, Calm
from tests.benchmarks.load_peers import POINTS, Shot, late_starts, run
from tests.benchmarks.load_tables import (
    Figures,
    Stalled,
    aims,
    formula,
    is_near,
    near,
    prediction,
    rates_table,
    stall_table,
    usual_truth,
)
from tests.benchmarks.load_target import Target
from tests.benchmarks.load_witness import NS, Seen, may, paired, witnessed

STALL_PER_S = 2000


def stalled_ms(stall_s: float, length_s: int, served_per_s: float, calm_s: float) -> list[float]:
    """What a queue does to requests that come evenly while nobody serves for a while."""
    begin_s, free_s = length_s / 2, 0.0
    took_ms = []
    for due in (np.arange(length_s * STALL_PER_S) / STALL_PER_S).tolist():
        start = max(due, free_s)
        start = begin_s + stall_s if begin_s <= start < begin_s + stall_s else start
        free_s = start + 1 / served_per_s
        took_ms.append((start - due + calm_s) * 1000)
    return took_ms


@pytest.mark.parametrize("served_per_s", [10_000.0, 60_000.0])
@pytest.mark.parametrize("length_s", [10, 30])
def test_the_formula_of_a_stop_is_what_a_queue_does(served_per_s: float, length_s: int) -> None:
    took_ms = stalled_ms(1.4, length_s, served_per_s, 0.0002)
    expected = formula(1.4, length_s, (STALL_PER_S, served_per_s), 0.2)
    simulated = dict(zip(POINTS, np.percentile(took_ms, (50, 90, 95, 99, 100)), strict=True))
    assert all(near(simulated[point], expected[point]) for point in POINTS)


def test_stamps_of_a_queue_give_the_truth_of_the_queue() -> None:
    took_ms = stalled_ms(1.4, 10, 20_000.0, 0.0002)
    due_ns = np.arange(len(took_ms)) * (NS // STALL_PER_S) + 5_000_000_000
    late_ns = np.random.default_rng(1).integers(0, 300_000, len(due_ns))
    late_ns[100] = 0
    answered_ns = due_ns + (np.array(took_ms) * 1e6).astype(np.int64)
    seen = Seen(due_ns + late_ns, answered_ns)
    true = seen.truth(STALL_PER_S, 10)
    assert true == pytest.approx(
        dict(zip(POINTS, np.percentile(took_ms, (50, 90, 95, 99, 100)), strict=True)), abs=0.01
    )
    stop_s, drained_per_s = seen.stop()
    assert stop_s == pytest.approx(1.4, abs=0.001)
    assert drained_per_s == pytest.approx(20_000, rel=0.01)


def test_a_tool_that_skipped_what_was_due_has_no_truth_of_its_own() -> None:
    due_ns = np.arange(20_000) * (NS // STALL_PER_S)
    assert Seen(due_ns, due_ns + 1).truth(STALL_PER_S, 10) is not None
    assert Seen(due_ns[:19_990], due_ns[:19_990] + 1).truth(STALL_PER_S, 10) is None
    assert Seen(due_ns, due_ns + 1, lost=1).truth(STALL_PER_S, 10) is None


def test_requests_and_answers_are_paired_by_connection() -> None:
    rows = [(30, 80, 1000), (10, 1000, 80), (20, 1001, 80), (50, 1000, 80), (90, 80, 7)]
    sent_ns, answered_ns = paired(rows, 80)
    assert sent_ns.tolist() == [10, 20, 50]
    assert answered_ns.tolist() == [30, 0, 0]


@pytest.mark.skipif(not may(), reason="packet sockets may not be opened here")
def test_the_witness_sees_requests_and_answers_with_the_kernels_stamps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = listener.getsockname()
        with witnessed(at[1]) as seen, socket.create_connection(at) as client:
            server = listener.accept()[0]
            # The kernel begins to stamp a moment after it is asked to; until then a packet's time
            # is that of its reading. So the first of these is not looked at.
            for _ in range(4):
                client.sendall(b"?" * 100)
                server.recv(1000)
                select.select([], [], [], 0.05)
                server.sendall(b"!" * 100)
                client.recv(1000)
            server.close()
    took_ms = (seen.answered_ns - seen.sent_ns) / 1e6
    assert seen.lost == 0
    assert len(took_ms) == 4
    assert took_ms[1:].min() >= 50


def test_a_tool_that_counts_from_the_send_is_far_from_the_truth() -> None:
    true = formula(1.4, 30, (STALL_PER_S, 60_000), 0.2)
    assert not near(0.3, true["p99"])
    assert not near(true["p99"] * 1.02, true["p99"])
    assert near(true["p99"] * 1.005, true["p99"])


def figures(told: dict[str, float], true: dict[str, float] | None) -> Figures:
    return Figures(stalled=[Stalled(told, true, 1.4, 20_000)])


def test_a_tool_without_a_truth_is_held_against_the_usual_one() -> None:
    true = dict.fromkeys(POINTS, 100.0)
    found = {"gameday": figures(true, true), "locust": figures(dict.fromkeys(POINTS, 5.0), None)}
    usual = usual_truth(found)
    assert usual == true
    assert is_near(found["gameday"], usual, "p99")
    assert not is_near(found["locust"], usual, "p99")
    assert [met for _, met in aims(found)] == [None, True]


def test_tables_can_be_made_before_anything_was_measured() -> None:
    found = {"gameday": Figures(), "artillery": Figures(), "wrk": figures({"p50": 1.0}, None)}
    rows = [*rates_table(found, {}, 4000), *stall_table(found, {}, 10, STALL_PER_S)]
    assert any(row.startswith("| gameday | –/s ") for row in rows)
    assert any(row.startswith("| wrk | 1.0 (–)") for row in rows)
    assert all(met is None for _, met in aims(found))
    assert prediction([], 1.0) == "calibration: not measured"


def test_what_was_late_or_never_sent_is_missed() -> None:
    shot = Shot(sent=990, asked=1000, late=5, length_s=1, cpu_s=1, rss_mb=1)
    assert shot.missed == 0.015
    assert Shot(sent=990, length_s=1, cpu_s=1, rss_mb=1).missed == 0


@pytest.mark.parametrize(("behind_s", "late"), [(-0.2, 0), (0.0, 0), (0.1, 0), (0.2, 50), (1, 90)])
def test_who_falls_behind_in_a_straight_line_is_late_from_a_tenth_of_a_second_on(
    behind_s: float, late: int
) -> None:
    assert late_starts(100, behind_s) == late


def test_starting_up_costs_nobody_a_core() -> None:
    shot = Shot(sent=1000, length_s=1, cpu_s=1.5, rss_mb=1)
    one = Figures(starting=[0.5], highest=[shot], some=[shot])
    assert one.per_core == 1000
    assert one.cpu_ms == 1000


@pytest.mark.parametrize("limit", [500.0, 3_000.0, 17_500.0])
def test_a_search_ends_just_below_what_is_held(limit: float) -> None:
    ((name, found),) = together({"one": searching()}, lambda _, rate: rate <= limit)
    assert name == "one"
    assert limit / STEP < found <= limit


def test_searches_go_on_in_turn() -> None:
    asked: list[str] = []

    def holds(name: str, _rate: float) -> bool:
        asked.append(name)
        return False

    searches: dict[str, Generator[float, bool, float]] = {n: searching() for n in ("a", "b")}
    assert {name for name, _ in together(searches, holds)} == {"a", "b"}
    assert asked == ["a", "b"] * (len(asked) // 2)


class Machine:
    """A clock that goes on by a second for each look, and a host that steals by a list."""

    def __init__(self, *shares: float) -> None:
        self.stolen = list(shares)
        self.now = 0.0
        self.total = 0.0

    def now_s(self) -> float:
        return self.now

    def stolen_s(self) -> float:
        return self.total

    def measure(self, value: int) -> Callable[[], int]:
        def one() -> int:
            self.now += 1
            self.total += self.stolen.pop(0) * (os.cpu_count() or 1)
            return value + len(self.stolen)

        return one


def test_a_stolen_measurement_is_made_again_until_a_calm_one() -> None:
    machine = Machine(0.2, 0.01, 0.0)
    calm = Calm(now_s=machine.now_s, stolen=machine.stolen_s)
    assert calm.take("one", machine.measure(10)) == 11
    assert calm.tallies["one"].repeated == 1
    assert calm.tallies["one"].stolen == [pytest.approx(0.01)]


def test_of_three_stolen_ones_the_least_stolen_counts() -> None:
    machine = Machine(0.3, 0.1, 0.2, 0.0)
    calm = Calm(now_s=machine.now_s, stolen=machine.stolen_s)
    assert calm.take("one", machine.measure(0)) == 2
    assert calm.tallies["one"].repeated == TRIES - 1


def test_a_stolen_one_that_held_is_not_made_again() -> None:
    machine = Machine(0.3, 0.0)
    calm = Calm(now_s=machine.now_s, stolen=machine.stolen_s)
    assert calm.take("one", machine.measure(0), lambda value: value == 1) == 1
    assert calm.tallies["one"].repeated == 0


def test_one_that_nearly_did_is_made_again_though_it_was_calm() -> None:
    machine = Machine(0.0, 0.0, 0.0)
    calm = Calm(now_s=machine.now_s, stolen=machine.stolen_s)
    assert calm.take("one", machine.measure(0), lambda left: True if left == 0 else None) == 0
    assert calm.tallies["one"].repeated == TRIES - 1
    assert Calm().take("one", lambda: 1, lambda _: False) == 1


def test_a_shot_holds_or_misses_by_little_or_by_far() -> None:
    def sent(count: int) -> Shot:
        return Shot(sent=count, asked=1000, length_s=1, cpu_s=1, rss_mb=1)

    assert [judged(sent(count)) for count in (1000, 998, 700)] == [True, None, False]


def test_a_tool_that_fails_leaves_the_others_alone() -> None:
    def broken() -> int:
        raise ValueError("says something else today")

    calm = Calm()
    assert calm.take("one", broken) is None
    assert calm.tallies["one"].failed == TRIES


def test_when_the_time_is_over_one_round_is_made_and_nothing_again() -> None:
    machine = Machine(0.5, 0.5)
    calm = Calm(0.0, now_s=machine.now_s, stolen=machine.stolen_s)
    assert list(calm.rounds(5)) == [0]
    assert calm.take("one", machine.measure(0)) == 1
    assert calm.tallies["one"].repeated == 0


def test_a_child_that_hangs_is_ended_and_its_own_memory_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.benchmarks.load_peers.LONGEST_S", 0.5)
    before = threading.active_count()
    ended = run(["sleep", "60"], 0.2)
    assert ended.rss_mb < 10
    assert threading.active_count() == before


def test_a_benchmark_that_was_cut_short_tells_what_it_has() -> None:
    from tests.benchmarks.bench_load import QUICK

    bench = Bench(["gameday", "artillery"], Target(1, ()), QUICK, 1.0)
    told = "\n".join(bench.told())
    assert "calibration: not measured" in told
    assert not bench.missed()
