"""Settings: each later place wins, each value knows where it came from, each key is read."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core import settings
from gameday.core.errors import FileError, UsageError
from gameday.core.network import http
from gameday.core.settings.keys import KEYS
from gameday.traffic.history import Outcome, Reason
from tests.support.rundirs import RunDir, read

SOURCES = sorted((Path(__file__).parents[2] / "gameday").rglob("*.py"))


def loaded(folder: Path, text: str = "", **environment: str) -> settings.Settings:
    """What a project with that file decides, for a user without any."""
    (folder / ".git").mkdir(exist_ok=True)
    if text:
        (folder / settings.PROJECT_FILE).write_text(text)
    return settings.load({"HOME": str(folder / "home"), **environment}, folder)


def test_without_any_file_everything_is_the_default(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert {name: each.value for name, each in found.values.items()} == {
        name: key.default for name, key in KEYS.items()
    }
    assert {each.origin for each in found.values.values()} == {"default"}


def test_the_record_has_values_and_origins_and_no_path_of_the_machine(tmp_path: Path) -> None:
    record = loaded(tmp_path, "[generator]\nkept_from = 0.98\n", GAMEDAY_STACK="external").as_json()
    assert record["generator.kept_from"] == {"value": 0.98, "from": "project"}
    assert record["stack"] == {"value": "external", "from": "environment"}
    assert str(tmp_path) not in json.dumps(record)


def test_a_path_counts_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert loaded(tmp_path, 'runs = "evidence"\n')["runs"] == "../evidence"


def test_a_complaint_has_the_place_and_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        loaded(tmp_path, "[generator]\n# how late\nlag_mss = 1\n")
    assert caught.value.place.line == 3
    assert caught.value.help == "did you mean 'generator.lag_ms'?"


def test_a_project_cannot_widen_what_may_be_reached(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="must not widen"):
        loaded(tmp_path, 'allow_targets = ["a.example"]\n')
    with pytest.raises(UsageError, match="must not widen"):
        loaded(tmp_path, GAMEDAY_ALLOW_TARGETS="a.example")


def test_every_key_is_read_by_something() -> None:
    text = "\n".join(path.read_text() for path in SOURCES if "settings" not in path.name)
    for name in KEYS:
        table = name.partition(".")[0]
        read_by_name = re.search(rf'(setting\(|\[)"{re.escape(name)}"', text)
        assert read_by_name or f'figures("{table}")' in text, f"nothing reads {name}"


def test_the_schema_has_every_key() -> None:
    properties = settings.json_schema()["properties"]
    for name in KEYS:
        table, _, rest = name.rpartition(".")
        holder = properties[table]["properties"] if table else properties
        assert holder[rest]["description"]


def test_a_setting_bounds_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAMEDAY_BOUNDS_ANSWER_BYTES", "1234")
    monkeypatch.chdir(tmp_path)
    settings.begin()
    try:
        assert http.answer_bytes() == 1234
    finally:
        monkeypatch.undo()
        settings.begin()


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({}, "degraded"),
        ({"generator.kept_from": 0.9}, "kept"),
        ({"generator.limited_below": 0.98}, "limited"),
    ],
)
def test_the_generator_is_judged_by_the_recorded_thresholds(
    rule: dict[str, float], status: str
) -> None:
    run = RunDir()
    for k in (100, 101):  # of the 50 that are due in 5 s
        run.answers[k] = replace(run.answers[k], outcome=Outcome.DROPPED, reason=Reason.LATE)
    run.effective = {"settings": {name: {"value": each} for name, each in rule.items()}}
    assert read(run).generator.status == status


FORGED = [[], {"generator.lag_share": {"value": 0}}, {"generator.lag_ms": 7}]


@pytest.mark.parametrize("bad", FORGED)
def test_a_forged_record_of_settings_is_no_bug(bad: object) -> None:
    run = RunDir()
    run.effective = {"settings": bad}
    evidence = read(run)
    assert evidence.effective is None


def test_an_option_decides_for_its_own_command_line_alone() -> None:
    CliRunner().invoke(main, ["run", "no-such-experiment", "--system", "other.yaml"])
    assert settings.current()["system"] is None


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({"GAMEDAY_LANG": "ko"}, "ko"),
        ({"LANG": "ko_KR.UTF-8"}, None),
        ({"GAMEDAY_LANG": "en", "LANG": "ko_KR.UTF-8"}, "en"),
        ({}, None),
    ],
    ids=str,
)
def test_a_locale_chooses_no_language_for_others(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], chosen: str | None
) -> None:
    for name in ("GAMEDAY_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.begin()
    try:
        assert settings.chosen_language() == chosen
        settings.choose("lang", "ko", "--lang")
        assert settings.chosen_language() == "ko"
    finally:
        settings.end()


def test_a_wrong_file_decides_no_language_and_keeps_nobody_from_speaking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / settings.PROJECT_FILE).write_text('lang = "ko"\n[generator]\nlag_ms = inf\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAMEDAY_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    settings.begin()
    try:
        assert settings.language() == "en"
        monkeypatch.setenv("GAMEDAY_LANG", "ko")
        assert settings.language() == "ko"
        monkeypatch.setenv("GAMEDAY_LANG", "nowhere")
        assert settings.language() == "en"
        settings.choose("lang", "ko", "--lang")
        assert settings.language() == "ko"
        with pytest.raises(FileError):
            settings.current()
    finally:
        settings.end()
