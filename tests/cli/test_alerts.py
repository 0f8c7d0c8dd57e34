"""`gameday alerts`, over one short run of redis-slow: its rules, others, promtool, and mutants."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.errors import UnknownError, UsageError
from gameday.judge.alert_mutants import mutate
from gameday.judge.alert_replay import load_run, play
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.samples import Evaluation
from tests.matrices.alert_defects import RULES, RuleDefect, seeded
from tests.support.rundirs import RUN, RunDir

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")
# Alerts that the short redis-slow is about; the others watch for other incidents.
ITS_OWN = {"IssuanceSlow", "RedisSlow"}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("alerts") / "runs"
    command = [sys.executable, "-m", "gameday", "run", "redis-slow", "--short", "--runs", str(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = runs.glob("*-redis-slow-*")
    return found


def invoke(*argv: object) -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, argv)])


def edited(run_dir: Path, folder: Path, before: str, after: str) -> Path:
    (rules,) = (run_dir / "inputs" / "rules").iterdir()
    text = rules.read_text()
    assert before in text
    path = folder / "edited.yml"
    path.write_text(text.replace(before, after))
    return path


@pytest.mark.slow
def test_its_own_rules_give_the_alerts_that_the_run_recorded(run_dir: Path) -> None:
    run = load_run(run_dir)
    recorded = [line for line in run.samples if isinstance(line, Evaluation)]
    again = play(run, [load_rules(path) for path in run.rules])
    assert again.problems == {}
    assert {alert.name for line in recorded for alert in line.alerts} == ITS_OWN
    for (t_ns, alerts), line in zip(again.lines, recorded, strict=True):
        assert t_ns == line.t_ns
        found = [(a.labels, a.state, a.active_at_ns) for a in alerts]
        assert found == [(a.labels, a.state, a.active_at_ns) for a in line.alerts]


@pytest.mark.slow
def test_replay_shows_the_run_and_its_contract(run_dir: Path) -> None:
    told = invoke("replay", run_dir)
    assert told.exit_code == 0, told.output
    assert "RedisSlow: hit (expected)" in told.output
    found = json.loads(invoke("replay", run_dir, "--json").output)
    assert {each["alert"] for each in found["alerts"]} == ITS_OWN
    assert {each["status"] for each in found["expectations"]} == {"hit"}


@pytest.mark.slow
def test_replay_speaks_korean(run_dir: Path) -> None:
    argv = ["--lang", "ko", "alerts", "replay", run_dir.name, "--runs", str(run_dir.parent)]
    told = CliRunner().invoke(main, argv).stdout
    assert told.splitlines()[0].split() == ["알림", "대기", "발생", "해소", "실제", "실행"]
    assert "s " not in told.splitlines()[1]


def test_an_edited_rule_that_would_not_have_fired_is_told(run_dir: Path, tmp_path: Path) -> None:
    slower = edited(run_dir, tmp_path, "for: 1s", "for: 40s")
    told = invoke("replay", run_dir, "--rules", slower)
    assert told.exit_code == 1
    assert "RedisSlow: missed (expected)" in told.output
    assert "its `for` is 40 s. A shorter `for` (edited.yml:29:9)" in told.output


@pytest.mark.slow
def test_a_rule_file_that_cannot_be_read_is_named_with_its_place(
    run_dir: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: rate(x) > 1\n")
    told = invoke("replay", run_dir, "--rules", bad)
    assert told.exit_code == 2
    assert "bad.yml:5:" in told.output
    assert invoke("replay", run_dir, "--rules", tmp_path / "none.yml").exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")
def test_promtool_reproduces_the_firings_of_the_run(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.yml"
    made = invoke("test", run_dir, "--prometheus", "2", "-o", path)
    assert made.exit_code == 0, made.output
    assert path.read_text().count('"exp_alerts": [{') >= len(ITS_OWN)
    command = [PROMTOOL or "", "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:2000]
    (rules,) = (run_dir / "inputs" / "rules").iterdir()
    copied = tmp_path / "rules.yml"
    copied.write_text(rules.read_text().replace("for: 1s", "for: 8s"))
    broken = tmp_path / "broken.yml"
    lines = path.read_text().splitlines(keepends=True)
    broken.write_text('rule_files: ["rules.yml"]\n' + "".join(lines[1:]))
    command = [PROMTOOL or "", "test", "rules", str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0  # a rule that fires later is told of


@pytest.mark.slow
def test_the_mutants_of_rules_that_a_run_is_about_are_noticed(run_dir: Path) -> None:
    run = load_run(run_dir)
    report = mutate([run], [load_rules(path) for path in run.rules])
    assert report.used == [run.evidence.name]
    mine = [each for each in report.outcomes if each.mutant.of.alert in ITS_OWN]
    others = [each for each in report.outcomes if each.mutant.of.alert not in ITS_OWN]
    removed = [each for each in mine if each.mutant.kind == "removed"]
    assert all(each.noticed_by for each in removed)
    renamed = [each for each in mine if each.mutant.kind == "metric"]
    assert all(each.noticed_by for each in renamed)
    assert not any(e.noticed_by for e in others if e.mutant.kind in ("removed", "metric"))
    share = float(invoke("mutate", run_dir).output.rsplit(": ", 1)[1].split()[0])
    assert share == pytest.approx(
        100 * (len(report.outcomes) - len(report.survivors)) / len(report.outcomes), abs=0.05
    )
    assert invoke("mutate", run_dir, "--at-least", "99").exit_code == 1


SAMPLE = ("bad expression", "long for", "wrong comparison", "metric renamed")


@pytest.mark.slow
@pytest.mark.parametrize("defect", [d for d in RULES if d.name in SAMPLE], ids=lambda d: d.name)
def test_the_result_and_the_draft_name_a_defect_of_the_rules(
    run_dir: Path, tmp_path: Path, defect: RuleDefect
) -> None:
    row = seeded(run_dir, defect, tmp_path)
    assert row.missing == [], row.said


@pytest.mark.slow
def test_of_rules_without_a_defect_nothing_is_said(run_dir: Path, tmp_path: Path) -> None:
    fine = RuleDefect(name="none", says=["fired and resolved in time"], edits=[])
    row = seeded(run_dir, fine, tmp_path)
    assert "Mend" not in row.said
    assert row.missing == []


@pytest.mark.slow
def test_lint_knows_the_series_of_a_run(run_dir: Path) -> None:
    assert invoke("lint", "redis-slow", "--run", run_dir).exit_code == 0


def test_a_run_without_samples_cannot_be_replayed(tmp_path: Path) -> None:
    RunDir().write(tmp_path / RUN)
    (tmp_path / RUN / "samples.jsonl").unlink()
    with pytest.raises(UnknownError, match="no samples"):
        load_run(tmp_path / RUN)
    assert invoke("replay", tmp_path / RUN).exit_code == 3
    with pytest.raises(UsageError):
        load_run(tmp_path / "none")
    told = invoke("mutate", "--runs", tmp_path)
    assert told.exit_code == 2
    assert "no samples" in told.output
