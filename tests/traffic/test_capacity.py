"""What a generator can do, known before the first request: arithmetic, and one measurement."""

import json
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gameday.cli import main
from gameday.plan import generator
from gameday.traffic.capacity import calibration
from gameday.traffic.capacity.calibration import RAMP_S, TOP_PER_S, Calibration, ceiling
from gameday.traffic.capacity.demand import Demand, VuDemand, demand_of
from gameday.traffic.capacity.machine import Machine
from gameday.traffic.capacity.shortfalls import Shortfall, shortfalls
from gameday.traffic.history import RECORD
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.scenario_json import from_json
from tests.support.plan_parts import inputs_of

MACHINE = Machine()
STRESS = {
    "executor": "ramping-arrival-rate",
    "startRate": "10/s",
    "preAllocatedVUs": 50,
    "maxVUs": 50,
    "sleep": "1s",
    "stages": [
        {"target": "10/s", "duration": "30s"},
        {"target": "100/s", "duration": "1m"},
        {"target": "500/s", "duration": "1m"},
        {"target": "1000/s", "duration": "1m"},
        {"target": "10/s", "duration": "30s"},
    ],
}
PEAK = STRESS | {
    "stages": [
        {"target": "1000/s", "duration": "1m"},
        {"target": "1000/s", "duration": "2m"},
        {"target": "10/s", "duration": "30s"},
    ]
}
NORMAL = {
    "executor": "constant-arrival-rate",
    "rate": "5/s",
    "duration": "5m",
    "preAllocatedVUs": 10,
    "maxVUs": 10,
    "sleep": "1s",
}
# The load test of the report: 110 virtual users that sleep 1 s, for 1,000 requests a second.
SEED = {"normal": NORMAL, "peak": PEAK, "stress": STRESS}
CAMPAIGN = {"coupon": "C", "stock": 100_000, "users": 100_000}


def scenarios(**traffic: Any) -> dict[str, Scenario]:
    return {name: from_json(spec) for name, spec in traffic.items()}


def rate(per_s: int, **more: Any) -> dict[str, Any]:
    spec = {"executor": "constant-arrival-rate", "rate": f"{per_s}/s", "duration": "10s"}
    return spec | more


def found(
    traffic: dict[str, Any], machine: Machine = MACHINE, bound_s: float | None = None
) -> list[Shortfall]:
    return shortfalls(demand_of(scenarios(**traffic), 10.0), machine, bound_s)


def test_the_reports_load_test_is_refused_with_the_arithmetic() -> None:
    peak, stress, together = found(SEED)  # 10 users are enough for 5/s
    assert peak.text == "50 VUs that sleep 1 s can start at most 50/s; 1000/s was asked"
    assert (peak.scenario, peak.status, stress.scenario) == ("peak", "fail", "stress")
    assert together.text.startswith("all scenarios at once: 110 VUs that sleep 1 s can start")
    assert "at most 110/s" in together.text


def test_it_is_refused_in_less_than_100_ms(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, traffic=SEED, campaign=CAMPAIGN)
    began = time.perf_counter()
    findings = list(generator.checks(inputs))
    assert time.perf_counter() - began < 0.1
    failed = [each for each in findings if each.status == "fail"]
    assert [each.usage for each in failed] == [True, True, True]
    assert failed[0].found.startswith(f"{tmp_path / 'drop.yaml'}:1:")


def test_the_command_refuses_it_before_anything_is_made(tmp_path: Path) -> None:
    inputs_of(tmp_path, traffic=SEED, campaign=CAMPAIGN)
    given = ["--system", str(tmp_path / "system.yaml"), "--runs", str(tmp_path / "runs")]
    asked = CliRunner().invoke(main, ["run", str(tmp_path / "drop.yaml"), *given])
    assert asked.exit_code == 2
    assert "50 VUs that sleep 1 s can start at most 50/s; 1000/s was asked" in asked.output
    assert not (tmp_path / "runs").exists()


