"""Old game days: the runs that one names stay as long as it does, and it as long as they must."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.calendar.day_presence import present
from gameday.calendar.old_days import look_at_days, remove_day
from gameday.cli import main
from gameday.cli.find_run import list_days
from gameday.core.clock import NS
from gameday.report.action_items import collect
from gameday.run.prune import PruneRule, World, look
from tests.support.past_days import past_day
from tests.support.past_runs import FIRST, past_run

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def rule(older_days: float = 90, keep: int = 0, after_days: float = 400) -> PruneRule:
    now = FIRST + timedelta(days=after_days)
    return PruneRule(keep, round(older_days * DAY_S), "90d", round(now.timestamp()) * NS)


def reasons(runs_dir: Path, asked: PruneRule) -> dict[str, str]:
    """By run and by day: "why_…" where it stays, "" where it goes."""
    runs = sorted((p for p in runs_dir.iterdir() if p.name[0] == "2"), reverse=True)
    days = list_days(runs_dir)
    with_items = {each.run for each in collect([*runs, *days]).items if each.is_open}
    found = look_at_days(days, look(runs, asked, World()), asked, lambda p: p.name in with_items)
    lines = [*found.days, *found.runs]
    return {
        line.dir.name: "" if line.goes else line.why.id.removeprefix("prune.") for line in lines
    }


def test_an_old_day_goes_with_its_runs(tmp_path: Path) -> None:
    runs = [past_run(tmp_path, number) for number in range(2)]
    day = past_day(tmp_path, 1, runs)
    assert set(reasons(tmp_path, rule()).values()) == {""}
    assert reasons(tmp_path, rule())[day.name] == ""


def test_the_runs_of_a_young_day_stay(tmp_path: Path) -> None:
    old = past_run(tmp_path, 0)
    other = past_run(tmp_path, 1)
    day = past_day(tmp_path, 100, [old])
    assert reasons(tmp_path, rule(after_days=150)) == {
        day.name: "why_young",
        old.name: "why_day",
        other.name: "",
    }


def edited(day: Path) -> None:
    path = day / "day.md"
    path.write_text(path.read_text().replace("TODO(person): to be filled in", "The dashboard.", 1))


def with_item(day: Path) -> None:
    path = day / "day.md"
    path.write_text(path.read_text().replace("No run calls", "- [ ] Call the bank.\n\nNo run", 1))


def beside(day: Path) -> None:
    (day / "day.final.md").write_text("# What we say\n")


def damaged(day: Path) -> None:
    path = day / "day.jsonl"
    path.write_bytes(path.read_bytes()[:-20])


def no_journal(day: Path) -> None:
    (day / "day.jsonl").write_bytes(b"\x00" * 3000)


def linked(day: Path) -> None:
    (day / "day.md").unlink()
    (day / "day.md").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edited, "why_edited_day"),
        (with_item, "why_edited_day"),
        (beside, "why_edited_day"),
        (linked, "why_edited_day"),
        (damaged, "why_unknown"),
    ],
)
def test_a_day_that_somebody_may_need_stays_and_keeps_its_runs(
    tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    run = past_run(tmp_path, 0)
    day = past_day(tmp_path, 0, [run])
    change(day)
    assert reasons(tmp_path, rule()) == {day.name: why, run.name: "why_day"}


def test_a_day_that_nobody_can_read_stays_with_all_runs_of_its_time(tmp_path: Path) -> None:
    runs = [past_run(tmp_path, number) for number in (0, 1, 2, 30)]
    day = past_day(tmp_path, 1, [runs[1]])
    no_journal(day)
    found = reasons(tmp_path, rule())
    assert found.pop(day.name) == "why_unknown"
    assert [found[run.name] for run in runs] == ["", "why_day", "why_day", ""]


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("damage", [b"\x00", b"{", b'"x": "\xff" '])
def test_a_damaged_line_frees_no_run_that_is_named_anywhere(
    tmp_path: Path, line: int, damage: bytes
) -> None:
    runs = [past_run(tmp_path, number) for number in range(3)]
    day = past_day(tmp_path, 0, runs[:2])
    path = day / "day.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = damage + lines[line]
    path.write_bytes(b"".join(lines))
    found = reasons(tmp_path, rule())
    assert found.pop(day.name) == "why_unknown"
    assert [found[run.name] for run in runs] == ["why_day", "why_day", ""]


def test_a_line_torn_in_the_name_of_its_run_keeps_all_runs_of_that_time(tmp_path: Path) -> None:
    runs = [past_run(tmp_path, number) for number in range(2)]
    day = past_day(tmp_path, 0, runs[:1])
    path = day / "day.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(runs[0].name.encode()) + 12])
    assert set(reasons(tmp_path, rule()).values()) == {"why_unknown", "why_day"}


def test_a_day_under_way_stays(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [past_run(tmp_path, 0)], is_over=False)
    with present(day):
        assert reasons(tmp_path, rule())[day.name] == "why_under_way"
    assert reasons(tmp_path, rule())[day.name] == ""


def test_one_run_that_must_stay_keeps_the_day_and_all_its_runs(tmp_path: Path) -> None:
    runs = [past_run(tmp_path, number) for number in range(3)]
    day = past_day(tmp_path, 2, runs)
    draft = runs[1] / "postmortem.md"
    draft.write_text(draft.read_text().replace("TODO", "Done", 1))
    found = reasons(tmp_path, rule())
    assert found[day.name] == "why_run_stays"
    assert [found[run.name] for run in runs] == ["why_day", "why_edited", "why_day"]


def test_a_report_that_was_edited_meanwhile_stays_after_all(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [])
    found = look_at_days([day], [], rule(), lambda _: False)
    assert found.days[0].goes
    edited(day)
    assert remove_day(found.days[0], rule(), lambda _: False) is not None
    assert day.is_dir()


def gameday(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_prune_removes_days_and_runs_and_tells_so(tmp_path: Path) -> None:
    runs = [past_run(tmp_path, number) for number in range(2)]
    day = past_day(tmp_path, 0, runs)
    kept = past_day(tmp_path, 1, [])
    edited(kept)
    asked = ("runs", "prune", "--runs", tmp_path, "--keep", 0, "--older-than", "0d", "--json")

    told = json.loads(gameday(*asked, "--dry-run").stdout)
    assert [each["remove"] for each in told["days"]] == [False, True]
    assert told["removed"] == []
    assert day.is_dir()

    told = json.loads(gameday(*asked, "--yes").stdout)
    assert sorted(told["removed"]) == sorted([day.name, *(run.name for run in runs)])
    assert not day.exists()
    assert kept.is_dir()
    assert not any(run.exists() for run in runs)


def change_while_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]
) -> Result:
    """Prune, with a person who edits something while the question stands."""

    def confirm(_: str) -> None:
        change()

    monkeypatch.setattr("gameday.cli.prune.confirm", confirm)
    return gameday("runs", "prune", "--runs", tmp_path, "--keep", 0, "--older-than", "0d")


def test_a_day_edited_while_the_question_stands_keeps_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [past_run(tmp_path, number) for number in range(3)]
    day = past_day(tmp_path, 0, runs[:2])
    told = change_while_asked(tmp_path, monkeypatch, lambda: edited(day))
    assert told.exit_code == 2
    assert day.is_dir()
    assert [run.exists() for run in runs] == [True, True, False]
    assert f"{runs[0].name}: something happened to it meanwhile" in told.stderr


def test_a_run_edited_while_the_question_stands_keeps_its_day_and_the_runs_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [past_run(tmp_path, number) for number in range(3)]
    day = past_day(tmp_path, 0, runs[:2])
    draft = runs[1] / "postmortem.md"

    def change() -> None:
        draft.write_text(draft.read_text().replace("TODO", "Done", 1))

    assert change_while_asked(tmp_path, monkeypatch, change).exit_code == 2
    assert day.is_dir()
    assert [run.exists() for run in runs] == [True, True, False]


def test_a_link_in_the_place_of_days_is_not_followed(tmp_path: Path) -> None:
    elsewhere = past_day(tmp_path / "elsewhere", 0, [])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "days").symlink_to(elsewhere.parent)
    assert list_days(tmp_path / "runs") == []

    (tmp_path / "runs" / "days").unlink()
    (tmp_path / "runs" / "days").mkdir()
    (tmp_path / "runs" / "days" / elsewhere.name).symlink_to(elsewhere)
    assert list_days(tmp_path / "runs") == []


def test_runs_lists_the_days_below_the_runs(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [past_run(tmp_path, 0)])
    broken = past_day(tmp_path, 1, [])
    no_journal(broken)

    shown = gameday("runs", "--runs", tmp_path).stdout
    assert day.name in shown
    assert broken.name in shown
    assert len(json.loads(gameday("runs", "--runs", tmp_path, "--json").stdout)) == 1  # runs alone
    told = json.loads(gameday("runs", "--runs", tmp_path, "--days", "--json").stdout)
    assert [each["day"] for each in told] == [broken.name, day.name]
    assert "problem" in told[0]


def test_what_is_to_be_done_for_a_day_is_counted_with_the_items_of_runs(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [past_run(tmp_path, 0)])
    before = json.loads(gameday("action-items", "--runs", tmp_path, "--json").stdout)
    assert not [each for each in before if each["run"] == day.name]  # those of runs count once

    with_item(day)
    after = json.loads(gameday("action-items", "--runs", tmp_path, "--json").stdout)
    assert [each["title"] for each in after if each["run"] == day.name] == ["Call the bank."]


def test_a_report_of_before_without_a_head_is_no_problem(tmp_path: Path) -> None:
    path = past_day(tmp_path, 0, []) / "day.md"
    path.write_text(path.read_text().partition("---\n\n")[2])
    with_item(path.parent)

    told = gameday("action-items", "--runs", tmp_path)
    assert "Call the bank." in told.stdout
    assert told.stderr == ""


def test_the_report_of_a_day_has_the_life_of_a_draft(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [past_run(tmp_path, 0)])
    assert (day / "day.md").read_text().startswith("---\nstatus: draft\nowner:\ndate: 2026-11-2")

    told = gameday("report", day.name, "--runs", tmp_path, "--status", "final")
    assert told.exit_code == 2  # nobody owns it
    asked = ("--status", "final", "--owner", "checkout team")
    assert gameday("report", day.name[-4:], "--runs", tmp_path, *asked).exit_code == 0
    text = (day / "day.md").read_text()
    assert "status: final\nowner: checkout team\n" in text

    assert gameday("report", day, "--runs", tmp_path).stdout.strip().endswith("day.new.md")
    assert (day / "day.md").read_text() == text


def test_a_day_is_a_page_with_what_people_wrote_and_links_to_its_runs(tmp_path: Path) -> None:
    run = past_run(tmp_path, 0)
    day = past_day(tmp_path, 0, [run])
    path = day / "day.md"
    path.write_text(path.read_text() + "\n<script>alert(1)</script> [here](../../elsewhere/x)\n")

    assert gameday("report", day.name, "--runs", tmp_path, "--format", "html").exit_code == 0
    page = (day / "day.html").read_text()
    assert f'<a href="../../{run.name}/postmortem.md">' in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert 'href="../../elsewhere' not in page
    assert "default-src 'none'" in page
    assert "status: draft" not in page

    gameday("report", day.name, "--runs", tmp_path, "--status", "in-review")
    gameday("--lang", "ko", "report", day.name, "--runs", tmp_path, "--format", "html")
    assert 'class="chip">' in (day / "day.html").read_text()


@pytest.mark.parametrize(
    "asked", [("--lint",), ("--format", "junit"), ("--format", "md", "-o", "x")]
)
def test_what_a_day_has_not_is_refused(tmp_path: Path, asked: tuple[str, ...]) -> None:
    day = past_day(tmp_path, 0, [])
    assert gameday("report", day.name, "--runs", tmp_path, *asked).exit_code == 2


def test_a_day_under_way_writes_its_own_report(tmp_path: Path) -> None:
    day = past_day(tmp_path, 0, [], is_over=False)
    with present(day):
        told = gameday("report", day.name, "--runs", tmp_path)
    assert told.exit_code == 2
    assert "under way" in told.stderr
