"""Game days as files: found, read, and refused with the place and the cure."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.errors import FileError, UsageError
from gameday.core.messages import templates
from gameday.plan.validate import validate_day
from gameday.spec.day import BreakItem, Day
from gameday.spec.day_files import load_day
from gameday.spec.inputs import find_system, load_system
from gameday.spec.shipped import all_days

jsonschema: Any = pytest.importorskip("jsonschema")
SHIPPED = sorted((Path(__file__).parents[2] / "gamedays").glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "gamedays" / "x.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"name: x\n{text}\n")
    return path


def checked(path: Path) -> list[str]:
    return [str(each) for each in validate_day(load_day(str(path)), load_system(find_system(None)))]


def test_there_are_days_to_begin_with() -> None:
    assert len(SHIPPED) >= 3
    assert {path.stem for path in SHIPPED} <= {path.stem for path in all_days()}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_day_is_sound_and_names_nobody(path: Path) -> None:
    loaded = load_day(str(path))
    assert checked(path) == []
    roles = loaded.day.roles
    assert (roles.owner, roles.coordinator, roles.reporter, list(roles.observers)) == (
        None,
        None,
        None,
        [],
    )
    assert "{" not in loaded.title
    assert loaded.day.within is not None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_schema_takes_every_shipped_day(path: Path) -> None:
    shown = CliRunner().invoke(main, ["schema", "day"])
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(shown.stdout))


def test_an_experiment_alone_is_a_day_of_one() -> None:
    loaded = load_day("redis-slow")
    assert [each.experiment for each in loaded.day.experiments] == ["redis-slow"]
    assert loaded.title.startswith("Redis answers")
    assert validate_day(loaded, load_system(find_system(None))) == []


def test_a_day_in_this_folder_hides_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "agenda: [{experiment: normal}]")
    path.rename(path.with_name("coupon-drop.yaml"))
    monkeypatch.chdir(tmp_path)
    assert len(load_day("coupon-drop").day.agenda) == 1


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("agenda: []", "2:1", "must not be empty"),
        ("agenda: [{break: 1m}]", "2:1", "no experiment is on it"),
        ("agenda: [{experiment: redis-slo}]", "2:11", "no experiment 'redis-slo'"),
        ("agenda: [{experimnt: normal}]", "2:11", "unknown key 'experimnt'"),
        ("agenda: [{experiment: normal}, {break: 0s}]", "2:33", "must be longer than 0s"),
        ("agenda: [{experiment: normal}]\nwithin: 10s", "3:1", "less than what must be done"),
        ("agenda: [{experiment: normal}]\ngo: [{name: a}]", "3:6", "neither of 'expr'"),
        ("agenda: [{experiment: normal}]\ngo: [{name: a, expr: up == 1}]", "3:6", "no Prometheus"),
        (
            (
                "agenda: [{experiment: normal}]\n"
                "go: [{name: a, expr: 'k6_vus > 1', prometheus: 'http://127.0.0.1:1'}]"
            ),
            "3:16",
            "no run is under way",
        ),
        (
            (
                "agenda: [{experiment: normal}]\n"
                "go: [{name: a, expr: 'up ==', prometheus: 'http://127.0.0.1:1'}]"
            ),
            "3:16",
            "not PromQL",
        ),
        (
            (
                "agenda: [{experiment: normal}]\n"
                "go: [{name: a, expr: up == 1, prometheus: 'http://me:secret@127.0.0.1:1'}]"
            ),
            "3:31",
            "credentials",
        ),
        ("agenda: [{experiment: normal}]\nstop_on: sometimes", "3:1", "unknown value"),
        ("agenda: [{experiment: normal}]\nannouncements: [{at: noon, text: a}]", "3:18", "noon"),
        ("agenda: [{experiment: normal}]\nsystem: none.yaml", "3:1", "there is no file"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(
    tmp_path: Path, text: str, place: str, problem: str
) -> None:
    path = written(tmp_path, text)
    told = CliRunner().invoke(main, ["validate", str(path)])
    assert told.exit_code == 2
    assert f"x.yaml:{place}: " in told.stderr
    assert problem in told.stderr
    assert ":secret@" not in told.stderr


@pytest.mark.parametrize(
    ("schedule", "place", "problem"),
    [
        ("skip_when: {expr: 'sum('}", "3:41", "not PromQL"),
        ("skip_when: {expr: k6_vus > 1}", "3:41", "no run is under way"),
        ("skip_when: {expr: up == 0}", "3:41", "the system has no Prometheus"),
        ("skip_when: {alerts: any}", "3:41", "no Prometheus and no Alertmanager"),
        ("skip_when: {command: ['']}", "3:51", "the program has no name"),
        ("skip_when: {command: [a], timeout: 0s}", "3:55", "timeout"),
        ("skip_when: {command: [a], timeout: 1h}", "3:55", "timeout"),
        ("freeze: [2026-12-24, none.ics]", "3:50", "No such file"),
        ("freeze: [broken.ics]", "3:38", "no day would begin"),
        ("timezone: Asia/Soul", "3:29", "did you mean 'Asia/Seoul'"),
    ],
)
def test_a_schedule_that_could_never_begin_is_refused_at_its_place(
    tmp_path: Path, schedule: str, place: str, problem: str
) -> None:
    agenda = "agenda: [{experiment: normal}]"
    path = written(tmp_path, f"{agenda}\nschedule: {{cron: 0 9 * * *, {schedule}}}")
    path.with_name("broken.ics").write_text("BEGIN:VCALENDAR\nBEGIN:VEVENT\n")

    told = CliRunner().invoke(main, ["validate", str(path)])
    assert told.exit_code == 2
    assert problem in told.stderr
    assert f"x.yaml:{place}: " in told.stderr


def test_validate_looks_at_the_days_of_this_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "agenda: [{experiment: normal}]\nschedule: {cron: 0 9 * *}")
    monkeypatch.chdir(tmp_path)

    told = CliRunner().invoke(main, ["validate"])
    assert told.exit_code == 2
    assert "gamedays/x.yaml:3:" in told.stderr
    assert "five fields" in told.stderr


def test_a_day_is_planned_as_an_experiment_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(
        tmp_path,
        "agenda:\n- {experiment: normal, short: true}\n- {break: 7m}\n"
        "- {experiment: redis-slow, short: true, optional: true}\n"
        "go: [{name: calm, command: [touch, asked]}]",
    )
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, ["plan", str(path)])
    assert "redis-slow (optional)" in told.stdout
    assert "7m40s of traffic and breaks" in told.stdout
    assert "are free" in told.stdout
    assert "calm" in told.stdout
    assert not (tmp_path / "asked").exists()

    planned = json.loads(CliRunner().invoke(main, ["plan", "x", "--json"]).stdout)
    assert planned["length_s"] == 460
    assert planned["disk_bytes"] == sum(each["disk_bytes"] for each in planned["agenda"])
    assert [each["experiment"] for each in planned["agenda"]] == ["normal", None, "redis-slow"]


def test_a_wrong_day_is_not_planned(tmp_path: Path) -> None:
    path = written(tmp_path, "agenda: [{experiment: normal}]\nschedule: {cron: 0 9 * *}")
    told = CliRunner().invoke(main, ["plan", str(path)])
    assert told.exit_code == 2
    assert "x.yaml:3:" in told.stderr


def test_a_wrong_name_is_told_with_the_nearest_right_one() -> None:
    with pytest.raises(UsageError) as caught:
        load_day("coupon-dorp")
    assert "coupon-drop" in caught.value.help


def test_a_misspelt_text_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no text"):
        load_day(str(written(tmp_path, "agenda: [{experiment: normal}]\ntitle: {id: day.no}")))


def test_a_day_that_breaks_before_anything_was_done_is_warned_of(tmp_path: Path) -> None:
    found = checked(written(tmp_path, "agenda: [{break: 1m}, {experiment: normal}]"))
    assert len(found) == 1
    assert "before the first" in found[0]


def test_what_has_neither_key_is_told_as_an_experiment(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="'experiment' is missing"):
        load_day(str(written(tmp_path, "agenda: [{note: hello}]")))


def test_an_item_of_an_agenda_keeps_its_kind() -> None:
    day = Day.model_validate({"name": "d", "agenda": [{"break": "5m"}, {"experiment": "a"}]})
    assert isinstance(day.agenda[0], BreakItem)
    assert [each.experiment for each in day.experiments] == ["a"]


def test_every_text_of_a_shipped_day_has_an_id_and_none_is_left_over() -> None:
    ids = {f"day.shipped.{found}" for path in SHIPPED for found in named_in(path)}
    assert ids == {each for each in templates() if each.startswith("day.shipped.")}
    for path in SHIPPED:
        raw = yaml.safe_load(path.read_text())
        texts = [raw["title"], *raw["questions"], *(each["note"] for each in raw["agenda"])]
        assert all(isinstance(text, dict) for text in texts)


def named_in(path: Path) -> list[str]:
    return re.findall(r"id: day\.shipped\.([a-z_0-9.]+)", path.read_text())
