"""Korean: the same ids and values as in English, and a report without an English sentence."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len

import gameday
from gameday.core.language import languages, of_locale
from gameday.core.messages import templates
from gameday.report import markdown, write_report
from gameday.report.format import clock, date, in_language, length, milliseconds, percent
from tests.report.test_report import write_run
from tests.support import missing_ids

ROOT = Path(gameday.__file__).parent.parent
PACKAGE = Path(gameday.__file__).parent
KOREAN = templates("ko")
WORDS_IN_A_SENTENCE = 4
_CODE = re.compile(r"`[^`\n]*`|<code>.*?</code>|\(charts/[^)]*\)|<!--.*?-->", re.DOTALL)
_ENGLISH = re.compile(r"(?:\b[A-Za-z][a-z']+\b[ ,]+){3,}\b[a-z']+\b")


def english_sentences(page: str) -> list[str]:
    """Runs of four English words or more that are no code, no name and no number."""
    return _ENGLISH.findall(_CODE.sub("·", page))


def test_each_language_has_every_id_with_the_same_values() -> None:
    assert list(missing_ids.differences()) == []


def test_the_languages_are_the_files() -> None:
    assert languages() == ("en", "ko")


def test_no_korean_text_is_left_in_english() -> None:
    for id_, text in KOREAN.items():
        bare = re.sub(r"\{[^}]*\}|gameday (?:incident|drill) [a-z, ]+", "1", text)
        assert not english_sentences(bare), f"{id_}: {text}"


def test_every_korean_text_holds_hangul_or_is_a_name() -> None:
    """Where nothing but values and names stands, the English text is the same."""
    english = templates("en")
    for id_, text in KOREAN.items():
        bare = re.sub(r"\{[^}]*\}", "", text)
        if not re.search("[가-힣]", bare) and re.search("[A-Za-z]{2}", bare):
            assert text == english[id_] or id_.startswith("unit."), f"{id_}: {text}"


def test_a_particle_stands_in_its_braces_where_a_value_comes_before_it() -> None:
    """`{name}이` would be wrong for half of all names."""
    loose = re.compile(r"\{(\w+)(?:![a-z])?\}(?:이|가|을|를|은|는|과|와|으로|로)(?![가-힣])")
    for id_, text in KOREAN.items():
        assert not loose.search(text), f"{id_}: {text}"


def test_a_korean_draft_holds_no_english_sentence(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    page = write_report(run_dir, "ko").read_text()
    for said in texts_of_files(run_dir):  # nobody has translated what only this run's files say
        page = page.replace(str(markdown.text(said)), "·")
    assert english_sentences(page) == []
    head, _, body = page.removeprefix("---\n").partition("\n---\n")
    assert "status: draft" in head  # its words are keys, the same in every language
    assert body.lstrip().startswith("# 장애 사후 분석: ")
    assert re.search(r"\d{4}년 \d{1,2}월 \d{1,2}일 \([월화수목금토일]\) \d\d:\d\d UTC", page)


def texts_of_files(run_dir: Path) -> list[str]:
    """The titles, hypotheses and steps of the files of a run."""
    effective = json.loads((run_dir / "inputs" / "effective.json").read_text())
    steps = (effective.get("playbook") or {}).get("steps", [])
    experiment = effective["experiment"]
    own = [experiment.get("title"), experiment.get("hypothesis"), *(s["text"] for s in steps)]
    return [each for each in own if each]


def test_the_words_in_the_charts_are_korean(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    write_report(run_dir, "ko")
    shown = (run_dir / "charts" / "latency.ko.svg").read_text()
    assert "응답 시간 백분위" in shown
    assert "Latency percentiles" not in shown


def test_the_charts_of_two_languages_lie_side_by_side(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run")
    for language, name in (("en", "latency.svg"), ("ko", "latency.ko.svg")):
        draft = write_report(run_dir, language).read_text()
        assert f"(charts/{name})" in draft
    shown = {path.name: path.read_text() for path in (run_dir / "charts").iterdir()}
    assert "Latency percentiles" in shown["latency.svg"]
    assert "응답 시간 백분위" in shown["latency.ko.svg"]


def test_units_are_written_as_koreans_write_them() -> None:
    with in_language("ko"):
        assert [clock(23.04), length(0.25), milliseconds(9.53), percent(0.0512)] == [
            "23.0초", "250ms", "9.5ms", "5.12%",
        ]  # fmt: skip
        assert date("2026-11-30T14:05:01.250Z") == "2026년 11월 30일 (월) 14:05 UTC"
        assert date("2026-12-01T08:00:00+09:00") == "2026년 11월 30일 (월) 23:00 UTC"
        assert date("no date") == "no date"
    assert [clock(23.04), percent(0.0512)] == ["23.0 s", "5.12 %"]
    assert date("2026-11-30T14:05:01.250Z") == "2026-11-30T14:05:01.250Z"


def test_what_shipped_files_say_is_what_is_translated() -> None:
    english = templates("en")
    for path in sorted((ROOT / "experiments").glob("*.yaml")):
        said = yaml.safe_load(path.read_text())
        for key in ("title", "hypothesis"):
            assert english[f"experiment.{path.stem}.{key}"] == said[key], path.name
    groups = yaml.safe_load((ROOT / "experiments" / "rules" / "quick.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "annotations" in rule]
    assert {rule["alert"] for rule in rules} == {
        each.removeprefix("rule.") for each in english if each.startswith("rule.")
    }
    for rule in rules:
        assert english[f"rule.{rule['alert']}"] == rule["annotations"]["summary"]


def test_every_sentence_of_a_screen_is_asked_for() -> None:
    source = "".join(path.read_text() for path in (PACKAGE / "cli").rglob("*.py"))
    said = set(re.findall(r'"(\w+)"', source))
    made = tuple(re.findall(r"say\(f[\"'](\w+_)\{", source))
    for id_ in templates("en"):
        name = id_.removeprefix("screen.")
        if name != id_:
            assert name in said or name.startswith(made), id_


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"LANG": "ko_KR.UTF-8"}, ("ko", "LANG")),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR"}, ("ko", "LC_MESSAGES")),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, None),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": ""}, ("ko", "LANG")),
        ({"LANG": "fr_FR.UTF-8"}, None),
        ({"LC_ALL": "ko@hanja"}, ("ko", "LC_ALL")),
        ({}, None),
    ],
    ids=str,
)
def test_a_locale_asks_for_a_language(
    environment: dict[str, str], found: tuple[str, str] | None
) -> None:
    assert of_locale(environment) == found


HOME = tempfile.TemporaryDirectory(prefix="home-")  # gone when the tests are


def told(*args: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """What the command says, in an environment without a language of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gameday", *args],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": HOME.name,
            **environment,
        },
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run in it."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.move(write_run(folder / "run"), folder / "20261123T083000Z-redis-slow-k3f9")
    return folder


