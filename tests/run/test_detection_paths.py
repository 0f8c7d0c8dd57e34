"""SEED.md's four ways to detect: metrics, a dashboard, logs, an APM that tells Slack.

Each has its rule or expectation, an experiment that drills it, and a real run in which it is seen.
The receiver of Slack's messages is a server of this test.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gameday.spec.inputs import load_experiment
from gameday.telemetry.alerts.rules import load_rules
from tests.attacks.server import Server, says
from tests.matrices.detection import detected

ROOT = Path(__file__).parents[2]
RULES = ROOT / "system_under_test" / "prometheus"
QUICK = ROOT / "experiments" / "rules" / "quick.yml"
DASHBOARD = ROOT / "system_under_test" / "deploy" / "grafana" / "dashboards" / "drop.json"
RUN_S = 200
# 110 virtual users that sleep a second start 110 requests a second at most: the report's mistake.
DROPPING = f"""\
name: dropping
campaign: {{coupon: C, stock: 1000, users: 10000}}
traffic:
  drop:
    executor: constant-arrival-rate
    rate: 50/s
    duration: 8s
    preAllocatedVUs: 5
    maxVUs: 5
    sleep: 1s
rules: [{QUICK}]
expect: {{other_alerts: [LoadGeneratorDropping]}}
"""


@dataclass(frozen=True)
class Ran:
    """A run that is over, and what Slack was sent while it went on."""

    dir: Path
    told: list[dict[str, Any]]
    said: str

    def check(self, name: str) -> dict[str, Any]:
        result = json.loads((self.dir / "result.json").read_bytes())
        return next(each for each in result["checks"] if each["name"] == name)

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.dir / "result.json").read_bytes())
        return found

    def heads(self) -> list[str]:
        """The first line of each message."""
        return [each["text"].splitlines()[0] for each in self.told]


def ran(folder: Path, *arguments: str) -> Ran:
    with Server({"/services/T0/B0/hook": says("ok")}) as server:
        done = subprocess.run(
            [sys.executable, "-m", "gameday", "run", *arguments, "--runs", str(folder / "runs")],
            cwd=ROOT,
            env={
                **os.environ,
                "XDG_STATE_HOME": str(folder / "state"),
                "GAMEDAY_SLACK_WEBHOOK": f"{server.url}/services/T0/B0/hook",
            },
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        told = [json.loads(raw) for *_, raw in server.asked]
    (run_dir,) = (folder / "runs").iterdir()
    return Ran(run_dir, told, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def redis_slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    yield ran(tmp_path_factory.mktemp("slow"), "redis-slow", "--short")


@pytest.fixture(scope="module")
def redis_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    yield ran(tmp_path_factory.mktemp("down"), "redis-down", "--short")


@pytest.mark.parametrize("file", [RULES / "alerts.yml", RULES / "alerts.production.yml", QUICK])
def test_every_path_has_its_rule_in_each_rule_file(file: Path) -> None:
    rules = {rule.alert: rule.query.text for rule in load_rules(file).alerts}
    assert "> 0.05" in rules["IssuanceFailing"], "metrics: more than 5 % of requests fail"
    assert "k6_dropped_iterations_total" in rules["LoadGeneratorDropping"], "dashboard"
    assert "issuance_requests_total" in rules["TrafficSurge"], "dashboard: concurrency rises"
    assert 'le="0.2"' in rules["IssuanceSlow"], "APM: the 95th percentile of the waiting time"


@pytest.mark.parametrize(
    ("experiment", "alert"),
    [
        ("redis-down", "IssuanceFailing"),
        ("traffic-spike", "TrafficSurge"),
        ("redis-slow", "IssuanceSlow"),
    ],
)
def test_every_path_by_alerts_has_an_experiment(experiment: str, alert: str) -> None:
    for short in (False, True):
        expected = load_experiment(experiment, short=short).experiment.expect.alerts
        assert alert in [each.alert for each in expected]


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("redis-down", ["failed-issues", "redis-errors", "no-bug"]),
        ("db-down", ["failed-issues", "database-errors"]),
    ],
)
def test_the_path_by_logs_has_experiments(experiment: str, names: list[str]) -> None:
    for short in (False, True):
        expected = load_experiment(experiment, short=short).experiment.expect.logs
        assert [each.name for each in expected] == names


def test_the_dashboard_shows_virtual_users_and_what_was_dropped() -> None:
    shown = DASHBOARD.read_text()
    for name in ("k6_vus_max", "k6_dropped_iterations_total"):
        assert name in shown


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 40)
def test_apm_a_risen_p95_of_the_waiting_time_tells_slack(redis_slow: Ran) -> None:
    alerts = [each for each in redis_slow.heads() if "IssuanceSlow" in each]
    assert len(alerts) == 1, redis_slow.said
    assert alerts[0].startswith("EXERCISE – ")
    statuses = {each["alert"]: each["status"] for each in redis_slow.result()["alerts"]}
    assert statuses["IssuanceSlow"] in ("hit", "unknown"), redis_slow.said
    noted = (redis_slow.dir / "notifications.jsonl").read_text()
    assert '"channel": "slack"' in noted
    assert "/services/" not in noted


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 40)
def test_metrics_failed_requests_send_an_alert(redis_down: Ran) -> None:
    assert any("IssuanceFailing" in each for each in redis_down.heads()), redis_down.said
    assert redis_down.check("alerts")["verdict"] != "invalid", redis_down.said


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 40)
def test_logs_failed_issues_and_errors_of_a_store_are_seen_and_no_bug(redis_down: Ran) -> None:
    found = {each["name"]: each for each in redis_down.result()["logs"]}
    assert {name: each["status"] for name, each in found.items()} == {
        "failed-issues": "hit",
        "redis-errors": "hit",
        "no-bug": "hit",
    }, redis_down.said
    for name in ("failed-issues", "redis-errors"):
        place, _, number = found[name]["lines"][0]["place"].partition(":")
        lines = (redis_down.dir / place).read_text().splitlines()
        assert lines[int(number) - 1] == found[name]["lines"][0]["text"]
    assert "logs/service.log:" in (redis_down.dir / "postmortem.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 40)
def test_dashboard_dropped_iterations_raise_an_alarm(tmp_path: Path) -> None:
    (tmp_path / "dropping.yaml").write_text(DROPPING)
    # A run as it was reported: gameday refuses it, unless it is told not to.
    run = ran(tmp_path, str(tmp_path / "dropping.yaml"), "--force")
    assert any("LoadGeneratorDropping" in each for each in run.heads()), run.said


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 40)
def test_the_parts_of_the_time_to_detect_add_up(redis_slow: Ran, redis_down: Ran) -> None:
    found = [each for run in (redis_slow, redis_down) for each in detected(run.dir)]
    assert len(found) >= 2
    assert [str(each) for each in found if each.wrong] == []
