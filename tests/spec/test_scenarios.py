"""Scenarios: what cannot be kept is refused at its place, and what a file says about the rest."""

# ruff: noqa: E501  - a table of broken files reads best with one of them a line

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.errors import FileError
from gameday.plan.validate import validate
from gameday.spec.experiment import ByRate, ConstantVus, Experiment, RampingVus, Threshold
from gameday.spec.inputs import FileWarning, find_system, load_experiment, load_inputs, load_system
from gameday.spec.system import Semantics
from gameday.traffic.forecast import (
    closed,
    distinct_users,
    expected_starts,
    planned_starts,
    scenarios_of,
    sell_out_s,
    traffic_end_s,
)

ROOT = Path(__file__).parents[2]
HEAD = """name: exp
campaign: {coupon: C, stock: 10, users: 1000}
traffic:
  drop: """
RATE = "executor: constant-arrival-rate, rate: 5/s, duration: 10s"
VUS = "executor: constant-vus, vus: 3, duration: 10s"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(scenario: str, more: str = "") -> Experiment:
    Path("exp.yaml").write_text(f"{HEAD}{scenario}\n{more}")
    return load_experiment("exp.yaml").experiment


def warnings(scenario: str, system: str | None = None) -> list[FileWarning]:
    Path("exp.yaml").write_text(f"{HEAD}{scenario}\n")
    return validate(load_inputs("exp.yaml", system or str(find_system(None))))


BAD = [
    # what is written, with a mark where it is told; what is told; the cure
    ("{executor: constant-arrival-rate, §rate: -5/s, duration: 10s}", "'rate': '-5/s' is negative: a rate is 0 or more", ""),
    ("{executor: constant-arrival-rate, §rate: 0/s, duration: 10s}", "'rate': 0/s asks for nothing", "write more than 0"),
    ("{executor: constant-arrival-rate, §rate: 5, duration: 10s}", "'rate': 5 is not a rate: write a number and /s, /m or /h", ""),
    ("{executor: constant-arrival-rate, rate: 5/s, §duration: 300ms}", "'duration': 300ms is shorter than 1s", "write 1s or more"),
    ("{executor: constant-arrival-rate, rate: 5/s, §duration: -3s}", "'duration': '-3s' is negative: a duration is 0 or more", ""),
    ("{§executor: constant-arival-rate, rate: 5/s, duration: 10s}", "unknown executor 'constant-arival-rate'", "did you mean 'constant-arrival-rate'?"),
    ("{§executor: shared-iterations, vus: 5}", "unknown executor 'shared-iterations'", "one of constant-arrival-rate, constant-vus, ramping-arrival-rate, ramping-vus"),
    (f"{{{RATE}, preAllocatedVUs: 10, §maxVUs: 5}}", "'maxVUs': 5 is less than 'preAllocatedVUs' (10)", "write 10 or more"),
    (f"{{{RATE}, §maxVUs: 5}}", "'maxVUs': 5 without 'preAllocatedVUs'", "add `preAllocatedVUs: 5`, or leave both out"),
    (f"{{{RATE}, §preAllocatedVUs: 0}}", "'preAllocatedVUs': 0 virtual users can start nothing", "write 1 or more"),
    (f"{{{RATE}, preAllocatedVUs: 0, §maxVUs: 0}}", "'maxVUs': 0 virtual users can start nothing", "write 1 or more"),
    (f"{{{RATE}, §preAllocatedVUs: -1}}", "'preAllocatedVUs': -1 is less than 0", "write 0 or more"),
    (f"{{{RATE}, §preAllocatedVus: 1}}", "unknown key 'preAllocatedVus'", "did you mean 'preAllocatedVUs'?"),
    (f"{{{RATE}, §gracefulStop: -1s}}", "'gracefulStop': '-1s' is negative: a duration is 0 or more", ""),
    (f"{{{RATE}, §startTime: soon}}", "'startTime': 'soon' is not a duration: write a number and ms, s, m or h", ""),
    ("{executor: constant-vus, §vus: 0, duration: 10s}", "'vus': 0 is less than 1", "write 1 or more"),
    ("{executor: constant-vus, §vus: 2.5, duration: 10s}", "'vus': 2.5 is not a whole number", ""),
    ("{executor: constant-vus, §vus: 30000, duration: 10s}", "'vus': 30000 is more than 10000", "write 10000 or less"),
    ("{executor: constant-vus, vus: 3, §duration: 10ms}", "'duration': 10ms is shorter than 1s", "write 1s or more"),
    (f"{{{VUS}, §rate: 5/s}}", "unknown key 'rate'", "one of duration, executor, gracefulStop, mix, population, retries, sleep, startTime, vus"),
    ("{executor: ramping-vus, startVUs: 0, §stages: [{target: 0, duration: 5s}]}", "'stages': never has a virtual user", "give one stage a target of 1 or more"),
    ("{executor: ramping-vus, §stages: [{target: 9, duration: 0s}]}", "'stages': together must be longer than 0s", "give one a duration"),
    ("{executor: ramping-vus, stages: [{§target: 9/s, duration: 5s}]}", "'target': '9/s' is not a whole number", ""),
    ("{executor: ramping-vus, stages: [{target: 9, §duration: -5s}]}", "'duration': '-5s' is negative: a duration is 0 or more", ""),
    ("{executor: ramping-vus, §stages: []}", "'stages': must not be empty", "write one at least"),
    ("{executor: ramping-arrival-rate, stages: [{§target: -5/s, duration: 5s}]}", "'target': '-5/s' is negative: a rate is 0 or more", ""),
    ("{executor: constant-arrival-rate, rate: 500/s, duration: 10s, §population: once}", "'population': once: 5000 starts are more than 1000 users", "write `users: 5000` or more under 'campaign'"),
    (f"{{{RATE}, §population: onse}}", "'population': unknown value 'onse'", "did you mean 'once'?"),
    (f"{{{RATE}, population: {{§zipf: -1}}}}", "'zipf': -1 is not more than 0", "write more than 0"),
    (f"{{{RATE}, population: {{bots: 3, §share: 1.5}}}}", "'share': 1.5 is more than 1", "write 1 or less"),
    (f"{{{RATE}, §population: {{bots: 3}}}}", "'share' is missing in 'population'", ""),
    (f"{{{RATE}, §population: {{bots: 2000, share: 0.5}}}}", "'population': 2000 bots leave nobody else of 1000 users", "raise 'users' of 'campaign', or name fewer bots"),
    (f"{{{RATE}, §population: {{sane: 3}}}}", "'population': a mapping: write uniform, once, {zipf: 1.1}, {bots: 3, share: 0.9} or {same: 4}", ""),
    (f"{{{RATE}, population: {{§same: 1}}}}", "'same': 1 is less than 2", "write 2 or more"),
    (f"{{{VUS}, §population: {{same: 2}}}}", "'population': same needs starts that are due together; virtual users begin when they can", "use an arrival-rate executor"),
    (f"{{{VUS}, §population: once}}", "'population': once needs a known number of starts, which virtual users do not have", "use an arrival-rate executor"),
    (f"{{{RATE}, retries: {{§on: error, at_most: 2}}}}", "'on': unknown value 'error'", "one of timeout"),
    (f"{{{RATE}, retries: {{on: timeout, §at_most: 0}}}}", "'at_most': 0 is less than 1", "write 1 or more"),
    (f"{{{RATE}, §retries: {{on: timeout}}}}", "'at_most' is missing in 'retries'", "add it, as at_most: 3"),
]  # fmt: skip


