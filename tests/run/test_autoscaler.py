"""The autoscaler's rule: that of Kubernetes' HorizontalPodAutoscaler for an average value."""

import pytest

from gameday.core.clock import NS
from gameday.run.autoscaler import Recommender
from gameday.spec.system import Autoscaler


def autoscaler(**changes: object) -> Autoscaler:
    given = {"expr": "sum(rate(x[5s]))", "target": 100, "most": 4, "stabilization": "10s"}
    return Autoscaler.model_validate({**given, **changes})


@pytest.mark.parametrize(
    ("load", "now", "wanted"),
    [
        (0, 1, 1),
        (100, 1, 1),
        (109, 1, 1),  # a tenth more is none
        (111, 1, 2),
        (250, 1, 3),
        (10_000, 1, 4),
        (290, 3, 3),
        (310, 3, 3),
        (331, 3, 4),
    ],
)
def test_as_many_replicas_as_the_load_needs(load: float, now: int, wanted: int) -> None:
    assert Recommender(autoscaler())(0, load, now) == wanted


@pytest.mark.parametrize(("load", "wanted"), [(1.7e308, 4), (-1.7e308, 1)])
def test_a_load_that_no_machine_has_asks_for_the_most_or_the_least(
    load: float, wanted: int
) -> None:
    assert Recommender(autoscaler(target=0.5))(0, load, 2) == wanted


def test_there_are_never_fewer_than_the_least() -> None:
    assert Recommender(autoscaler(least=2))(0, 0.0, 1) == 2


def test_fewer_are_left_only_when_no_more_were_wanted_for_the_whole_window() -> None:
    recommend = Recommender(autoscaler())
    assert recommend(0, 390, 1) == 4  # more at once
    found = [recommend(second * NS, 90, 4) for second in range(1, 13)]
    assert found == [4] * 10 + [1] * 2
    recommend = Recommender(autoscaler())
    loads = {0: 390, 5: 290}
    found = [recommend(second * NS, loads.get(second, 90), 4) for second in range(18)]
    assert found == [4] * 11 + [3] * 5 + [1] * 2
