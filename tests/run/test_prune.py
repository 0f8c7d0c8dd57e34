"""Pruning: what may go goes, and each reason to stay is a reason."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.clock import NS, SystemClock
from gameday.core.messages import Message
from gameday.evidence.journal import Journal
from gameday.injection.process import process
from gameday.judge.baselines import Baseline, write_baseline
from gameday.judge.harm import HarmCurve, HarmRecord
from gameday.run.prune import PruneRule, World, finish_removals, look, remove, size_of
from tests.support.events import event_of
from tests.support.past_runs import FIRST, name_of, past_run
from tests.support.rundirs import RunDir

DAY_S = 86_400


def rule(keep: int = 0, older_than_s: int = 0, after_days: float = 400) -> PruneRule:
    now = FIRST + timedelta(days=after_days)
    return PruneRule(keep, older_than_s, "90d", round(now.timestamp()) * NS)


def reasons(runs_dir: Path, asked: PruneRule, world: World | None = None) -> dict[str, str]:
    """By run: "prune.why_…" where it stays, "" where it goes."""
    folders = sorted(runs_dir.iterdir(), key=lambda path: path.name, reverse=True)
    lines = look([each for each in folders if each.name[0] == "2"], asked, world or World())
    return {line.dir.name: "" if line.goes else line.why.id for line in lines}


def test_the_newest_and_the_young_stay_and_the_others_go(tmp_path: Path) -> None:
    for number in range(6):
        past_run(tmp_path, number)
    found = reasons(tmp_path, rule(keep=2, older_than_s=3 * DAY_S, after_days=6.5))
    assert [found[name_of(number)] for number in range(6)] == [
        "",
        "",
        "",
        "",
        "prune.why_newest",
        "prune.why_newest",
    ]
    found = reasons(tmp_path, rule(keep=0, older_than_s=3 * DAY_S, after_days=6.5))
    assert [number for number in range(6) if found[name_of(number)] == ""] == [0, 1, 2, 3]


@given(st.integers(0, 8), st.integers(0, 8), st.floats(0, 9))
def test_no_rule_ever_takes_one_of_the_newest_or_a_young_one(
    keep: int, older_days: int, after_days: float
) -> None:
    names = [Path("nowhere") / name_of(number) for number in range(8)][::-1]
    asked = rule(keep, older_days * DAY_S, after_days)
    for line in look(names, asked, World()):
        assert not line.goes  # none of them is there: nothing that cannot be looked at goes


def open_fault(run_dir: Path) -> None:
    """As after a kill between the injecting and the removing."""
    run = RunDir(ended=None)
    run.events = [e for e in run.events if not e[1].startswith(("fault.removed", "fault.proven"))]
    (run_dir / "journal.jsonl").unlink()
    run.write_journal(run_dir / "journal.jsonl")


def not_gone(run_dir: Path) -> None:
    run = RunDir()
    run.event("fault.removed", gone=False)
    (run_dir / "journal.jsonl").unlink()
    run.write_journal(run_dir / "journal.jsonl")


def torn(run_dir: Path) -> None:
    path = run_dir / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-30])


def damaged(run_dir: Path) -> None:
    (run_dir / "journal.jsonl").write_bytes(b"\x00" * 3000)


def edited(run_dir: Path) -> None:
    path = run_dir / "postmortem.md"
    path.write_text(path.read_text().replace("TODO", "Done", 1))


def written_beside(run_dir: Path) -> None:
    (run_dir / "postmortem.final.md").write_text("# What we learned\n")


def under_way(run_dir: Path) -> None:
    (run_dir / "journal.jsonl").unlink()
    journal = Journal(run_dir / "journal.jsonl", SystemClock(), "host")
    me = {"pid": os.getpid(), "start_time": process.start_time(os.getpid())}
    journal.write(event_of("run.started", run=run_dir.name, controller=me, experiment="x",
                           stack="embedded"))  # fmt: skip
    journal.close()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (open_fault, "open"),
        (not_gone, "open"),
        (torn, "unknown"),
        (damaged, "unknown"),
        (edited, "edited"),
        (written_beside, "edited"),
        (under_way, "under_way"),
    ],
)
def test_a_run_that_somebody_may_need_stays(
    tmp_path: Path, harm: Callable[[Path], None], why: str
) -> None:
    run_dir = past_run(tmp_path, 0)
    other = past_run(tmp_path, 1)
    harm(run_dir)
    found = reasons(tmp_path, rule())
    assert found == {run_dir.name: f"prune.why_{why}", other.name: ""}


def test_a_run_with_open_action_items_stays(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    world = World(has_open_items=lambda path: path.name == run_dir.name)
    assert reasons(tmp_path, rule(), world) == {run_dir.name: "prune.why_items"}


def test_a_run_that_a_drill_is_scored_by_stays(tmp_path: Path) -> None:
    measured, drill = past_run(tmp_path, 0), past_run(tmp_path, 1)
    seconds: tuple[int, ...] = (1, 2)
    none: tuple[int, ...] = (0, 0)
    curve = HarmCurve(due=seconds, failed=none, slow=none, wrong=none)
    baseline = Baseline(
        kind="nothing",
        made="measured",
        how="a run",
        seed=7,
        run=measured.name,
        harm=HarmRecord(curve=curve, before=curve, slow_ms=200.0),
    )
    write_baseline(drill, baseline)
    assert reasons(tmp_path, rule())[measured.name] == "prune.why_baseline"


def test_a_run_that_something_else_tells_of_stays(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    world = World(needed={run_dir.name: Message("prune.why_date")})
    assert reasons(tmp_path, rule(), world)[run_dir.name] == "prune.why_date"


def test_a_link_is_never_followed_and_never_removed(tmp_path: Path) -> None:
    elsewhere, runs_dir = tmp_path / "elsewhere", tmp_path / "runs"
    real = past_run(elsewhere, 0)
    runs_dir.mkdir()
    link = runs_dir / real.name
    link.symlink_to(real)
    (line,) = look([link], rule(), World())
    assert (line.goes, line.why.id, line.size) == (False, "prune.why_link", 0)
    assert remove(replace(line, goes=True), World()) is not None
    assert (real / "result.json").is_file()


def test_what_links_inside_of_a_run_lead_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("years of work")
    run_dir = past_run(tmp_path / "runs", 0)
    (run_dir / "logs" / "out").symlink_to(precious)
    (line,) = look([run_dir], rule(), World())
    assert line.goes
    assert remove(line, World()) is None
    assert not run_dir.exists()
    assert (precious / "data").read_text() == "years of work"


def test_a_run_whose_name_tells_no_age_stays(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    strange = run_dir.rename(tmp_path / "20269999T000000Z-x-abcd")
    assert reasons(tmp_path, rule()) == {strange.name: "prune.why_date"}


def test_it_is_looked_at_again_before_it_goes(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    (line,) = look([run_dir], rule(), World())
    edited(run_dir)
    why = remove(line, World())
    assert why is not None
    assert why.id == "prune.why_edited"
    assert run_dir.is_dir()


def test_a_removal_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    half = run_dir.rename(tmp_path / f".{run_dir.name}.removing")
    (tmp_path / ".notes.removing").mkdir()
    assert finish_removals(tmp_path) == 1
    assert not half.exists()
    assert (tmp_path / ".notes.removing").is_dir()


def test_a_size_is_that_of_all_files(tmp_path: Path) -> None:
    run_dir = past_run(tmp_path, 0)
    before = size_of(run_dir)
    (run_dir / "logs" / "long.log").write_bytes(b"x" * 12_345)
    assert size_of(run_dir) == before + 12_345
