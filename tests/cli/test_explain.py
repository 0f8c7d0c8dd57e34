"""`gameday explain` and `gameday faults`: from the schemas, in a few lines."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.spec.faults.catalogue import CLASSES, changes, name_of, plain_example
from gameday.spec.pages import ALL, page_of

ROOT = Path(__file__).parents[2]


def gameday(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("key", "place", "about"),
    [
        ("per_user", "semantics.per_user  (system file)", "How many a user may hold"),
        ("requests.issue.outcomes", "requests.issue.outcomes  (system", "First match wins"),
        ("requests.issue.outcomes.issued.status", "status  (system", "a class as 2xx"),
        ("audit.get", "audit.get  (system file)", "The path of a GET"),
        ("traffic.drop.rate", "rate  (experiment file)", "Requests started"),
        ("system.campaign", "campaign  (system file)", "Creates a campaign"),
        ("expect.alerts.fires_within", "fires_within  (experiment", "Counted from"),
        ("responder_delay", "responder_delay  (settings)", "waits for a person"),
        ("step.within", "within  (step file)", ""),
    ],
)
def test_a_key_is_explained_with_its_file_type_and_page(key: str, place: str, about: str) -> None:
    done = gameday("explain", key)
    assert done.exit_code == 0, done.output
    assert place in done.output
    assert about in done.output
    assert "  type     " in done.output
    assert "](" not in done.output
    assert "`[" not in done.output


def test_a_key_of_several_files_is_told_for_each() -> None:
    told = gameday("explain", "campaign").output
    assert "(system file)" in told
    assert "(experiment file)" in told


def test_a_mistaken_key_is_refused_with_the_nearest() -> None:
    done = gameday("explain", "per_usr")
    assert done.exit_code == 2
    assert "did you mean 'per_user'?" in done.output
    assert gameday("explain", "\x1b[2J" * 500).exit_code == 2
    assert gameday("explain", "").exit_code == 2
    assert gameday("explain", ".." * 4000).exit_code == 2


def test_every_fault_has_a_line_and_can_be_explained() -> None:
    lines = gameday("faults").output.splitlines()
    for fault in CLASSES:
        name = name_of(fault)
        [line] = [each for each in lines if each.split()[0] == name]
        assert fault.about in line
        assert len(line) < 160
        told = gameday("explain", name)
        assert told.exit_code == 0, told.output
        assert "  needs    " in told.output
        assert changes(plain_example(fault))


def test_faults_as_data_name_the_stacks_that_can() -> None:
    found = {each["fault"]: each for each in json.loads(gameday("faults", "--json").output)}
    assert found["service.cpu"]["stacks"] == ["compose"]
    assert found["network.latency"]["needs"] == ["toxiproxy"]
    assert found["traffic.spike"]["needs"] == []


def test_every_page_that_is_named_is_there() -> None:
    for page in ALL:
        assert (ROOT / page).is_file(), page
    assert page_of(("start", "setup", 0, "sql")) == "docs/own-start.md"
    assert page_of(("nothing",)) == ""


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("semantics: {per_user: twice}", "docs/own-ids.md"),
        ("start: {argv: [x], setup: [{sql: nothing.sql}]}", "docs/own-start.md"),
        ("start: {argv: [x], setup: [run]}", "docs/own-start.md"),
        ("start: {argv: [x, '{redis_password}']}", "docs/own-start.md"),
        ("start: {argv: [x], env: {A: '{redis_url}'}}\nauthority: redis", "docs/own-system.md"),
        ("nonsense: 1", "docs/own-system.md"),
    ],
)
def test_an_error_of_a_file_names_the_page_about_it(tmp_path: Path, text: str, page: str) -> None:
    path = tmp_path / "mine.yaml"
    issue = "requests: {issue: {get: /, outcomes: {accepted: {status: 200}}}}"
    path.write_text(f"name: mine\nbase_url: http://127.0.0.1:1\n{issue}\n{text}\n")
    done = gameday("validate", str(path))
    assert done.exit_code == 2, done.output
    assert f"  page: {page}\n" in done.output


def test_an_open_redis_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nbase_url: http://127.0.0.1:1\nstart: {argv: [x], env: {A: '{redis_url}'}}\n"
        "requests: {issue: {get: /, outcomes: {accepted: {status: 200}}}}\n"
    )
    done = gameday("validate", str(path))
    assert done.exit_code == 0, done.output
    assert "any local user can alter what it holds" in done.output


@pytest.mark.parametrize(
    "begun",
    [
        "{argv: [x, '{redis_url}']}",
        "{argv: [x], setup: [[x, '{redis_direct_url}']]}",
        "{argv: [x], env: {A: '{redis_url}'}}",
    ],
)
def test_an_open_redis_is_no_authority_wherever_it_is_asked_for(tmp_path: Path, begun: str) -> None:
    path = tmp_path / "mine.yaml"
    head = (
        f"name: mine\nbase_url: http://127.0.0.1:1\nstart: {begun}\n"
        "requests: {issue: {get: /, outcomes: {accepted: {status: 200}}}}\n"
    )
    path.write_text(f"{head}authority: redis\n")
    refused = gameday("validate", str(path))
    assert refused.exit_code == 2, refused.output
    assert "5:1: 'authority': " in refused.output
    path.write_text(head)
    warned = gameday("validate", str(path))
    assert warned.exit_code == 0, warned.output
    assert "any local user can alter what it holds" in warned.output


def test_braces_about_the_name_of_an_open_redis_ask_for_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nbase_url: http://127.0.0.1:1\nauthority: redis\n"
        "start: {argv: [x], env: {A: '{{redis_url}}'}}\n"
        "requests: {issue: {get: /, outcomes: {accepted: {status: 200}}}}\n"
    )
    done = gameday("validate", str(path))
    assert done.exit_code == 0, done.output
    assert "any local user" not in done.output
