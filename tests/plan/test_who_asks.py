"""Lines of a plan about users of a file and steps: as whom, and never a cell."""

import json
from pathlib import Path
from typing import Any

from gameday.plan.who_asks import findings
from gameday.spec.inputs import load_system

SYSTEM: dict[str, Any] = {
    "name": "shop",
    "base_url": "http://127.0.0.1:1",
    "users": {"file": "users.csv", "id": "email", "also": ["phone"]},
    "requests": {
        "before": {
            "login": {
                "post": "/login",
                "json": {"email": "{email}", "password": "{password}"},
                "capture": {"session": "token"},
                "per": "user",
            },
            "browse": {"get": "/items", "weight": 4},
            "reserve": {"post": "/orders", "headers": {"Authorization": "Bearer {session}"}},
        },
        "issue": {
            "post": "/claim",
            "headers": {"Authorization": "Bearer {token}"},
            "outcomes": {"accepted": {"status": 202}},
            "poll": {"get": "/claims/{email}", "until": {"issued": {"status": 200}}},
        },
    },
    "audit": {"get": "/audit"},
}
CELLS = ("kim@shop.example", "821012345678", "tiger-1", "key/0001==")


def told(folder: Path, **changes: Any) -> dict[str, str]:
    (folder / "users.csv").write_text(f"email,phone,password,token\n{','.join(CELLS)}\n")
    (folder / "s.yaml").write_text(json.dumps({**SYSTEM, **changes}))
    return {each.name: each.found for each in findings(load_system(folder / "s.yaml"))}


def test_a_plan_says_what_is_done_at_each_attempt_and_as_whom(tmp_path: Path) -> None:
    found = told(tmp_path)
    file = found.pop("users file")
    assert file.startswith("1 of ") and file.endswith(
        "users.csv, a row each; the audit names them by email, phone"
    )
    assert found == {
        "requests.before.login": "once for each user: POST /login, with the user's own"
        " email, password",
        "requests.before.browse": "4 times for each issue: GET /items",
        "requests.before.reserve": "before each issue: POST /orders",
        "requests.issue": "at each attempt: POST /claim, with the user's own token",
        "requests.issue.poll": "every 500ms, for 10s at most, until it is decided:"
        " GET /claims/{email}, with the user's own email",
    }
    assert not any(cell in text for cell in CELLS for text in (*found.values(), file))


def test_users_by_their_number_and_a_plain_request(tmp_path: Path) -> None:
    issue = {"post": "/", "json": {"n": "{user}"}, "outcomes": {"issued": {"status": 200}}}
    found = told(tmp_path, requests={"issue": issue}, users={"file": "users.csv"})
    assert found["users file"].endswith("the audit names them by their number")
    assert found["requests.issue"] == "at each attempt: POST /"
    (tmp_path / "s.yaml").write_text(
        json.dumps({"name": "s", "base_url": "http://127.0.0.1:1", "requests": {"issue": issue}})
    )
    assert list(findings(load_system(tmp_path / "s.yaml"))) == []
