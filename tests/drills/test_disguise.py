"""An experiment as a drill runs it: long enough, and under names that tell nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import SystemClock
from gameday.core.units import seconds
from gameday.drills.disguise import TAIL_S, disguised, stretched, total_s
from gameday.drills.live import LiveDrill
from gameday.drills.scenario import Setting
from gameday.plan.validate import validate
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import find_system, load_drill, load_system
from gameday.spec.shipped import all_experiments
from gameday.spec.system import Semantics
from gameday.traffic.forecast import sell_out_s, traffic_end_s

SYSTEM = load_system(find_system(None))


def loaded(name: str) -> Experiment:
    return load_drill(name, seed=5).loaded.experiment


@pytest.mark.parametrize("path", all_experiments(), ids=lambda path: path.stem)
@pytest.mark.parametrize("nothing", [0.0, 1.0])
def test_every_shipped_experiment_can_be_drilled(path: Path, nothing: float) -> None:
    held = Setting(mode="live", window_s=600, maybe_nothing=nothing)
    drill = LiveDrill(load_drill(str(path), seed=5), SYSTEM, held, SystemClock())
    validate(drill.inputs)
    shown = drill.inputs.experiment.experiment
    own = load_drill(str(path), seed=5).loaded.experiment
    assert shown.name == "drill"
    assert not shown.title
    assert not {*own.traffic} & {*shown.traffic}
    assert not {fault.id for fault in own.method} & {fault.id for fault in shown.method}
    assert shown.seed != own.seed, "it stands in the history, and tells when the fault comes"


@pytest.mark.parametrize("name", ["redis-slow", "traffic-spike", "peak", "redis-slow-under-spike"])
def test_the_traffic_is_as_long_whenever_the_fault_comes_and_whether_it_comes(name: str) -> None:
    experiment = loaded(name)
    ends = [
        traffic_end_s(stretched(experiment, fault_at_s=at_s, window_s=300, lasts_s=120))
        for at_s in (None, 15.0, 200.0)
    ]
    assert ends == [pytest.approx(total_s(experiment, 300, 120))] * 3


def test_the_fault_comes_when_it_is_drawn_and_stays_for_as_long_as_it_may() -> None:
    drill = stretched(loaded("redis-slow-under-spike"), fault_at_s=100.0, window_s=300, lasts_s=120)
    crowd, slow = drill.method
    assert (seconds(crowd.at), seconds(slow.at)) == (100.0, 110.0), "they keep their order"
    assert seconds(crowd.at + crowd.duration) == seconds(slow.at + slow.duration) == 220.0
    assert traffic_end_s(drill) >= 220.0 + TAIL_S


def test_there_is_stock_for_all_of_it_and_no_deadline() -> None:
    drill = stretched(loaded("redis-slow"), fault_at_s=100.0, window_s=600, lasts_s=600)
    assert sell_out_s(drill) is None
    assert not drill.expect.thresholds
    assert drill.expect.recovers_within is None
    assert {alert.alert for alert in drill.expect.alerts} == {"IssuanceSlow", "RedisSlow"}
    assert all(alert.fires_within == timedelta(seconds=600) for alert in drill.expect.alerts)
    assert not drill.abort_if, "people take longer than a guard"


def test_there_is_stock_for_all_of_it_where_an_issue_takes_several_units() -> None:
    timing: Any = {"fault_at_s": 100.0, "window_s": 600, "lasts_s": 600}
    drill = stretched(loaded("redis-slow"), **timing, units=3)
    for per_user in ("one", 2, "many"):
        semantics = Semantics.model_validate({"units": 3, "per_user": per_user})
        assert sell_out_s(drill, semantics) is None
    many = Semantics.model_validate({"units": 3, "per_user": "many"})
    assert sell_out_s(stretched(loaded("redis-slow"), **timing), many) is not None


def test_a_file_that_says_nothing_of_guards_keeps_its_own() -> None:
    experiment = loaded("redis-evict")
    drill = stretched(experiment, fault_at_s=100.0, window_s=600, lasts_s=600)
    assert drill.abort_if == experiment.abort_if != []


def test_names_are_replaced_and_kept() -> None:
    experiment = loaded("redis-slow-under-spike")
    found = disguised(experiment, seed=1)
    assert list(found.shown.traffic) == ["s1"]
    assert [fault.id for fault in found.shown.method] == ["s2", "f2"], "a crowd is traffic"
    assert {alert.of for alert in found.shown.expect.alerts} == {"s2", "f2"}
    assert found.names["f2"] == "slow-redis"
    assert found.names["s1"] == "drop"
    assert found.names["drill"] == "redis-slow-under-spike"
    assert [fault.id for fault in found.real.method] == ["crowd", "slow-redis"]
    assert found.real.title == experiment.title


def test_a_crowd_that_will_come_is_told_by_no_name_of_a_scenario() -> None:
    for name in ("redis-slow", "traffic-spike", "redis-slow-under-spike"):
        found = disguised(loaded(name), seed=1)
        assert found.scenarios == ["s1", "s2", "s3"], name
        assert {*found.shown.traffic} == {"s1"}
    crowd = loaded("redis-slow-under-spike").method[0]
    three = [crowd.model_copy(update={"id": f"crowd-{n}"}) for n in range(3)]
    found = disguised(loaded("redis-slow").model_copy(update={"method": three}), seed=1)
    assert [fault.id for fault in found.shown.method] == ["s2", "s3", "s4"] == found.scenarios[1:]


def test_an_expression_follows_its_scenario() -> None:
    shown = disguised(loaded("bots"), seed=1).shown
    assert 'scenario="s1"' in shown.objectives[0].expr
    assert "people" not in shown.objectives[0].expr


def test_an_objective_that_names_the_target_is_renamed() -> None:
    experiment = loaded("redis-slow")
    named = experiment.objectives[0].model_copy(update={"name": "redis-is-fast"})
    found = disguised(experiment.model_copy(update={"objectives": [named]}), seed=1)
    assert found.shown.objectives[0].name == "o1" == found.real.objectives[0].name
    assert found.names["o1"] == "redis-is-fast"
