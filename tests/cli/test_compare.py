"""`gameday compare`, `trend`, `site` and `runs prune`, as people call them."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from tests.support.past_runs import name_of, past_run


def gameday(*words: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=answer)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Six repeats within a second of each other, then one that recovers ten seconds later."""
    for number, recovered_s in enumerate((7.0, 7.4, 6.8, 7.1, 7.3, 6.9)):
        past_run(tmp_path, number, recovered_s=recovered_s, p95_ms=300 + 3 * recovered_s)
    past_run(tmp_path, 6, recovered_s=17.0, p95_ms=321)
    return tmp_path


def compared(runs_dir: Path, before: int, after: int) -> Any:
    told = gameday("compare", name_of(before), name_of(after), "--runs", runs_dir, "--json")
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_a_difference_within_the_spread_of_earlier_runs_is_said_to_be_none(runs_dir: Path) -> None:
    found = compared(runs_dir, 2, 5)
    assert (found["repeats"], found["noise_known"], found["differs"]) == (4, True, [])
    told = gameday("compare", name_of(2), name_of(5), "--runs", runs_dir).stdout
    assert "no difference beyond the noise" in told
    assert "measured on 4 earlier runs" in told


def test_a_planted_shift_is_found_and_said_to_be_worse(runs_dir: Path) -> None:
    found = compared(runs_dir, 0, 6)
    assert found["differs"] == ["recovered"]
    (recovered,) = (each for each in found["clocks"] if each["name"] == "recovered")
    assert recovered["change"] == 10.0
    assert recovered["better"] is False
    told = gameday("compare", name_of(0), name_of(6), "--runs", runs_dir).stdout
    assert re.search(r"recovered after +7\.0 s +17\.0 s +\+10\.0 s +worse", told)
    assert "beyond the noise: recovered after" in told


def test_with_too_few_earlier_runs_the_noise_is_said_to_be_unknown(runs_dir: Path) -> None:
    found = compared(runs_dir, 0, 2)
    assert (found["repeats"], found["noise_known"]) == (1, False)
    told = gameday("compare", name_of(0), name_of(2), "--runs", runs_dir).stdout
    assert "noise: unknown. Earlier runs with the same inputs: 1; at least 4 are needed" in told


def test_other_inputs_are_named_before_any_figure(runs_dir: Path) -> None:
    other = past_run(runs_dir, 7, seed=99)
    effective = other / "inputs" / "effective.json"
    content = json.loads(effective.read_text())
    effective.write_text(json.dumps({**content, "stock": 400}))
    told = gameday("compare", name_of(0), name_of(7), "--runs", runs_dir).stdout
    head = told[: told.index("difference\n")] if "difference\n" in told else told
    assert "seed: 7 before, 99 after" in head
    assert "stock: 250 before, 400 after" in head
    assert head.index("The inputs are not the same") < told.index("damage began")
    found = compared(runs_dir, 0, 7)
    assert [each["name"] for each in found["different_inputs"]] == ["seed", "stock"]
    assert found["repeats"] == 6  # those of the first inputs; the second have none


def test_two_experiments_cannot_be_compared(runs_dir: Path) -> None:
    past_run(runs_dir, 8, experiment="db-slow")
    told = gameday("compare", name_of(0), name_of(8, "db-slow"), "--runs", runs_dir)
    assert told.exit_code == 2
    assert "only runs of one experiment" in told.stderr
    assert "gameday trend db-slow" in told.stderr


def test_a_run_is_not_compared_with_itself(runs_dir: Path) -> None:
    told = gameday("compare", "last", name_of(6), "--runs", runs_dir)
    assert told.exit_code == 2
    assert "twice" in told.stderr


@pytest.mark.parametrize("raw", ["{", "[" * 100_000, '{"schema": 2}', "NaN", ""])
def test_a_damaged_run_is_refused_and_counts_for_no_noise(runs_dir: Path, raw: str) -> None:
    (runs_dir / name_of(3) / "result.json").write_text(raw)
    assert gameday("compare", name_of(3), "last", "--runs", runs_dir).exit_code == 3
    assert compared(runs_dir, 0, 5)["repeats"] == 3


def test_hostile_words_of_a_run_reach_the_terminal_escaped(runs_dir: Path) -> None:
    def change(result: dict[str, Any]) -> None:
        result["checks"].append({**result["checks"][0], "name": "\x1b[31m[bold]no\nline"})

    past_run(runs_dir, 8, change=change)
    told = gameday("compare", name_of(0), name_of(8), "--runs", runs_dir).stdout
    assert "\x1b" not in told
    assert "\\x1b[31m[bold]no\\x0aline" in told.replace("\n", "")