@pytest.mark.parametrize(
    ("args", "environment", "korean"),
    [
        (["--lang", "ko"], {"GAMEDAY_LANG": "en", "LC_ALL": "C.UTF-8"}, True),
        (["--lang", "en"], {"GAMEDAY_LANG": "ko", "LANG": "ko_KR.UTF-8"}, False),
        ([], {"GAMEDAY_LANG": "ko", "LC_ALL": "en_US.UTF-8"}, True),
        ([], {"GAMEDAY_LANG": "en", "LC_ALL": "ko_KR.UTF-8"}, False),
        ([], {"LANG": "ko_KR.UTF-8"}, True),
        ([], {"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, False),
        ([], {}, False),
    ],
    ids=str,
)
def test_an_option_then_a_variable_then_the_locale_decide(
    runs: Path, args: list[str], environment: dict[str, str], *, korean: bool
) -> None:
    answer = told("runs", "--runs", str(runs), *args, **environment, PYTHONUTF8="1")
    assert answer.returncode == 0, answer.stderr
    assert ("판정" in answer.stdout.decode()) is korean


@pytest.mark.parametrize(
    ("args", "environment"), [(["--lang", "fr"], {}), ([], {"GAMEDAY_LANG": "fr"})], ids=str
)
def test_an_unknown_language_is_bad_usage_and_lists_those_there_are(
    runs: Path, args: list[str], environment: dict[str, str]
) -> None:
    answer = told("report", "last", "--runs", str(runs), *args, **environment)
    assert answer.returncode == 2
    assert b"fr" in answer.stderr
    assert re.search(rb"'?en'?, '?ko'?", answer.stderr)


def test_a_terminal_without_hangul_is_told_in_english(runs: Path) -> None:
    answer = told("runs", "--runs", str(runs), "--lang", "ko", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert answer.returncode == 0, answer.stderr
    assert b"verdict" in answer.stdout
    assert b"\\u" not in answer.stdout


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_of_a_table_is_wider_than_the_terminal(runs: Path, columns: int) -> None:
    answer = told(
        "readiness", "--runs", str(runs), "--lang", "ko", COLUMNS=str(columns), PYTHONUTF8="1"
    )
    lines = answer.stdout.decode().splitlines()
    assert len(lines) > 8
    assert any("플레이북" in line for line in lines)
    assert all(cell_len(line) <= columns for line in lines)