def test_a_bad_threshold_is_refused_with_its_place_by_every_command(tmp_path: Path) -> None:
    inputs_of(tmp_path, traffic={"drop": rate(5)}, campaign=CAMPAIGN)
    path = tmp_path / "drop.yaml"
    document = json.loads(path.read_text())
    document["expect"] = {"thresholds": {"http_req_duration": ["p95<200"]}}
    path.write_text(json.dumps(document, indent=1))
    for command in ("validate", "run", "traffic"):
        asked = CliRunner().invoke(
            main, [command, str(path), "--system", str(tmp_path / "system.yaml")]
        )
        assert asked.exit_code == 2
        assert "drop.yaml:" in asked.output
        assert "'p95<200' is not a threshold" in asked.output


def test_a_strange_address_is_refused_with_its_place(tmp_path: Path) -> None:
    inputs_of(tmp_path, traffic={"drop": rate(5)}, campaign=CAMPAIGN)
    path = tmp_path / "system.yaml"
    text = path.read_text()
    assert text.count("127.0.0.1") >= 1
    path.write_text(text.replace("127.0.0.1", "192.0.2.7"))
    drop = str(tmp_path / "drop.yaml")
    for command in (["run", drop, "--stack", "external"], ["traffic", drop]):
        asked = CliRunner().invoke(main, [*command, "--system", str(path)])
        assert asked.exit_code == 2
        assert re.search(r"system\.yaml:\d+:\d+: base_url: 192\.0\.2\.7 is not", asked.output)
        assert "--allow-target 192.0.2.7" in asked.output


HEAVY = ("numpy", "httpx", "redis", "asyncpg", "docker", "rich", "asyncio", "gameday.evidence")
SAY_WHAT_WAS_IMPORTED = """
import sys
from gameday.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print(ended.code, *(name for name in sys.modules if name in {heavy}), sep=",")
"""


