"""`gameday runs` and `gameday check`, over run directories on the disk."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.cli.find_run import find_run
from gameday.core.clock import SystemClock
from gameday.core.errors import UsageError
from gameday.evidence.journal import Journal
from gameday.evidence.read import read as read_evidence
from gameday.injection.process import process
from gameday.judge.judge import judge
from gameday.run import hold
from tests.support.events import event_of
from tests.support.rundirs import RUN, RunDir

OLDER = "20261122T083000Z-redis-slow-a2b3"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    for name in (RUN, OLDER):
        RunDir().write(tmp_path / name)
    run_dir = tmp_path / RUN
    (run_dir / "result.json").write_bytes(judge(read_evidence(run_dir)).to_bytes())
    (tmp_path / "notes.txt").write_text("not a run")
    return tmp_path


@pytest.mark.parametrize("ref", ["last", "k3f9", RUN])
def test_a_run_is_found_by_its_name_its_tail_or_as_the_last(runs_dir: Path, ref: str) -> None:
    assert find_run(ref, runs_dir) == runs_dir / RUN


def test_a_run_is_found_by_its_path(runs_dir: Path, tmp_path: Path) -> None:
    assert find_run(str(runs_dir / OLDER), tmp_path / "elsewhere") == runs_dir / OLDER


def test_an_ambiguous_tail_is_refused(runs_dir: Path) -> None:
    RunDir().write(runs_dir / "20261121T083000Z-db-slow-k3f9")
    with pytest.raises(UsageError, match="more than one"):
        find_run("k3f9", runs_dir)


def test_a_missing_run_is_refused_with_the_nearest_name(runs_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_run(RUN[:-1] + "x", runs_dir)
    assert RUN in caught.value.help
    with pytest.raises(UsageError, match="there is no run"):
        find_run("last", runs_dir / "none")


def test_the_list_is_newest_first_and_knows_what_was_not_judged(runs_dir: Path) -> None:
    told = CliRunner().invoke(main, ["runs", "--runs", str(runs_dir), "--json"])
    lines = json.loads(told.stdout)
    assert [line["run"] for line in lines] == [RUN, OLDER]
    assert [line["verdict"] for line in lines] == ["passed", "not judged"]
    assert [line["experiment"] for line in lines] == ["redis-slow", "redis-slow"]
    table = CliRunner().invoke(main, ["runs", "--runs", str(runs_dir)])
    assert table.stdout.index(RUN) < table.stdout.index(OLDER)


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["runs", "--runs", str(tmp_path)])
    assert (told.exit_code, told.stdout) == (0, f"no runs in {tmp_path}\n")


def test_checking_again_prints_the_same_verdict_and_no_difference(runs_dir: Path) -> None:
    told = CliRunner().invoke(main, ["check", "--runs", str(runs_dir)])
    assert told.exit_code == 0
    assert "passed" in told.stdout
    assert "no_over_issuance" in told.stdout
    assert told.stderr == ""


def test_checking_exits_with_the_code_it_computes(runs_dir: Path) -> None:
    run = RunDir()
    run.rows = [*run.stored_rows(), (299, "i299")]
    run.write(runs_dir / "20261124T083000Z-redis-slow-zzzz")
    told = CliRunner().invoke(main, ["check", "zzzz", "--runs", str(runs_dir)])
    assert told.exit_code == 1
    assert "never judged before" in told.stderr


def test_a_difference_is_shown_and_the_result_left_as_it_is(runs_dir: Path) -> None:
    path = runs_dir / RUN / "result.json"
    written = path.read_bytes().replace(b'"verdict": "passed"', b'"verdict": "failed"')
    path.write_bytes(written)
    told = CliRunner().invoke(main, ["check", RUN, "--runs", str(runs_dir)])
    assert told.exit_code == 0
    assert '- "verdict": "failed",' in told.stderr
    assert '+ "verdict": "passed",' in told.stderr
    assert path.read_bytes() == written


def test_json_is_the_result_byte_for_byte(runs_dir: Path) -> None:
    told = CliRunner().invoke(main, ["check", "--json", "--runs", str(runs_dir)])
    assert told.stdout_bytes == (runs_dir / RUN / "result.json").read_bytes()


def test_a_missing_run_ends_with_exit_code_2(runs_dir: Path) -> None:
    told = CliRunner().invoke(main, ["check", "nope", "--runs", str(runs_dir)])
    assert told.exit_code == 2
    assert "error: no run 'nope'" in told.stderr


def test_a_run_without_an_end_was_interrupted_or_is_under_way(runs_dir: Path) -> None:
    killed, alive = "20261124T083000Z-redis-slow-aaaa", "20261125T083000Z-redis-slow-bbbb"
    for name in (killed, alive):
        run = RunDir()
        run.ended = None
        run.write(runs_dir / name)
    path = runs_dir / alive / "journal.jsonl"
    path.unlink()
    book = Journal(path, SystemClock(), "host")
    book.write(
        event_of("run.started", controller=process.record(os.getpid(), "gameday run").as_json())
    )
    book.close()
    told = CliRunner().invoke(main, ["runs", "--runs", str(runs_dir), "--json"])
    lines = {line["run"]: (line["verdict"], line["ended"]) for line in json.loads(told.stdout)}
    assert lines[killed] == ("not judged", "interrupted")
    assert lines[alive] == ("under way", "")
    assert lines[OLDER] == ("not judged", "completed")
    told = CliRunner().invoke(main, ["check", killed, "--runs", str(runs_dir)])
    assert (told.exit_code, "ended: interrupted" in told.stdout) == (5, True)
    told = CliRunner().invoke(main, ["check", alive, "--runs", str(runs_dir)])
    assert "is under way: this is what can be said so far" in told.stderr
    told = CliRunner().invoke(main, ["report", alive, "--runs", str(runs_dir)])
    assert (told.exit_code, "gameday stop ends it" in told.stderr) == (2, True)


def test_a_hold_is_shown_beside_the_runs(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(runs_dir / "state"))
    hold.put("incident 7", "ann")
    told = CliRunner().invoke(main, ["runs", "--runs", str(runs_dir), "--json"])
    assert "by ann: incident 7" in told.stderr
    assert len(json.loads(told.stdout)) == 2


def test_a_torn_journal_is_told_by_check_and_by_heal(runs_dir: Path) -> None:
    path = runs_dir / RUN / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    told = CliRunner().invoke(main, ["check", RUN, "--runs", str(runs_dir)])
    assert "missing: journal: line" in told.stdout
    assert "passed" not in told.stdout.splitlines()[0]
    healed = CliRunner().invoke(main, ["heal", RUN, "--runs", str(runs_dir)])
    assert "is torn; only what stands before it is undone" in healed.stderr.replace("\n", " ")


def test_the_reason_of_a_run_that_ended_early_is_shown(tmp_path: Path) -> None:
    run = RunDir(ended="not_steady", ended_why="objective 'fast' did not hold").write(
        tmp_path / RUN
    )
    told = CliRunner().invoke(main, ["check", str(run)]).output
    assert "it ended because: objective 'fast' did not hold" in told
