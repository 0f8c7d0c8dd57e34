"""The autoscaler's rule: that of Kubernetes' HorizontalPodAutoscaler for an average value."""

import asyncio
import json
from pathlib import Path

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.evidence.events import AutoscalerScaled
from gameday.evidence.journal import Journal, every
from gameday.evidence.journal import read as read_journal
from gameday.run.autoscaler import Recommender, ReplicaScaler
from gameday.run.readings import Readings
from gameday.spec.system import Autoscaler
from gameday.spec.undos import ProjectUndo, ScaleUndo
from gameday.telemetry.catalogue import key


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
    recommend = Recommender(autoscaler(target=0.5))
    now = 2
    for second in range(60):  # longer than the window, which fewer replicas wait for
        now = recommend(second * NS, load, now)
    assert now == wanted


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


def test_what_is_there_at_first_is_left_only_after_the_window() -> None:
    recommend = Recommender(autoscaler())
    found = [recommend(second * NS, 0, 4) for second in range(13)]
    assert found == [4] * 11 + [1] * 2


def test_more_than_the_most_are_left_at_once() -> None:
    assert Recommender(autoscaler())(0, 90, 6) == 4


def test_after_a_time_of_which_nothing_is_known_one_low_load_leaves_as_many() -> None:
    recommend = Recommender(autoscaler())
    assert recommend(0, 390, 1) == 4
    assert recommend(20 * NS, 90, 4) == 4


async def test_a_load_that_was_read_while_it_scaled_is_not_forgotten(tmp_path: Path) -> None:
    """Its stack is gone, so that scaling fails; the next attempt is at a newer reading."""
    clock = SystemClock()
    readings = Readings(clock)
    journal = Journal(tmp_path / "journal.jsonl", clock, "m1")
    project = ProjectUndo(engine="unix:///nowhere", engine_id="e", name="p", token="t")
    record = ScaleUndo(name="web", project=project, replicas=4, part=tmp_path / "none.json")
    scaler = ReplicaScaler(autoscaler(most=5), record, readings, journal, clock)

    def read(at_s: float, load: float) -> None:
        line = {"t": clock.now_ns() + round(at_s * NS), "readings": {}, "alerts": []}
        readings.hear(json.dumps(line | {"figures": {key("autoscaler"): load}}).encode())

    def wanted() -> list[int]:
        found = every(read_journal(journal.path).records, AutoscalerScaled)
        return [each.event.replicas for each in found]

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while len(wanted()) < count:
                await asyncio.sleep(0.01)

    for at_s, load in ((-30, 90), (-25, 90), (-19, 90), (-5, 390)):
        read(at_s, load)
    following = asyncio.create_task(scaler.follow())
    await until(1)  # for that of 19 s ago; that of 5 s ago came while it scaled
    for at_s, load in ((3, 90), (4, 900)):
        read(at_s, load)
    await until(2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert wanted() == [1, 5]