@pytest.mark.parametrize(("scenario", "problem", "cure"), BAD, ids=[text for text, _, _ in BAD])
def test_what_cannot_be_kept_is_told_with_place_value_and_cure(
    scenario: str, problem: str, cure: str
) -> None:
    column = len("  drop: ") + scenario.index("§") + 1
    with pytest.raises(FileError) as caught:
        warnings(scenario.replace("§", ""))
    assert caught.value.message == f"exp.yaml:4:{column}: {problem}"
    assert caught.value.help == cure
    assert caught.value.exit_code == 2


def test_the_command_ends_with_code_2_and_says_where_what_and_the_cure() -> None:
    Path("exp.yaml").write_text(f"{HEAD}{{{RATE}, preAllocatedVUs: 10, maxVUs: 5}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "validate", "exp.yaml", "--system", find_system(None)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: exp.yaml:4:90: 'maxVUs': 5 is less than 'preAllocatedVUs' (10)\n"
        "  help: write 10 or more\n"
        "  page: docs/files.md\n"
    )


def test_all_virtual_users_together_are_as_many_as_connections_may_be() -> None:
    more = f"  more: {{{VUS.replace('3', '9000')}}}\n"
    Path("exp.yaml").write_text(f"{HEAD}{{{RATE}, preAllocatedVUs: 1001}}\n{more}")
    with pytest.raises(FileError, match=r"exp.yaml:3:1: 'traffic': has up to 10001 virtual users"):
        validate(load_inputs("exp.yaml", str(find_system(None))))


def test_once_may_ask_each_user_exactly_once() -> None:
    assert (
        warnings("{executor: constant-arrival-rate, rate: 100/s, duration: 10s, population: once}")
        == []
    )


def test_a_sleep_that_nobody_sleeps_is_a_warning() -> None:
    [told] = warnings(f"{{{RATE}, sleep: 1s}}")
    assert "no virtual user sleeps" in told.text
    assert warnings(f"{{{RATE}, sleep: 1s, preAllocatedVUs: 9}}") == []
    assert warnings(f"{{{VUS}, sleep: 1s}}") == []


