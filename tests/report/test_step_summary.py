"""The page of a GitHub Actions job, and the workflow that is shipped as an example."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from gameday.judge.judge import judge
from gameday.judge.result import CheckLine, Result
from gameday.report.step_summary import append, step_summary
from tests.support.rundirs import RUN, RunDir, read

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "examples" / "github-actions.yml"


@pytest.fixture(scope="module")
def result() -> Result:
    return judge(read(RunDir()))


def test_it_says_the_verdict_what_does_not_hold_and_the_clocks(result: Result) -> None:
    lost = CheckLine(name="no_lost_issuance", verdict="invalid", summary="3 lost: users 1, 2, 3")
    wrong = replace(result, verdict="failed", exit_code=1, checks=[*result.checks[1:], lost])
    text = step_summary(wrong, "Redis answers late")
    assert text.startswith("### ❌ `redis-slow`: failed\n\nRedis answers late\n\nExit code 1: ")
    assert "| **invalid** | `no_lost_issuance` | 3 lost: users 1, 2, 3 |" in text
    assert f"`{result.checks[1].name}`" not in text
    assert "| after 2 s | after 3 s | after 4 s | after 7 s |" in text
    assert f"`gameday report {RUN}`" in text


@pytest.mark.parametrize(
    ("verdict", "mark"), [("passed", "✅"), ("failed", "❌"), ("unknown", "❔")]
)
def test_a_verdict_has_its_own_mark(result: Result, verdict: str, mark: str) -> None:
    shown = step_summary(replace(result, verdict=verdict))  # type: ignore[arg-type]
    assert shown.startswith(f"### {mark} ")


HOSTILE = (
    "<script>x</script> | `a` [l](javascript:x) @everyone #1 \n# head\n![i](http://evil.example)"
)


def test_nothing_of_a_run_is_markup(result: Result) -> None:
    check = CheckLine(name=HOSTILE, verdict="invalid", summary=HOSTILE)
    text = step_summary(replace(result, checks=[check], experiment=HOSTILE, run=HOSTILE), HOSTILE)
    html = MarkdownIt("js-default", {"html": True}).enable("table").render(text)
    assert "<script" not in html
    assert "<a " not in html
    assert "<img" not in html
    assert html.count("<h1>") == 0
    assert html.count("<tr>") == html.count("<thead>") + html.count("<tbody>")


def test_thousands_of_checks_fit_on_the_page(result: Result) -> None:
    checks = [CheckLine(name=f"c{n}", verdict="invalid", summary="x" * 9_999) for n in range(9_999)]
    text = step_summary(replace(result, checks=checks))
    assert len(text.encode()) < 100_000
    assert "9,949 more are in the result." in text


def test_a_step_with_two_runs_has_both(result: Result, tmp_path: Path) -> None:
    for _ in range(2):
        append(tmp_path / "summary.md", result)
    assert (tmp_path / "summary.md").read_text().count("### ") == 2
    with pytest.raises(OSError, match="directory"):
        append(tmp_path / "gone" / "summary.md", result)


def test_the_example_is_a_workflow_by_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*command, "vendor.github-workflows", WORKFLOW], check=True)
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["experiments"]["steps"]
    assert any("--gameday redis-slow,db-slow" in step.get("run", "") for step in steps)
