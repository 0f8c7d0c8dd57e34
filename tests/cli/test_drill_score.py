"""`gameday drill score`, `baselines` and `forget`, over run directories on the disk."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.drills.baselines import arguments, settle, take_over, write_plan
from gameday.evidence import journal
from gameday.evidence.events import OrderGiven
from gameday.evidence.forgotten import forget
from gameday.evidence.read import read as read_evidence
from gameday.judge.baselines import read_baselines, write_baseline
from gameday.judge.judge import judge
from gameday.report import write_report
from gameday.spec.inputs import load_inputs
from tests.judge.test_score import baseline, flat, said, whole_response
from tests.support.rundirs import RUN, RunDir


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A drill in which ann responded, judged and written up."""
    run = whole_response()
    run.events.append(said(26.0, "note", text="Ann and Annette looked; ann was quick"))
    folder = run.write(tmp_path / "runs" / RUN)
    (folder / "result.json").write_bytes(judge(read_evidence(folder)).to_bytes())
    write_report(folder)
    return folder


def drill(*words: object) -> Result:
    return CliRunner().invoke(main, ["drill", *map(str, words)])


def test_the_parts_stand_beside_the_score_with_where_they_are_recorded(run_dir: Path) -> None:
    told = drill("score", run_dir)
    assert told.exit_code == 0
    assert "redis-slow, live" in told.output
    assert "first right hypothesis" in told.output
    assert "a baseline was simulated" in " ".join(told.output.split())
    assert "harm nothing" in told.output


