"""Schemas for editors: the files name theirs, it is there, and it takes what gameday takes."""

import json
import stat
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.cli.files import KINDS
from gameday.cli.schema_files import PLACES
from gameday.report import write_report
from gameday.spec.yaml import load
from tests.report.test_report import RESULT, write_run

ROOT = Path(__file__).parents[2]
LINE = "# yaml-language-server: $schema="
FILES = [*sorted((ROOT / "experiments").glob("*.yaml")), ROOT / "system_under_test" / "system.yaml"]


def schema(*words: str) -> Result:
    return CliRunner().invoke(main, ["schema", *words])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "schemas").iterdir()), ids=lambda path: path.name
)
def test_the_schemas_of_the_repository_are_of_now(path: Path) -> None:
    kind = path.name.removesuffix(".schema.json")
    assert path.read_text() == schema(kind).stdout, "gameday schema --write docs/schemas"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_names_its_schema_which_takes_it(path: Path) -> None:
    first, _, _ = path.read_text().partition("\n")
    assert first.startswith(LINE)
    named = (path.parent / first.removeprefix(LINE)).resolve()
    assert named.parent == ROOT / "docs" / "schemas"
    validator = jsonschema.Draft202012Validator(json.loads(named.read_text()))
    assert [error.message for error in validator.iter_errors(plain(path))] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("report", ["report", "run", "--format", "json", "-o", "-"]),
        ("action-items", ["action-items", "--json"]),
    ],
)
def test_what_is_written_as_json_is_what_its_schema_says(
    kind: str, words: list[str], tmp_path: Path
) -> None:
    bad = {**RESULT["checks"][0], "verdict": "invalid", "summary": "4,530 rows for 4,500 in stock"}
    write_report(write_run(tmp_path / "run", result={**RESULT, "checks": [bad]}), "en")
    done = CliRunner().invoke(main, [*words, "--runs", str(tmp_path)])
    assert done.exit_code == 0, done.output
    validator = jsonschema.Draft202012Validator(json.loads(schema(kind).stdout))
    written = json.loads(done.stdout)
    assert [error.message for error in validator.iter_errors(written)] == []
    items = written["action_items"] if kind == "report" else written
    assert [each["id"] for each in items] == ["k3f9-1"]
    items[0]["state"] = 7
    assert list(validator.iter_errors(written)), "it takes anything"


def plain(path: Path) -> Any:
    """The file as an editor reads it: by YAML 1.2, in which `on` is a text."""
    return load(path).plain()


def test_each_kind_is_written_with_the_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = schema("--write", "editor/schemas")
    assert done.exit_code == 0
    written = {path.name for path in (tmp_path / "editor" / "schemas").iterdir()}
    assert written == {f"{kind}.schema.json" for kind in KINDS}
    assert f"{LINE}../editor/schemas/experiment.schema.json" in done.stdout
    assert f"{LINE}editor/schemas/system.schema.json" in done.stdout
    assert "#:schema editor/schemas/settings.schema.json" in done.stdout
    for kind in KINDS:
        text = (tmp_path / "editor" / "schemas" / f"{kind}.schema.json").read_text()
        assert text == schema(kind).stdout
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    assert schema("--write", "editor/schemas").exit_code == 0  # again, over its own


def test_one_kind_alone(tmp_path: Path) -> None:
    assert schema("system", "--write", str(tmp_path)).exit_code == 0
    (path,) = tmp_path.iterdir()
    assert path.name == "system.schema.json"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o044  # for whoever opens the project


@pytest.mark.parametrize("content", ["mine", "[1]", '"$schema"', "{}", "[" * 99_999])
def test_a_file_that_is_no_schema_is_not_written_over(content: str, tmp_path: Path) -> None:
    path = tmp_path / "system.schema.json"
    path.write_text(content)
    done = schema("--write", str(tmp_path), "system")
    assert done.exit_code == 2
    assert "is no schema" in done.stderr
    assert path.read_text() == content


def test_a_folder_that_cannot_be_made_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert schema("--write", str(tmp_path / "file" / "x")).exit_code == 2


def test_kinds_with_a_line_are_kinds_of_files_that_people_write() -> None:
    assert {"experiment", "system", "settings"} <= PLACES.keys()
