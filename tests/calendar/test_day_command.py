"""`gameday day` as people use it: a real stack, real runs, ended from another terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.clock import NS, SystemClock

EXPERIMENT = """
name: quick
campaign: {coupon: COUPON, stock: 10, users: 1000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 20/s, duration: 4s}
expect: {checks: [no_over_issuance]}
"""
DAY = """
name: two
agenda:
  - {experiment: quick}
  - {break: 1h}
  - {experiment: quick}
announcements:
  - {at: start, text: We begin}
  - {at: stopped, text: We stop}
"""
LIMIT_S = 120
CLOCK = SystemClock()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder, name, text in (("experiments", "quick", EXPERIMENT), ("gamedays", "two", DAY)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def until_break(err: Path, day: "subprocess.Popen[bytes]") -> None:
    end_ns = CLOCK.now_ns() + LIMIT_S * NS
    while "2 of 3" not in err.read_text():
        assert day.poll() is None, err.read_text()
        assert CLOCK.now_ns() < end_ns, err.read_text()
        CLOCK.pause(0.1)


@pytest.mark.timeout(300)
def test_a_day_in_its_break_is_ended_by_stop_and_has_one_report(here: Path) -> None:
    with (here / "err").open("wb") as err, (here / "out").open("wb") as out:
        argv = [sys.executable, "-m", "gameday", "day", "two", "--json"]
        day = subprocess.Popen(argv, stdout=out, stderr=err, env=dict(os.environ))
        try:
            until_break(here / "err", day)
            stopped = CliRunner().invoke(main, ["stop", "--by", "me"])
            assert day.wait(LIMIT_S) == 5
        finally:
            day.kill()
            day.wait()
    assert stopped.exit_code == 0, stopped.output
    told = json.loads((here / "out").read_text())
    assert told["ended"] == "operator"
    assert [each["status"] for each in told["agenda"]] == ["done", "interrupted", "not_begun"]
    run = told["agenda"][0]["run"]
    assert (here / "runs" / run / "result.json").is_file()
    assert (here / "runs" / run / "postmortem.md").is_file()
    (report,) = (here / "runs" / "days").glob("*/day.md")
    assert f"../../{run}/postmortem.md" in report.read_text()
    shown = (here / "err").read_text()
    assert "We begin" in shown
    assert "We stop" in shown
    assert list((here / "state" / "gameday" / "days").iterdir()) == []

    again = CliRunner().invoke(main, ["day", str(report.parent)])
    assert (again.exit_code, "a person ended it" in again.stdout) == (5, True)
    assert len(list((here / "runs").glob("*-quick-*"))) == 1  # nothing is begun again


def test_a_wrong_day_touches_nothing(here: Path) -> None:
    (here / "gamedays" / "two.yaml").write_text("name: two\nagenda: [{experiment: quikc}]\n")
    told = CliRunner().invoke(main, ["day", "two"])
    assert told.exit_code == 2
    assert "did you mean 'quick'?" in told.stderr
    assert not (here / "runs").exists()


def test_a_hold_keeps_a_day_from_beginning(here: Path) -> None:
    CliRunner().invoke(main, ["stop", "--hold", "a real incident"])
    told = CliRunner().invoke(main, ["day", "two"])
    assert told.exit_code == 2
    assert "a real incident" in told.stderr
    assert not (here / "runs").exists()


def test_a_prometheus_elsewhere_needs_to_be_allowed(here: Path) -> None:
    go = "go: [{name: calm, expr: up == 1, prometheus: 'http://192.0.2.1:9090'}]\n"
    (here / "gamedays" / "two.yaml").write_text("name: two\nagenda: [{experiment: quick}]\n" + go)
    told = CliRunner().invoke(main, ["day", "two"])
    assert told.exit_code == 2
    assert "two.yaml:3:6" in told.stderr
    assert "--allow-target" in told.stderr


def test_a_secret_that_is_not_there_is_told_before_anything_begins(here: Path) -> None:
    server = "{url: 'http://127.0.0.1:9', bearer: {env: GAMEDAY_TEST_NOT_SET}}"
    go = f"go: [{{name: calm, expr: up == 1, prometheus: {server}}}]\n"
    (here / "gamedays" / "two.yaml").write_text("name: two\nagenda: [{experiment: quick}]\n" + go)
    told = CliRunner().invoke(main, ["day", "two"])
    assert told.exit_code == 2
    assert "GAMEDAY_TEST_NOT_SET is not set" in told.stderr
    assert not (here / "runs").exists()


def day_with_commands(here: Path) -> Path:
    """Put a day on a system from outside the project, which has a command run."""
    project = here / "project"
    (project / "gamedays").mkdir(parents=True)
    (project / "Makefile").write_text("")
    system = "name: far\nbase_url: http://127.0.0.1:1\naudit: {command: [touch, ran]}\n"
    system += "requests: {issue: {post: /, json: {u: '{user}'}, outcomes: {issued: {status: 200}}}}"
    (here / "far.yaml").write_text(system)
    (here / "experiments").rename(project / "experiments")
    day = f"system: ../../far.yaml\nstack: external\nschedule: {{cron: '0 3 * * *'}}\n{DAY}"
    (project / "gamedays" / "two.yaml").write_text(day)
    return project


def test_a_day_asks_for_its_commands_before_it_begins(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(day_with_commands(here))
    told = CliRunner().invoke(main, ["day", "two"])  # nobody can be asked
    assert (told.exit_code, "outside this project" in told.stderr) == (2, True)
    assert "audit.command: touch ran" in told.stderr
    assert "--allow-commands" in told.stderr
    assert "We begin" not in told.stderr  # no announcement, no day
    assert not Path("runs").exists()
    agreed = CliRunner().invoke(main, ["day", "two", "--allow-commands", "--skip-breaks"])
    assert agreed.stderr.count("has these commands run") == 1  # once, not for each run
    assert agreed.stderr.index("has these commands run") < agreed.stderr.index("We begin")


def test_a_schedule_says_that_nobody_agreed_to_the_commands(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(day_with_commands(here))
    (told,) = json.loads(CliRunner().invoke(main, ["schedule", "list", "--json"]).stdout)["days"]
    why = (
        f"{here / 'far.yaml'} is from outside this project, and nobody has agreed to what it has"
        " run (audit.command: touch ran): gameday plan gamedays/two.yaml asks, here and in a"
        " terminal"
    )
    assert {each["left_out"] for each in told["next"]} == {why}
    CliRunner().invoke(main, ["plan", "gamedays/two.yaml", "--allow-commands"])
    (told,) = json.loads(CliRunner().invoke(main, ["schedule", "list", "--json"]).stdout)["days"]
    assert {each["left_out"] for each in told["next"]} == {None}