def test_a_trend_has_a_line_and_a_dot_for_each_run(runs_dir: Path) -> None:
    past_run(runs_dir, 8, experiment="db-slow")
    told = gameday("trend", "redis-slow", "--runs", runs_dir)
    assert told.exit_code == 0, told.output
    assert len(re.findall(r"^2026-11-\d\d", told.stdout, re.MULTILINE)) == 7
    assert "17.0 s" in told.stdout
    svg = ElementTree.parse(runs_dir / "trends" / "redis-slow.svg")
    dots = [each for each in svg.iter() if each.tag.endswith("circle")]
    assert len(dots) == 3 + 3 * 7  # the legend, and three clocks of seven runs
    table, _, _ = told.stdout.partition("picture: ")
    assert max(len(line) for line in table.splitlines()) <= 80


def test_a_trend_as_json_writes_no_picture_unless_asked(runs_dir: Path, tmp_path: Path) -> None:
    told = gameday("trend", "redis-slow", "--runs", runs_dir, "--json", "--last", 2)
    found = json.loads(told.stdout)
    assert [each["recovered_s"] for each in found["runs"]] == [6.9, 17.0]
    assert found["older"] == 5
    assert not (runs_dir / "trends").exists()
    gameday("trend", "redis-slow", "--runs", runs_dir, "--json", "--svg", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_a_trend_names_the_inputs_that_changed(runs_dir: Path) -> None:
    past_run(runs_dir, 7, seed=99)
    told = gameday("trend", "redis-slow", "--runs", runs_dir).stdout
    assert "h007: changed since the run before: seed" in told.replace(" h", "h")


@pytest.mark.parametrize("name", ["redis-slo", "nothing", "../x"])
def test_a_trend_of_what_never_ran_exits_with_2(runs_dir: Path, name: str) -> None:
    told = gameday("trend", name, "--runs", runs_dir)
    assert told.exit_code == 2
    assert "redis-slow" in told.stderr


def test_a_site_is_built_where_it_is_asked_for(runs_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "public"
    told = gameday("site", place, "--runs", runs_dir)
    assert told.exit_code == 0, told.output
    assert "7 runs, 7 of them written anew" in told.stdout
    assert (place / "index.html").is_file()


@pytest.mark.parametrize("where", [".", ".."])
def test_a_site_never_takes_the_place_of_the_runs(runs_dir: Path, where: str) -> None:
    told = gameday("site", runs_dir / where, "--runs", runs_dir)
    assert told.exit_code == 2
    assert (runs_dir / name_of(0)).is_dir()


def old_runs(runs_dir: Path, count: int) -> list[str]:
    """Runs of the year 2024, whatever year it is now."""
    names = []
    for number in range(count):
        folder = past_run(runs_dir, number)
        names.append(folder.rename(runs_dir / folder.name.replace("2026", "2024")).name)
    return names


def test_pruning_asks_once_and_removes_what_it_told(tmp_path: Path) -> None:
    names = old_runs(tmp_path, 4)
    told = gameday("runs", "prune", "--runs", tmp_path, "--keep", 1, answer="n\n")
    assert told.exit_code == 1
    assert told.stdout.count("would remove") == 3
    assert len(list(tmp_path.iterdir())) == 4
    told = gameday("runs", "prune", "--runs", tmp_path, "--keep", 1, answer="y\n")
    assert told.exit_code == 0, told.output
    assert [path.name for path in tmp_path.iterdir()] == [names[-1]]


def test_a_dry_run_removes_nothing_and_says_why_each_stays(tmp_path: Path) -> None:
    names = old_runs(tmp_path, 3)
    (tmp_path / names[0] / "postmortem.md").write_text("# Mine\n")
    told = gameday("runs", "prune", "--runs", tmp_path, "--keep", 1, "--dry-run", "--json")
    found = {each["run"]: each for each in json.loads(told.stdout)["runs"]}
    assert [found[name]["why"]["id"] for name in names] == [
        "prune.why_edited",
        "prune.why_old",
        "prune.why_newest",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_json_without_a_yes_is_refused(tmp_path: Path) -> None:
    old_runs(tmp_path, 1)
    assert gameday("runs", "prune", "--runs", tmp_path, "--json").exit_code == 2
    told = gameday("runs", "prune", "--runs", tmp_path, "--keep", 0, "--json", "--yes")
    assert len(json.loads(told.stdout)["removed"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_named_before_prune_is_not_silently_another(tmp_path: Path) -> None:
    old_runs(tmp_path, 1)
    told = gameday("runs", "--runs", tmp_path, "prune", "--yes", "--keep", 0)
    assert told.exit_code == 2
    assert "behind it" in told.stderr


@pytest.mark.parametrize("age", ["90", "d", "-1d", "999999999w", "nan"])
def test_an_age_that_is_none_is_refused(tmp_path: Path, age: str) -> None:
    assert gameday("runs", "prune", "--runs", tmp_path, "--older-than", age).exit_code == 2
