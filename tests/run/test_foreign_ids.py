"""Whole runs against a shop of somebody else, whose members are called as it likes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.foreign_runs import Finished, run, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def claims(folder: Path, member: str, users: int = 5_000, **setting: Any) -> Finished:
    """A run of claims by members that are called so."""
    with shop(folder, **{"stock": 60, **setting}) as url:
        issue = {
            "post": "/claim",
            "json": {"member": member},
            "capture": {"issue_id": "voucher"},
        }
        return run(folder, url, issue, users=users)


@pytest.mark.parametrize(
    ("member", "spelling"),
    [
        ("{user:uuid}", "same"),
        ("{user:uuid}", "upper"),
        ("u{user:05d}", "same"),
        ("u{user:05d}", "upper"),
        ("u{user:05d}", "number"),
        ("99999999999999{user:07d}", "number"),
        ("{user:s}", "number"),
    ],
)
def test_an_honest_shop_is_not_accused_whatever_it_calls_its_members(
    tmp_path: Path, member: str, spelling: str
) -> None:
    done = claims(tmp_path, member, spelling=spelling)
    assert done.code == 0, done.told
    assert done.check("no_lost_issuance")["verdict"] == "valid", done.wrong()
    audit = json.loads((done.dir / "audit.json").read_text())
    assert len(audit["rows"]) == 60
    if "uuid" in member:
        assert all(len(user) == 36 for user, _ in audit["rows"])
    if member.startswith("9") and spelling == "number":
        assert all(int(user) > 2**63 for user, _ in audit["rows"])


def test_two_spellings_of_one_member_are_one_member_with_two_rows(tmp_path: Path) -> None:
    done = claims(tmp_path, "{user}", spelling="twice")
    said = done.check("one_per_user")
    assert said["verdict"] == "invalid", done.told
    user = said["certificate"]["user"]
    assert isinstance(user, int) and user % 10 == 0
    assert len(said["certificate"]["rows"]) == 2
    assert "no_phantom" not in done.wrong()


HOSTILE: list[Any] = [
    None,
    True,
    1.5,
    2**64,
    "<script>alert(1)</script>",
    "**bold** | `code` [a](http://x)",
    "\u202eevil\u0000\u001b[31m",
    "Ｕ00001",
    {"a": [1, {"b": None}]},
    [[["deep"]]],
    "",
    "u1",
    "u99999",
    -1,
]


def test_hostile_ids_in_an_audit_are_foreign_shown_and_harm_nothing(tmp_path: Path) -> None:
    done = claims(tmp_path, "u{user:05d}", planted=HOSTILE, planted_long=2**20, stock=100)
    wrong = done.wrong()
    assert "no_phantom" in wrong, done.told
    assert f"{len(HOSTILE) + 1} rows foreign" in wrong["no_phantom"]
    assert done.check("no_lost_issuance")["verdict"] == "valid"
    assert done.check("one_per_user")["verdict"] == "valid"
    assert "x" * 300 not in (done.dir / "result.json").read_text()
    assert "<script>" not in (done.dir / "postmortem.md").read_text().replace("`<script>", "")
    for text in (done.told, (done.dir / "postmortem.md").read_text()):
        assert "\u202e" not in text and "\x1b[31m" not in text and "\0" not in text
    audit = json.loads((done.dir / "audit.json").read_text())
    assert max(len(str(user)) for user, _ in audit["rows"]) <= 200


def test_an_audit_of_other_ids_is_a_question_and_no_accusation(tmp_path: Path) -> None:
    done = claims(tmp_path, "{user:uuid}", spelling="keys")
    said = {name: done.check(name) for name in ("no_phantom", "no_lost_issuance", "one_per_user")}
    assert {each["verdict"] for each in said.values()} == {"unknown"}, done.told
    assert "another id than {user} stands for" in said["no_phantom"]["summary"]
    assert done.code == 3
