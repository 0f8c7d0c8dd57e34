"""A scenario as JSON: what heads of histories of before say is read, and written again the same."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from gameday.spec.experiment import AnyScenario
from gameday.traffic.history import HistoryHeader
from gameday.traffic.schedule.arrival_rate import ArrivalRate
from gameday.traffic.schedule.scenario_json import from_json, from_model, to_json
from gameday.traffic.schedule.virtual_users import VirtualUsers
from gameday.traffic.worker.messages import ExtraScenario

NS = 1_000_000_000
MODEL: TypeAdapter[Any] = TypeAdapter(AnyScenario)
STEADY = {"executor": "constant-arrival-rate", "rate": "0.3/s", "duration": "1m30s"}
MORE = {"startTime": "1500ms", "gracefulStop": "2s", "sleep": "20ms"}
AGAIN = {"on": "timeout", "at_most": 2, "backoff": "250ms"}
UPS = [{"target": 5, "duration": "10s"}, {"target": 0, "duration": "0s"}]
RATES = [{"target": "300/m", "duration": "10s"}, {"target": "0/s", "duration": "1.5ms"}]
SPECS: dict[str, dict[str, Any]] = {
    "steady": STEADY,
    "a minute's rate": {**STEADY, **MORE, "rate": "100/m"},
    "of few users": {**STEADY, **MORE, "preAllocatedVUs": 2, "maxVUs": 9},
    "once": {**STEADY, "population": "once"},
    "zipf": {**STEADY, "population": {"zipf": 1.1}},
    "bots": {**STEADY, "population": {"bots": 3, "share": 0.9}},
    "same": {**STEADY, "population": {"same": 4}},
    "retries": {**STEADY, "retries": AGAIN},
    "ramp": {"executor": "ramping-arrival-rate", "startRate": "7/s", "stages": RATES, **MORE},
    "users": {"executor": "constant-vus", "vus": 7, "duration": "10s", **MORE, "retries": AGAIN},
    "more and fewer": {
        "executor": "ramping-vus",
        "startVUs": 2,
        "stages": UPS,
        "gracefulRampDown": "3s",
    },
}
OF_0_1 = """{"scenario": "drop", "worker": 1, "workers": 2, "seed": 7, "run": "r", "users": 1000,
"coupon": "C", "spec": {"startTime": "0s", "gracefulStop": "30s", "sleep": "0s",
"population": "uniform", "retries": null, "preAllocatedVUs": null, "maxVUs": null,
"executor": "constant-arrival-rate", "rate": "100/s", "duration": "30s"}, "t0_ns": 5,
"clock": "monotonic", "pid": 77}"""
"""As a worker of 0.1 wrote it."""


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_scenario_is_written_as_its_model_always_was_and_read_as_the_same(
    spec: dict[str, Any],
) -> None:
    model = MODEL.validate_python(spec)
    scenario = from_model(model)
    assert to_json(scenario) == model.model_dump(mode="json", exclude={"mix"})  # of the client
    assert from_json(to_json(scenario)) == scenario
    assert from_json(spec) == scenario  # what is left out has its default


def test_the_head_of_a_history_of_0_1_is_read_and_written_again_the_same() -> None:
    head = HistoryHeader.from_json(json.loads(OF_0_1))
    assert head.to_json() == json.loads(OF_0_1)
    assert (head.worker, head.workers, head.users, head.spec.count) == (1, 2, 1000, 3000)


@pytest.mark.parametrize("duration_s", [None, 2.5])
def test_what_a_fault_adds_is_read_as_it_was_written_then_and_is(duration_s: float | None) -> None:
    told = {"executor": "constant-arrival-rate", "rate": "33.333333/s", "start_ns": 1_500_000_001}
    before = from_json({**told, "duration": None if duration_s is None else "2.500000s"})
    spike = ExtraScenario(name="more", rate_per_s=100 / 3, duration_s=duration_s)
    now = spike.scenario(1_500_000_001)
    assert now == before == from_json(to_json(now))
    assert isinstance(now, ArrivalRate)
    assert not now.is_planned


@pytest.mark.parametrize("missing", ["executor", "rate", "duration"])
def test_what_says_too_little_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match=f"'{missing}' is missing"):
        from_json({key: value for key, value in STEADY.items() if key != missing})


@pytest.mark.parametrize("spec", [{**STEADY, "retries": 3}, {**STEADY, "executor": ["x"]}, []])
def test_what_is_of_another_form_is_refused_as_a_wrong_value(spec: Any) -> None:
    with pytest.raises(ValueError, match="."):
        from_json(spec)


def test_users_that_go_up_and_stay_are_one_kind_of_scenario_with_those_that_are_constant() -> None:
    constant = from_json({"executor": "constant-vus", "vus": 3, "duration": "10s"})
    stages = [{"target": 3, "duration": "10s"}]
    ramp = from_json({"executor": "ramping-vus", "startVUs": 3, "stages": stages})
    assert isinstance(constant, VirtualUsers)
    assert isinstance(ramp, VirtualUsers)
    assert constant.steps == ramp.steps