def test_a_retry_without_its_key_is_a_warning_and_with_it_none() -> None:
    assert warnings(f"{{{RATE}, retries: {{at_most: 2}}}}") == []
    text = find_system(None).read_text().replace("rules: [prometheus/alerts.yml]", "")
    keyless = [line for line in text.splitlines() if "{key}" not in line]
    Path("keyless.yaml").write_text("\n".join(keyless) + "\n")
    [told] = warnings(f"{{{RATE}, retries: {{at_most: 2}}}}", "keyless.yaml")
    assert "carries no {key}" in told.text


def test_k6s_defaults_are_those_of_the_file() -> None:
    constant, ramping = (
        load("{executor: constant-vus, duration: 9s}"),
        load("{executor: ramping-vus, stages: [{target: 3, duration: 9s}]}"),
    )
    one, two = constant.traffic["drop"], ramping.traffic["drop"]
    assert isinstance(one, ConstantVus)
    assert isinstance(two, RampingVus)
    assert (one.vus, two.startVUs) == (1, 1)
    assert {str(each) for each in (one.gracefulStop, two.gracefulStop, two.gracefulRampDown)} == {
        "0:00:30"
    }
    three = load(f"{{{RATE}}}").traffic["drop"]
    assert isinstance(three, ByRate)
    assert (three.preAllocatedVUs, three.maxVUs, three.population, three.retries) == (
        None,
        None,
        "uniform",
        None,
    )


def test_every_scenario_is_the_same_after_being_dumped_and_read_again() -> None:
    for scenario in (
        f"{{{RATE}, population: {{bots: 3, share: 0.9}}, retries: {{on: timeout, at_most: 2, backoff: 1s}}}}",
        f"{{{RATE}, population: {{zipf: 1}}, preAllocatedVUs: 0, maxVUs: 7, sleep: 1500ms}}",
        f"{{{VUS}, population: once, gracefulStop: 0s}}",
        "{executor: ramping-vus, startVUs: 0, stages: [{target: 3, duration: 0s}], gracefulRampDown: 1s}",
    ):
        experiment = load(scenario)
        dumped = experiment.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert Experiment.model_validate(dumped) == experiment


def test_nobody_knows_how_many_requests_virtual_users_make_or_when_the_stock_is_gone() -> None:
    more = f"  more: {{{VUS}, startTime: 4s}}\n"
    experiment = load("{executor: constant-arrival-rate, rate: 500/s, duration: 3s}", more)
    assert closed(experiment) == ["more"]
    assert expected_starts(experiment) == 1500
    assert traffic_end_s(experiment) == 14
    assert sell_out_s(experiment) is None
    assert closed(load("{executor: constant-arrival-rate, rate: 500/s, duration: 3s}")) == []
    ramp = load(
        "{executor: ramping-vus, stages: [{target: 3, duration: 5s}, {target: 0, duration: 2s}]}"
    )
    assert (traffic_end_s(ramp), expected_starts(ramp)) == (7, 0)


def test_the_stock_is_gone_when_as_many_users_have_asked_whoever_they_are() -> None:
    sold = {
        population: sell_out_s(
            load(
                f"{{executor: constant-arrival-rate, rate: 100/s, duration: 30s, population: {population}}}"
            )
        )
        for population in (
            "uniform",
            "once",
            "{same: 5}",
            "{bots: 2, share: 0.9}",
            "{zipf: 1.5}",
            "{bots: 1, share: 1}",
        )
    }
    assert sold["once"] == pytest.approx(0.1, abs=0.002)
    assert sold["uniform"] == pytest.approx(0.1005, abs=0.002)
    assert sold["{same: 5}"] == pytest.approx(5 * 0.1005, abs=0.01)
    assert sold["{bots: 2, share: 0.9}"] == pytest.approx(0.8, abs=0.05)
    assert sold["{zipf: 1.5}"] == pytest.approx(0.28, abs=0.1)
    assert sold["{bots: 1, share: 1}"] is None


@pytest.mark.parametrize(
    ("stock", "semantics", "gone_s"),
    [
        (900, {"per_user": 2}, (10.0, 10.1)),  # 900 of users who hold two: many ask in vain
        (900, {"per_user": "many"}, (9.0, 9.01)),
        (1800, {"per_user": 2, "units": 2}, (10.0, 10.1)),
        (1801, {"per_user": "many", "units": 2}, (9.0, 9.01)),  # the rest is less than one takes
        (1000, {"per_user": 2}, (11.4, 11.5)),
        (2000, {"per_user": 2}, None),  # the last user of all is never sure to come twice
        (3000, {"per_user": 3}, None),
    ],
)
def test_a_stock_goes_as_users_may_hold_several_and_issues_take_several_units(
    stock: int, semantics: dict[str, Any], gone_s: tuple[float, float] | None
) -> None:
    rate = "{executor: constant-arrival-rate, rate: 100/s, duration: 30s}"
    experiment = load(rate)
    campaign = experiment.campaign.model_copy(update={"stock": stock, "users": 1000})
    found = sell_out_s(
        experiment.model_copy(update={"campaign": campaign}), Semantics.model_validate(semantics)
    )
    if gone_s is None:
        assert found is None
    else:
        assert found is not None and gone_s[0] <= found <= gone_s[1]