def test_the_same_bytes_come_out_anywhere(run_dir: Path, tmp_path: Path) -> None:
    """In two processes with another locale, time zone, hash seed, and place."""
    other = tmp_path / "elsewhere" / "deep" / RUN
    shutil.copytree(run_dir, other)
    found = []
    for folder, words in ((run_dir, "C UTC 0"), (other, "tr_TR.UTF-8 Asia/Kathmandu 4711")):
        locale, zone, hashed = words.split()
        own = {"LC_ALL": locale, "TZ": zone, "PYTHONHASHSEED": hashed}
        ended = subprocess.run(
            [sys.executable, "-m", "gameday", "drill", "score", str(folder), "--json"],
            cwd=folder.parent,
            env={**os.environ, **own, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
        )
        found.append(ended.stdout)
    assert found[0] == found[1]
    assert json.loads(found[0])["run"] == RUN
    assert len(json.loads(found[0])["parts"]) == 12


def test_reading_a_score_writes_nothing(run_dir: Path) -> None:
    before = sorted(path.name for path in run_dir.rglob("*"))
    drill("score", run_dir)
    assert sorted(path.name for path in run_dir.rglob("*")) == before


def test_measured_baselines_are_said_to_be_measured(run_dir: Path) -> None:
    for kind, failed in (("nothing", 10), ("perfect", 0)):
        write_baseline(run_dir, baseline(kind, flat(failed=failed)))  # type: ignore[arg-type]
    told = json.loads(drill("score", run_dir, "--json").stdout)
    assert told["message"]["values"]["made"]["id"] == "score.measured"
    assert told["harm"]["perfect"]["how"] == "by hand"


def test_simulated_baselines_are_kept_and_a_measured_one_stays(run_dir: Path) -> None:
    write_baseline(run_dir, baseline("nothing", flat(failed=10)))
    settle(run_dir)
    made = {kind: each.made for kind, each in read_baselines(run_dir).items()}
    assert made == {"nothing": "measured", "perfect": "simulated"}


def test_the_simulation_of_a_fault_that_was_never_measured_is_no_score(tmp_path: Path) -> None:
    run = whole_response()
    (fault,) = run.experiment["method"]
    run.experiment["method"] = [fault, {**fault, "target": "nginx", "id": "other"}]
    run_dir = run.write(tmp_path / RUN)
    settle(run_dir)
    told = json.loads(drill("score", run_dir, "--json").stdout)
    assert (told["status"], told["harm"]["nothing"]["made"]) == ("unknown", "guessed")
    assert "gameday drill baselines RUN" in told["summary"]
    for kind, failed in (("nothing", 10), ("perfect", 0)):
        write_baseline(run_dir, baseline(kind, flat(failed=failed)))  # type: ignore[arg-type]
    assert json.loads(drill("score", run_dir, "--json").stdout)["status"] != "unknown"


def test_an_anonymous_score_has_no_name(run_dir: Path) -> None:
    assert '"ann"' in drill("score", run_dir, "--json").output
    assert '"ann"' not in drill("score", run_dir, "--json", "--anonymous").output


def test_a_baseline_is_the_plan_of_the_session_with_nobody_or_a_quick_bot(
    run_dir: Path, tmp_path: Path
) -> None:
    inputs = run_dir / "inputs"
    shipped = load_inputs("redis-slow")
    (inputs / "system.yaml").write_bytes(shipped.system.raw)
    (inputs / "playbook.md").write_bytes(Path("playbooks/redis-slow.md").read_bytes())
    (inputs / "rules").mkdir()
    (inputs / "rules" / "alerts.yml").write_bytes(shipped.rules[0].read_bytes())
    effective = write_plan(run_dir, tmp_path)
    loaded = load_inputs(str(tmp_path / "baseline.yaml"), str(inputs / "system.yaml"))
    experiment = loaded.experiment.experiment
    session = read_evidence(run_dir).experiment
    assert (experiment.method, experiment.traffic) == (session.method, session.traffic)
    assert (experiment.seed, loaded.playbook is not None) == (7, True)
    assert arguments(run_dir, tmp_path, effective, "nothing")[-2:] == ["--responder", "none"]
    assert "0s" in arguments(run_dir, tmp_path, effective, "perfect")


def test_what_a_run_measured_is_copied_into_the_session(run_dir: Path, tmp_path: Path) -> None:
    measured = RunDir().write(tmp_path / "measured")
    found = take_over(run_dir, measured, "nothing")
    assert (found.made, found.seed, found.run) == ("measured", 7, RUN)
    assert (run_dir / "baselines" / "nothing.json").is_file()


def test_a_system_that_is_not_ours_is_not_broken_to_measure_it(run_dir: Path) -> None:
    path = run_dir / "inputs" / "effective.json"
    content = json.loads(path.read_bytes())
    (run_dir / "inputs" / "system.yaml").write_text("x")
    path.write_text(json.dumps({**content, "stack": "external"}))
    told = drill("baselines", run_dir)
    assert told.exit_code == 2
    assert "not gameday's own" in told.output


def test_a_forgotten_name_is_shown_nowhere_and_the_journal_still_holds(run_dir: Path) -> None:
    raw = (run_dir / "journal.jsonl").read_bytes()
    told = drill("forget", "ann", "--runs", run_dir.parent)
    assert told.exit_code == 0
    assert "what remains" in told.output
    shown = [
        drill("score", run_dir).output,
        drill("score", run_dir, "--json").output,
        (run_dir / "result.json").read_text(),
        (run_dir / "postmortem.md").read_text(),
        (run_dir / "forgotten.json").read_text(),
    ]
    for text in shown:
        words = {word.strip(".,;:|*\"'_").casefold() for word in text.split()}
        assert "ann" not in words
    assert "Annette" in (run_dir / "postmortem.md").read_text()
    assert (run_dir / "journal.jsonl").read_bytes() == raw
    found = journal.read(run_dir / "journal.jsonl")
    assert (found.damage, {r.event.by for r in journal.every(found.records, OrderGiven)}) == (
        "",
        {"somebody-1"},
    )
    assert judge(read_evidence(run_dir)).to_bytes() == (run_dir / "result.json").read_bytes()


def test_an_edited_draft_stays_and_a_second_name_is_another(run_dir: Path) -> None:
    draft = run_dir / "postmortem.md"
    draft.write_text(draft.read_text() + "edited by ann\n")
    drill("forget", "ann", "--runs", run_dir.parent)
    assert draft.read_text().endswith("edited by ann\n")
    assert forget(run_dir, "Annette").hide("Annette, ann") == "somebody-2, somebody-1"


def test_nobody_of_that_name_is_said(run_dir: Path) -> None:
    told = drill("forget", "bert", "--runs", run_dir.parent)
    assert told.exit_code == 2
    assert "nobody is called 'bert'" in told.output


def test_deleting_deletes_the_runs_of_that_person_alone(run_dir: Path) -> None:
    other = RunDir().write(run_dir.parent / "20261122T083000Z-redis-slow-a2b3")
    refused = CliRunner().invoke(
        main, ["drill", "forget", "ann", "--runs", str(run_dir.parent), "--delete"], input="n\n"
    )
    assert (refused.exit_code, run_dir.exists()) == (1, True)
    told = drill("forget", "ann", "--runs", run_dir.parent, "--delete", "--yes")
    assert (told.exit_code, run_dir.exists(), other.exists()) == (0, False, True)


def test_a_file_of_forgotten_names_that_cannot_be_read_shows_no_name(run_dir: Path) -> None:
    (run_dir / "forgotten.json").write_text("{")
    found = journal.read(run_dir / "journal.jsonl")
    assert (found.records, "cannot be read" in found.damage) == ((), True)
