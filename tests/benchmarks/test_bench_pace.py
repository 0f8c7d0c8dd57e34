"""What the benchmark of the pace makes of lags, and that its ways of waking are on time or late."""

import numpy as np
import pytest

from tests.benchmarks.bench_pace import WAYS, Kept, Row, aside, verdict, waited, windows_ms


def row(*seconds_ms: float, unsent: int = 0) -> Row:
    """A row of seconds in which every start was so late."""
    made = Row()
    lags_ns = np.repeat(np.array(seconds_ms) * 1e6, 1000).astype(np.int64)
    made.add(Kept(lags_ns, 0.5, unsent), 1000)
    return made


def test_each_whole_second_has_its_figures() -> None:
    lags_ns = np.repeat(np.array([1_000_000, 2_000_000, 9_000_000]), [1000, 1000, 10])
    assert [one.tolist() for one in windows_ms(lags_ns, 1000)] == [[1.0] * 3, [2.0] * 3]


def test_the_middle_second_and_the_calm_quarter_are_told_apart() -> None:
    made = row(1, 2, 3, 4, 50)
    assert made.middle()[99.0] == 3
    assert made.middle(25)[99.0] == 2
    assert made.cpu_ms == [pytest.approx(0.5e6 / 5000)]


def test_the_machine_is_blamed_for_no_more_than_it_did() -> None:
    calm, bad = row(0.1), row(5)
    assert verdict(row(0.5), bad) == "met"
    assert verdict(row(3), calm) == "MISSED"
    assert verdict(row(5.5), bad) == "missed by the machine itself"
    assert verdict(row(50), bad).startswith("MISSED")
    assert verdict(row(0.5, 3, 3), calm) == "MISSED"
    assert verdict(row(0.5, 0.5, 3, 3, 3), calm) == "MISSED, met in the calm quarter"
    assert verdict(row(0.1, unsent=1), calm).startswith("MISSED")
    assert verdict(Row(), calm) == "not measured"


@pytest.mark.parametrize("name", WAYS)
def test_every_way_looks_at_every_start_and_at_none_too_early(name: str) -> None:
    kept = waited_here(name)
    assert len(kept.lags_ns) == 100
    assert kept.lags_ns.min() >= 0
    assert kept.cpu_s > 0


def waited_here(name: str) -> Kept:
    if name == "floor":  # it changes its process, so it gets one of its own
        return aside(name, 1000, 0.1)
    return waited(name, 1000, 0.1)
