"""A warning where too little traffic is planned to judge a fault, and that its cure is enough."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.injection.verify.traffic_needed import held_for, width_s
from gameday.plan.validate import validate
from gameday.spec.inputs import load_inputs

SYSTEM = """
name: shop
base_url: http://127.0.0.1:1
toxiproxy: http://127.0.0.1:1
proxies: {redis: redis}
audit: {get: /audit}
requests:
  issue: {post: /claim, json: {member: '{user}'}, outcomes: {issued: {status: 201}}}
"""


def warnings(
    folder: Path, rate: str, at: str, duration: str, *, system: str = "", traffic: str = ""
) -> list[str]:
    """What is said of a fault of this length, under traffic of that rate."""
    (folder / "shop.yaml").write_text(SYSTEM + system)
    constant = f"{{executor: constant-arrival-rate, rate: {rate}, duration: 30s}}"
    (folder / "slow.yaml").write_text(f"""name: slow
campaign: {{coupon: C, users: 100000, stock: 100000}}
traffic:
  drop: {traffic or constant}
method:
  - fault: network.latency
    target: redis
    latency: 300ms
    at: {at}
    duration: {duration}
""")
    inputs = load_inputs(str(folder / "slow.yaml"), str(folder / "shop.yaml"))
    return [str(each) for each in validate(inputs) if each.message is not None]


@pytest.mark.parametrize("rate", ["1/s", "3/s", "5/s", "6/s"])
def test_a_few_requests_a_second_are_warned_of_and_the_advised_rate_is_not(
    tmp_path: Path, rate: str
) -> None:
    (told,) = warnings(tmp_path, rate, "10s", "5s")
    assert "slow.yaml:9:5: too little traffic to judge network-latency-1" in told
    due = float(rate.removesuffix("/s")) / 2
    assert f"{due:.2g} requests are due in each 0.5 s of the 5 s before it, and 3 are" in told
    advised = re.search(r"a rate of (\d+/s) or more from 5 s to 15 s", told)
    assert advised is not None
    assert warnings(tmp_path, advised[1], "10s", "5s") == []


def test_a_fault_that_begins_at_once_or_is_too_short_is_warned_of(tmp_path: Path) -> None:
    for at, duration, key in [("0s", "5s", "at"), ("900ms", "5s", "at"), ("10s", "60ms", "dur")]:
        (told,) = warnings(tmp_path, "100/s", at, duration)
        cured = {"at": at, "duration": duration}
        advised = re.search(r"; `(\w+): ([\w.]+)`", told)
        assert advised is not None and advised[1].startswith(key)
        cured[advised[1]] = advised[2]
        assert warnings(tmp_path, "100/s", **cured) == []


def test_a_short_fault_needs_more_traffic_or_a_longer_duration(tmp_path: Path) -> None:
    (told,) = warnings(tmp_path, "8/s", "10s", "600ms")
    advised = re.search(r"(\d+/s) or more .* or `duration: ([\w.]+)` at (\d+/s)", told)
    rate = re.search(r"a rate of (\d+/s)", told)
    assert rate is not None
    assert warnings(tmp_path, rate[1], "10s", "600ms") == []
    advised = advised or re.search(r"(\d+/s)", told)
    assert advised is not None
    assert warnings(tmp_path, "8/s", "10s", "1500ms") == []


def test_traffic_that_pauses_in_the_fault_is_warned_of(tmp_path: Path) -> None:
    parts = [("50/s", "9s"), ("1/s", "1s"), ("1/s", "10s")]
    stages = [f"{{target: {target}, duration: {duration}}}" for target, duration in parts]
    ramp = f"{{executor: ramping-arrival-rate, startRate: 50/s, stages: [{', '.join(stages)}]}}"
    (told,) = warnings(tmp_path, "", "10s", "5s", traffic=ramp)
    assert "due in each 0.5 s of it, and 3 are needed in 5 such pieces in a row" in told


def test_nothing_is_said_where_the_services_own_metric_or_virtual_users_tell(
    tmp_path: Path,
) -> None:
    metric = "metrics: [http://127.0.0.1:1/metrics]\ndependencies: {redis: 'max(redis_seconds)'}\n"
    assert warnings(tmp_path, "3/s", "10s", "5s", system=metric) == []
    users = "{executor: constant-vus, vus: 2, duration: 30s}"
    assert warnings(tmp_path, "", "10s", "5s", traffic=users) == []


def test_the_judge_cuts_time_as_the_plan_says() -> None:
    assert [width_s(each) for each in (0.1, 0.9, 1.5, 60.0)] == [0.1, 0.9 / 3, 0.5, 0.5]
    assert width_s(60.0, lasts=False) == 0.25
    assert [held_for(each) for each in (1, 3, 5, 8, 100)] == [2, 2, 3, 4, 5]


def test_plan_and_validate_say_it_with_its_cure(tmp_path: Path) -> None:
    warnings(tmp_path, "4/s", "10s", "5s")
    files = [str(tmp_path / "slow.yaml"), "--system", str(tmp_path / "shop.yaml")]
    told = CliRunner().invoke(main, ["validate", *files])
    assert told.exit_code == 0
    assert "a rate of 8/s or more from 5 s to 15 s" in " ".join(told.output.split())
    for language, said in (("en", "a rate of 8/s"), ("ko", "초당 8건 이상")):
        argv = ["--lang", language, "plan", *files, "--stack", "external"]
        told = CliRunner().invoke(main, argv)
        assert said in " ".join(told.output.split()), told.output
