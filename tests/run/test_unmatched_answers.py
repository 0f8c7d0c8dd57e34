"""Whole runs whose system file does not describe all answers: the answers are kept and shown."""

import json
from pathlib import Path

import pytest

from tests.support.foreign_runs import run, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CLAIM = {"post": "/claim", "json": {"member": "u{user:05d}"}}


def test_answers_that_match_no_outcome_are_shown_in_their_own_words(tmp_path: Path) -> None:
    with shop(tmp_path, stock=500, turns_away=[[0, 60, 502, 0.25], [0, 60, 200, 0.25]]) as url:
        done = run(tmp_path, url, {**CLAIM, "capture": {"issue_id": "data.id"}})
    answers = done.result["traffic"]["answers"]
    [line] = answers["unmatched"]
    assert (line["status"], line["said"]) == (502, ['{"result": "not now"}'])
    assert line["answers"] == 30
    [lost] = answers["not_captured"]
    assert (lost["capture"], lost["path"], lost["answers"]) == ("issue_id", "data.id", 90)
    told = " ".join(done.told.split())
    assert '30 answers of status 502 matched no outcome, such as: {"result": "not now"}' in told
    assert "`issue_id: data.id` was in none of 90 answers" in told
    draft = (done.dir / "postmortem.md").read_text()
    assert 'Such as: `{"result": "not now"}`' in draft
    assert "**`issue_id: data.id` was in none of 90 answers**" in draft


def test_a_run_whose_answers_are_all_described_says_nothing_of_it(tmp_path: Path) -> None:
    with shop(tmp_path, stock=500) as url:
        done = run(tmp_path, url, {**CLAIM, "capture": {"issue_id": "voucher"}})
    assert done.code == 0, done.told
    assert "answers" not in done.result["traffic"]


def test_what_is_secret_of_a_user_is_not_in_the_answers_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop says what it was asked with; the row of the user and the header are masked."""
    (tmp_path / "users.csv").write_text(
        "id,pin\n" + "".join(f"{n},pin-of-{n:06d}\n" for n in range(200))
    )
    monkeypatch.setenv("SHOP_API_KEY", "key-of-everybody")
    issue = {
        "post": "/echo",
        "json": {"member": "{id}", "pin": "{pin}"},
        "headers": {"X-Api-Key": {"env": "SHOP_API_KEY"}},
    }
    users = {"file": "users.csv", "public": ["id"]}
    echo = Path(__file__).parents[1] / "support" / "echoing_shop.py"
    with shop(tmp_path, echo) as url:
        done = run(tmp_path, url, issue, users_file=users, users=200)
    assert (done.dir / "result.json").exists(), done.told
    [line] = done.result["traffic"]["answers"]["unmatched"]
    assert line["status"] == 400
    assert all("***" in each for each in line["said"])
    everything = done.told + (done.dir / "journal.jsonl").read_text()
    everything += (done.dir / "postmortem.md").read_text() + json.dumps(line)
    assert "pin-of-" not in everything
    assert "key-of-everybody" not in everything
    assert "made-for-this-user" not in everything
