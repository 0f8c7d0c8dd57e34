"""Whole runs against a shop of somebody else that is asked, and answers, in other forms."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gameday.traffic import history
from gameday.traffic.history import Outcome
from tests.support.foreign_runs import run, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TEXTS = {
    "issued": {"status": "2xx", "text": {"matches": "^ok v[0-9]+$"}},
    "duplicate": {"status": "4xx", "text": {"equals": "again"}},
    "sold_out": {"status": "4xx", "text": {"contains": "gone"}},
}
HEADERS = {
    "issued": {"status": "2xx", "headers": {"X-Result": "ok"}},
    "duplicate": {"status": "4xx", "headers": {"x-result": "again"}},
    "sold_out": {"status": "4xx", "headers": {"X-RESULT": {"contains": "gone"}}},
}


@pytest.mark.parametrize(
    "issue",
    [
        {"post": "/claim", "form": {"member": "u{user:05d}"}, "outcomes": HEADERS},
        {
            "post": "/claim/쿠폰",
            "text": "{user:uuid}",
            "headers": {"Accept": "text/plain"},
            "outcomes": TEXTS,
        },
        {"get": "/claim", "query": {"member": "m-{user}"}},
    ],
    ids=["form", "text", "query"],
)
def test_a_shop_is_asked_and_read_in_its_own_form(tmp_path: Path, issue: dict[str, Any]) -> None:
    with shop(tmp_path, stock=60) as url:
        done = run(tmp_path, url, issue, audit={"get": "/audit"})
    assert done.code == 0, done.told
    told = Counter(
        Outcome(outcome)
        for path in (done.dir / "history").glob("*.bin")
        for outcome in history.read(path).records["outcome"].tolist()
    )
    assert told[Outcome.ISSUED] == 60, told
    assert told[Outcome.SOLD_OUT] > 0, told
    assert told[Outcome.UNKNOWN] == 0, told


@pytest.mark.parametrize(("most", "units"), [(0, 1), (2, 1), (1, 3)])
def test_a_shop_may_let_people_hold_several_and_count_its_stock_otherwise(
    tmp_path: Path, most: int, units: int
) -> None:
    issue = {
        "post": "/claim",
        "json": {"member": "u{user:05d}"},
        "capture": {"issue_id": "voucher"},
    }
    per_user = {0: "many", 1: "one"}.get(most, most)
    with shop(tmp_path, stock=45, per_member=most, units=units) as url:
        semantics = {"per_user": per_user, "units": units, "holds": "strict"}
        done = run(tmp_path, url, issue, users=20, semantics=semantics)
    assert done.code == 0, (done.told, done.wrong())
    rows = json.loads((done.dir / "audit.json").read_text())["rows"]
    assert len(rows) <= {0: 45, 1: 15, 2: 40}[most]
    held = Counter(user for user, _ in rows)
    assert max(held.values()) == most if most else max(held.values()) > 2


def test_claims_that_are_decided_later_are_settled_by_the_audit(tmp_path: Path) -> None:
    outcomes = {"accepted": {"status": 202}, "sold_out": {"status": 409}}
    issue = {"post": "/claim", "json": {"member": "{user:uuid}"}, "outcomes": outcomes}
    with shop(tmp_path, stock=500, later_ms=50) as url:
        done = run(tmp_path, url, issue)
    assert done.check("exercised")["verdict"] == "valid", done.told
    assert done.check("no_phantom")["verdict"] == "valid", done.told
    assert done.code in (0, 3), done.told