def test_only_some_of_the_starts_reach_fewer_users() -> None:
    experiment = load(f"{{{RATE}, population: once}}")
    assert distinct_users(experiment, 10) == pytest.approx(50)
    assert distinct_users(experiment, 10, share=0.5) == pytest.approx(25)
    assert distinct_users(experiment, 4) == pytest.approx(20)


def test_a_threshold_may_be_text_or_say_that_it_ends_the_run() -> None:
    expect = 'expect: {thresholds: {http_req_failed: ["rate<0.1", {threshold: "rate<0.5", abortOnFail: true, delayAbortEval: 3s}]}}\n'
    found = load(f"{{{RATE}}}", expect).expect
    assert found.threshold_texts == {"http_req_failed": ["rate<0.1", "rate<0.5"]}
    last = found.thresholds["http_req_failed"][1]
    assert isinstance(last, Threshold)
    assert (last.abortOnFail, last.delayAbortEval.total_seconds()) == (True, 3)


@pytest.mark.parametrize(
    ("threshold", "problem"),
    [
        ("{threshold: 'avg<1'}", "exp.yaml:5:42: .*avg"),
        ("{threshold: 'rate<1', abortOnfail: true}", "exp.yaml:5:63: unknown key 'abortOnfail'"),
        ("{abortOnFail: true}", "exp.yaml:5:41: 'threshold' is missing"),
    ],
)
def test_a_bad_threshold_is_told_at_its_place(threshold: str, problem: str) -> None:
    Path("exp.yaml").write_text(
        f"{HEAD}{{{RATE}}}\nexpect: {{thresholds: {{http_req_failed: [{threshold}]}}}}\n"
    )
    with pytest.raises(FileError, match=problem):
        validate(load_inputs("exp.yaml", str(find_system(None))))


def test_authorities_of_a_system_are_a_file_beside_it(tmp_path: Path) -> None:
    text = find_system(None).read_text()
    Path("system.yaml").write_text(text + "tls: {ca: ca.pem}\n")
    with pytest.raises(FileError, match=r"'ca': there is no file 'ca.pem'"):
        load_system(Path("system.yaml"))
    Path("ca.pem").touch()
    assert load_system(Path("system.yaml")).system.tls.ca == str(tmp_path / "ca.pem")
    Path("system.yaml").write_text(text + "tls: {ca: ca.pem, insecure: true}\n")
    with pytest.raises(FileError, match="write `ca` or `insecure`, not both"):
        load_system(Path("system.yaml"))


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


def test_show_tells_what_virtual_users_do_and_who_asks() -> None:
    more = (
        f"  more: {{{RATE}, population: {{bots: 3, share: 0.9}}, preAllocatedVUs: 2, maxVUs: 8}}\n"
    )
    load(f"{{{VUS}, sleep: 1s, startTime: 2s}}", more)
    text = shown("show", "exp.yaml", "--system", str(find_system(None)))
    assert "drop: 3 VUs for 10s, from 2s, each sleeps 1s after an answer" in text
    assert "more: 5/s for 10s, with 2 to 8 VUs, 3 users make 90% of them" in text
    assert "50 requests, and as many requests as virtual users get answered (drop), for C" in text
    assert "10 coupons: when they are gone depends on how fast virtual users are answered" in text


def test_the_schema_knows_every_executor_and_population() -> None:
    schema = json.loads(CliRunner().invoke(main, ["schema", "experiment"]).stdout)
    assert {
        "ConstantVus",
        "RampingVus",
        "VuStage",
        "Zipf",
        "Bots",
        "Same",
        "Retries",
        "Threshold",
    } <= set(schema["$defs"])
    assert set(schema["$defs"]["ConstantArrivalRate"]["properties"]) == {
        *("executor", "rate", "duration", "startTime", "gracefulStop", "sleep"),
        *("population", "retries", "mix", "preAllocatedVUs", "maxVUs"),
    }


def test_a_run_plans_the_starts_of_rates_and_none_of_virtual_users() -> None:
    more = f"  more: {{{VUS}}}\n"
    assert planned_starts(scenarios_of(load(f"{{{RATE}}}", more))) == {"drop": 50}
