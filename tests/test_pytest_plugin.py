"""The plugin of pytest: in a pytest of its own, with one real run for all tests."""

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gameday.judge.judge import judge
from gameday.judge.result import Result
from gameday.pytest_plugin import ExperimentFailedError, must_pass
from tests.support.rundirs import RunDir, read

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
INSTALLED = any(each.name == "gameday" for each in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "gameday.pytest_plugin")
ALONE = ("-p", "no:cacheprovider", "-p", "no:randomly", *PLUGIN)
QUICK = """\
name: quick
title: "[bold] & <b>"
campaign: {coupon: C, stock: 40, users: 500}
traffic: {drop: {executor: constant-arrival-rate, rate: 20/s, duration: 2s}}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "experiments").mkdir()
    (pytester.path / "experiments" / "quick.yaml").write_text(QUICK)
    return pytester


def test_the_package_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"gameday": "gameday.pytest_plugin"}


def test_who_does_not_use_it_imports_nothing_of_gameday() -> None:
    code = (
        "import sys, pytest, gameday.pytest_plugin;"
        "print(*sorted(n for n in sys.modules if n.split('.')[0] in"
        " ('gameday', 'click', 'pydantic', 'numpy', 'httpx', 'rich')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["gameday", "gameday.pytest_plugin"]


def test_without_the_option_nothing_is_added(project: pytest.Pytester) -> None:
    project.makepyfile("def test_one(): pass")
    project.runpytest_subprocess(*ALONE, "--strict-markers").assert_outcomes(passed=1)


def test_each_name_is_an_item_once_beside_the_tests(project: pytest.Pytester) -> None:
    project.makepyfile("def test_one(): pass")
    words = (*ALONE, "--collect-only", "-q", "--strict-markers")
    asked = ("--gameday", "quick, redis-slow,", "--gameday", "quick")
    found = project.runpytest_subprocess(*words, *asked)
    lines = [line for line in found.outlines if "::" in line]
    assert [line for line in lines if line.startswith("gameday::")] == [
        "gameday::quick",
        "gameday::redis-slow",
    ]
    assert len(lines) == 3
    only = project.runpytest_subprocess(*words, *asked, "-m", "gameday", "-k", "quick")
    assert [line for line in only.outlines if "::" in line] == ["gameday::quick"]


@pytest.mark.timeout(180)
def test_a_real_run_is_an_item_and_a_fixture_under_two_workers(project: pytest.Pytester) -> None:
    """The item of one worker and the test of the other run one after the other."""
    project.makepyfile(
        """
        import json
        from pathlib import Path

        def test_the_fixture_returns_the_typed_result(gameday_run):
            result = gameday_run("quick")
            Path("typed.json").write_text(json.dumps([type(result).__name__, result.verdict]))
            assert result.traffic.scheduled == 40
            assert {check.name for check in result.checks} >= {"no_over_issuance"}
        """
    )
    words = (*ALONE, "-n", "2", "--junitxml=junit.xml", "--gameday", "quick")
    ran = project.runpytest_subprocess(*words, timeout=150)
    runs = sorted((project.path / "runs").iterdir())
    results = [Result.from_bytes((each / "result.json").read_bytes()) for each in runs]
    good = sum(each.verdict == "passed" for each in results)
    outcomes = ran.parseoutcomes()
    assert len(runs) == 2
    kind, verdict = json.loads((project.path / "typed.json").read_text())
    assert kind == "Result"
    assert verdict in {each.verdict for each in results}
    # On a busy machine a run may be unknown: then its item must not pass.
    assert outcomes.get("passed", 0) in {1 + good - (verdict == "passed"), good}
    assert results[1].started_at is not None
    assert results[0].ended_at is not None
    assert results[0].ended_at <= results[1].started_at
    assert 'name="verdict"' in (project.path / "junit.xml").read_text()


def test_a_name_that_nobody_knows_fails_with_what_gameday_says(project: pytest.Pytester) -> None:
    ran = project.runpytest_subprocess(*ALONE, "--gameday", "quik")
    ran.assert_outcomes(failed=1)
    text = ran.stdout.str()
    assert "quik: no verdict, exit code 2 (bad usage" in text
    assert "did you mean 'quick'?" in text
    assert "Traceback" not in text


def test_a_name_that_looks_like_an_option_is_none(project: pytest.Pytester) -> None:
    ran = project.runpytest_subprocess(*ALONE, "--gameday=--help")
    ran.assert_outcomes(failed=1)


def test_a_test_whose_run_has_no_verdict_fails(project: pytest.Pytester) -> None:
    project.makepyfile("def test_one(gameday_run): gameday_run('quick', '--stack', 'nowhere')")
    ran = project.runpytest_subprocess(*ALONE)
    ran.assert_outcomes(failed=1)
    assert "no verdict, exit code 2" in ran.stdout.str()


@pytest.mark.parametrize(("verdict", "code"), [("unknown", 3), ("failed", 1), ("passed", 5)])
def test_whatever_is_not_passed_fails(verdict: str, code: int) -> None:
    result = replace(judge(read(RunDir())), verdict=verdict, exit_code=code)  # type: ignore[arg-type]
    with pytest.raises(ExperimentFailedError, match=f"redis-slow: {verdict}"):
        must_pass(result)


def test_passed_passes() -> None:
    must_pass(replace(judge(read(RunDir())), verdict="passed", exit_code=0))