@pytest.mark.parametrize("command", ["traffic", "run", "validate"])
def test_what_is_only_looked_at_imports_nothing_heavy(tmp_path: Path, command: str) -> None:
    """Importing the controller and all that it needs takes ten times as long as refusing."""
    inputs_of(tmp_path, traffic=SEED, campaign=CAMPAIGN)
    script = SAY_WHAT_WAS_IMPORTED.replace("{heavy}", repr(HEAVY))
    told = subprocess.run(
        [
            *(sys.executable, "-c", script, command, str(tmp_path / "drop.yaml")),
            *("--system", str(tmp_path / "system.yaml")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == ("0" if command == "validate" else "2"), told.stdout
    if command != "validate":
        place = f"error: {'virtual users: ' * (command == 'run')}{tmp_path / 'drop.yaml'}:1:"
        assert place in told.stderr


def test_forced_it_is_a_warning(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, traffic=SEED, campaign=CAMPAIGN)
    assert not [each for each in generator.checks(inputs, force=True) if each.status == "fail"]


def test_enough_virtual_users_or_no_limit_are_refused_nothing() -> None:
    assert found({"drop": rate(1000)}) == []
    assert found({"drop": rate(100, sleep="1s", preAllocatedVUs=10, maxVUs=100)}) == []


def test_what_an_answer_in_time_would_take_of_the_users_is_told() -> None:
    few = rate(100, preAllocatedVUs=10, maxVUs=10)
    (told,) = found({"drop": few}, bound_s=0.2)
    assert told.status == "warn"
    assert "all busy once an answer takes 100 ms; 200 ms are to be allowed" in told.text
    assert "maxVUs: 20" in told.cure
    assert found({"drop": few}, bound_s=0.1) == []


@given(st.integers(1, 500), st.integers(1, 4000), st.sampled_from([0.1, 0.25, 1.0, 3.0]))
def test_exactly_what_cannot_be_started_is_refused(most: int, per_s: int, sleep_s: float) -> None:
    users = VuDemand("drop", most, sleep_s, per_s)
    demand = Demand(peak_per_s=per_s, open_most=most, users=(users,))
    refused = any(one.status == "fail" for one in shortfalls(demand, MACHINE))
    assert refused == (per_s * sleep_s > most)


def test_the_peak_is_that_of_all_scenarios_at_once() -> None:
    demand = demand_of(scenarios(**SEED), 10.0)
    assert demand.ceiling_per_s == 110
    # stress reaches 500/s + 500/60 · 30 at 180 s, where peak still has 1000/s
    assert demand.peak_per_s == pytest.approx(1000 + 750 + 5)
    assert demand.open_most == 110
    without = demand_of(scenarios(drop=rate(100)), 10.0)
    assert (without.ceiling_per_s, without.open_most) == (None, 1100)


@pytest.mark.parametrize(
    ("machine", "name", "status"),
    [
        (Machine(files=1100), "open files", "warn"),
        (Machine(files=512), "open files", "fail"),
        (Machine(ports=1050), "own ports", "warn"),
        (Machine(ports=100), "own ports", "fail"),
        (Machine(kept_per_s=180), "generator", "warn"),
        (Machine(kept_per_s=120), "generator", "fail"),
    ],
)
def test_what_the_machine_lacks_is_told(machine: Machine, name: str, status: str) -> None:
    (told,) = found({"drop": rate(100)}, machine)
    assert (told.name, told.status) == (name, status)


def test_half_of_what_was_measured_is_safe() -> None:
    assert found({"drop": rate(100)}, Machine(kept_per_s=200)) == []


def ramp_of(kept_per_s: float, seconds: float = RAMP_S) -> Any:
    """What a worker leaves of the ramp that can send so many a second, and no more."""
    due_s = np.sqrt(2 * np.arange(1, int(TOP_PER_S * seconds / 2)) * seconds / TOP_PER_S)
    free_s = np.arange(len(due_s)) / kept_per_s
    # Each is sent when it is due and the one before it is out of the way.
    sent_s = np.maximum.accumulate(due_s - free_s) + free_s
    records = np.zeros(len(due_s), dtype=RECORD)
    records["intended_ns"] = 5_000_000_000 + due_s * 1e9
    records["sent_ns"] = np.where(sent_s < seconds, 5_000_000_000 + sent_s * 1e9, 0)
    return records


@pytest.mark.parametrize("kept", [2_000, 5_000, 16_000])
def test_a_ramp_shows_the_rate_at_which_a_worker_falls_behind(kept: int) -> None:
    measured, reached_top = ceiling(ramp_of(kept))
    assert measured == pytest.approx(kept, rel=0.15)
    assert not reached_top


def test_one_hiccup_is_not_the_end_of_a_ramp() -> None:
    records = ramp_of(1e9)
    assert ceiling(records) == (TOP_PER_S, True)
    late = slice(2000, 2600)
    records["sent_ns"][late] = records["intended_ns"][late.stop] + 30_000_000
    assert ceiling(records) == (TOP_PER_S, True)


def test_this_machine_is_measured_and_the_figure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert calibration.known() is None
    began = time.monotonic()
    measured = calibration.calibrate()
    assert time.monotonic() - began < 15  # five seconds where nobody else is at work
    assert measured.kept_per_s > 100
    known = calibration.known()
    assert known is not None
    assert known.kept_per_s == measured.kept_per_s
    assert calibration.kept_per_s(measured.kept_per_s / 4, 0.5) == measured.kept_per_s


def test_a_figure_of_another_boot_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "gameday").mkdir()
    old = asdict(Calibration(1.0, reached_top=False, boot="another", version="0"))
    (tmp_path / "gameday" / "calibration.json").write_text(json.dumps(old))
    assert calibration.known() is None
    (tmp_path / "gameday" / "calibration.json").write_text("torn")
    assert calibration.known() is None


def test_only_what_the_users_allow_is_held_against_what_was_measured() -> None:
    names = {one.name for one in found(SEED, Machine(kept_per_s=300))}
    assert names == {"virtual users"}
