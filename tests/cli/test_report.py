"""`gameday report` and `gameday action-items`, as people and build servers call them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.report_forms import FORMS, MARKDOWN
from gameday.report.formats import MAKERS
from tests.report.test_report import RESULT, write_run

RUN = "20261123T083000Z-redis-slow-k3f9"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAMEDAY_LANG", "en")
    bad = {**RESULT["checks"][0], "verdict": "invalid", "summary": "30 too many"}
    result = {**RESULT, "checks": [bad, *RESULT["checks"][1:]], "verdict": "failed"}
    write_run(tmp_path / "runs" / RUN, result=result)
    return tmp_path / "runs"


def gameday(runs: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [words[0], "--runs", str(runs), *words[1:]])


def test_a_status_is_set_and_nothing_else_is_changed(runs: Path) -> None:
    path = runs / RUN / "postmortem.md"
    assert gameday(runs, "report").stdout == f"{path}\n"
    path.write_text(path.read_text() + "\nMy own words.\n")
    before = path.read_text()
    told = gameday(runs, "report", "--status", "in-review", "--owner", "checkout team")
    assert told.exit_code == 0
    after = path.read_text()
    assert "status: in review\nowner: checkout team\n" in after
    assert after.partition("\n---\n")[2] == before.partition("\n---\n")[2]
    new = gameday(runs, "report").stdout.strip()
    assert new == str(runs / RUN / "postmortem.new.md")
    assert path.read_text() == after


def test_a_final_draft_has_an_owner_and_its_open_questions_are_counted(runs: Path) -> None:
    refused = gameday(runs, "report", "--status", "final")
    assert (refused.exit_code, "nobody owns it" in refused.stderr) == (2, True)
    told = gameday(runs, "report", "--status", "final", "--owner", "ops")
    assert told.exit_code == 0
    assert "questions to a person are not answered yet" in told.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "x.md"], "-o is for a form that is not md"),
        (["--lint", "--status", "final"], "--lint changes nothing"),
        (["--lint", "--format", "junit"], "--lint cannot read junit"),
        (["--owner", " "], "is no name"),
        (["--format", "junit", "-o", "/proc/none/x.xml"], "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_refused(runs: Path, options: Sequence[str], told: str) -> None:
    found = gameday(runs, "report", *options)
    assert (found.exit_code, told in found.stderr) == (2, True), found.stderr


def test_junit_is_written_for_a_build_server(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    assert gameday(runs, "report", "--format", "junit", "-o", str(path)).stdout == f"{path}\n"
    assert ET.parse(path).getroot().get("failures") == "1"
    shown = gameday(runs, "report", "--format", "junit", "-o", "-").stdout
    assert shown == path.read_text()


def test_json_is_the_result_and_its_action_items(runs: Path) -> None:
    gameday(runs, "report")
    told = json.loads(gameday(runs, "report", "--format", "json", "-o", "-").stdout)
    assert told["run"] == RUN
    (item, *_) = told["action_items"]
    assert (item["state"], item["expect"]) == ("open", ["no_over_issuance"])


def test_the_linter_ends_with_1_where_a_number_has_no_source(runs: Path) -> None:
    gameday(runs, "report")
    told = gameday(runs, "report", "--lint")
    assert (told.exit_code, "0 have none" in told.stdout) == (0, True), told.stdout
    path = runs / RUN / "postmortem.md"
    path.write_text(path.read_text() + "\nIt cost us 41,312 orders.\n")
    told = gameday(runs, "report", "--lint")
    assert told.exit_code == 1
    assert "41,312: the run does not know it" in told.stdout


def test_open_items_are_listed_and_closed_by_a_later_run(runs: Path) -> None:
    assert gameday(runs, "action-items").stdout.startswith("no open action items")
    gameday(runs, "report")
    table = gameday(runs, "action-items").stdout
    assert "k3f9-1  open" in table
    later = "20261124T083000Z-redis-slow-a2b3"
    write_run(runs / later, result={**RESULT, "run": later, "started_at": "2026-11-24T08:30:00Z"})
    assert gameday(runs, "action-items").stdout.startswith("no open action items")
    (item,) = json.loads(gameday(runs, "action-items", "--all", "--json").stdout)
    assert (item["state"], item["by"]) == ("closed", later)


def test_a_damaged_draft_is_named_and_the_rest_is_listed(runs: Path) -> None:
    gameday(runs, "report")
    other = runs / "20261122T083000Z-redis-slow-zzzz"
    write_run(other)
    (other / "postmortem.md").write_bytes(b"\xff")
    told = gameday(runs, "action-items")
    assert (told.exit_code, "k3f9-1  open" in told.stdout) == (0, True)
    assert "zzzz/postmortem.md:1:1: byte 0xff is not UTF-8" in told.stderr


def test_each_form_that_is_offered_is_made() -> None:
    assert MAKERS.keys() == FORMS.keys() - {MARKDOWN}
