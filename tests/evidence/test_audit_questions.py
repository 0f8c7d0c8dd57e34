"""Questions about an audit: a loss that is proven stays one, and what may be a mistake is asked."""

from typing import Any

import pytest

from gameday.evidence.audit_sources import echoes_campaign, sources_of
from gameday.evidence.rows import RowError
from gameday.judge.verdict import Validity
from gameday.traffic.history import Outcome
from tests.support.rundirs import Answer, RunDir, drop, verdict

NAMED = {"names": ["rows", "remaining"]}
NOT_NAMED: dict[str, Any] = {"names": []}
LEFT_250 = {"remaining": 250, "holders": None, "current": True}
NOBODY: dict[str, Any] = {"remaining": None, "holders": [], "current": True}
ECHO = {"rows": [], "code": "COUPON-k3f9", "stock": 250}


def empty(**audit: Any) -> RunDir:
    """250 were told "issued", and the audit has nobody."""
    views = audit.pop("views", {})
    return RunDir(rows=[], views=views, audit={"rows_from": "audit", **audit})


PROVEN: list[dict[str, Any]] = [
    {},  # a run of before: judged as ever
    {"sources": {"audit": NOT_NAMED}, "answer": ECHO},
    {
        "sources": {"audit": NAMED, "mysql": NAMED},
        "rows_from": "mysql",
        "answer": {"rows": []},
        "answer_rows_equal": True,
    },
    {"sources": {"mysql": NAMED}, "rows_from": "mysql", "views": {"mysql": LEFT_250}},
    {"sources": {"audit": NAMED, "redis": NAMED}, "views": {"redis": LEFT_250}},
    {"sources": {"audit": NAMED, "postgres": NAMED}, "views": {"postgres": NOBODY}},
]


@pytest.mark.parametrize("audit", PROVEN, ids=range(len(PROVEN)))
def test_a_total_loss_that_the_evidence_proves_is_one(audit: dict[str, Any]) -> None:
    found = verdict(empty(**audit), "no_lost_issuance")
    assert found.validity is Validity.INVALID, found.summary


ASKED: list[dict[str, Any]] = [
    {"sources": {"audit": NAMED}},
    {"sources": {"audit": NOT_NAMED}},
    {"sources": {"audit": NAMED}, "answer": {**ECHO, "code": "OTHER"}},
    {
        "sources": {"audit": NOT_NAMED, "mysql": NAMED},
        "rows_from": "mysql",
        "answer": {"rows": []},
        "answer_rows_equal": True,
    },
    # All is gone in a second store: that the audit reads the wrong list is as likely.
    {"sources": {"audit": NAMED, "redis": NAMED}, "views": {"redis": {**LEFT_250, "remaining": 0}}},
    {"sources": {"audit": NAMED, "redis": NOT_NAMED}, "views": {"redis": LEFT_250}},
    {
        "sources": {"audit": NAMED, "redis": NAMED},
        "views": {"redis": {**LEFT_250, "current": None}},
    },
    # A number of the same answer, which may be of a cache, or of another campaign.
    {"sources": {"audit": NAMED}, "views": {"audit": LEFT_250}},
    {"sources": {"audit": NAMED}, "views": {"cache": LEFT_250}},
]


@pytest.mark.parametrize("audit", ASKED, ids=range(len(ASKED)))
def test_an_empty_audit_that_may_be_a_mistake_accuses_nobody(audit: dict[str, Any]) -> None:
    run = empty(**audit)
    for check in ("no_lost_issuance", "no_over_issuance", "one_per_user", "no_phantom"):
        found = verdict(run, check)
        assert found.validity is Validity.UNKNOWN, (check, found.summary)
        assert '250 were told "issued"' in found.summary
    if "views" in audit or audit.get("answer_rows_equal"):
        assert verdict(run, "stores_agree").validity is Validity.UNKNOWN


def test_nobody_is_asked_about_where_nobody_was_told_issued() -> None:
    answers = [Answer(k, k, Outcome.SOLD_OUT, k / 10) for k in range(9)]
    run = RunDir(answers=answers, rows=[], audit={"sources": {"audit": NOT_NAMED}})
    assert "campaign" not in verdict(run, "no_lost_issuance").summary


def ids_of_numbers(count: int) -> list[Answer]:
    """Answers whose ids are numbers, as users are: user 3 is told 1003."""
    return [Answer(k, k, Outcome.ISSUED, k / 10, issue_id=str(1000 + k)) for k in range(count)]


def test_users_and_ids_in_each_others_place_are_named() -> None:
    swapped: list[tuple[int, str]] = [(1000 + k, str(k)) for k in range(20)]
    run = RunDir(answers=ids_of_numbers(20), rows=swapped, audit={"sources": {"mysql": NAMED}})
    for check in ("no_lost_issuance", "no_phantom", "one_per_user"):
        found = verdict(run, check)
        assert found.validity is Validity.UNKNOWN, (check, found.summary)
        assert "swapped" in found.summary
    right = RunDir(
        answers=ids_of_numbers(20),
        rows=[(k, str(1000 + k)) for k in range(20)],
        audit={"sources": {"mysql": NAMED}},
    )
    assert verdict(right, "no_lost_issuance").validity is Validity.VALID


def test_a_system_whose_ids_are_its_users_is_judged_as_any() -> None:
    answers = [Answer(k, k, Outcome.ISSUED, k / 10, issue_id=str(k)) for k in range(20)]
    rows = [(k, str(k)) for k in range(19)]
    run = RunDir(answers=answers, rows=rows, audit={"sources": {"mysql": NAMED}})
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_rows_of_hardly_anybody_who_asked_are_asked_about() -> None:
    rows = [(2000 + k, f"i{k}") for k in range(20)] + [(3, "i3")]
    run = RunDir(answers=drop(stock=20, starts=30), rows=rows, stock=25)
    run.audit = {"sources": {"mysql": NAMED}, "rows_from": "mysql"}
    for check in ("no_lost_issuance", "no_phantom"):
        found = verdict(run, check)
        assert found.validity is Validity.UNKNOWN, (check, found.summary)
        assert "20 of 21 rows name users who never asked" in found.summary
    run.audit = {"sources": {"audit": NAMED}, "answer": {**ECHO, "stock": 25}}
    assert verdict(run, "no_phantom").validity is Validity.INVALID, "it echoes the campaign"
    half = [(2000 + k, f"i{k}") for k in range(10)] + [(k, f"i{k}") for k in range(10)]
    run.rows, run.audit = half, {"sources": {"mysql": NAMED}}
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_what_a_source_could_not_tell_leaves_the_comparison_unknown() -> None:
    told = {"names": [], "problem": "audit answer: connection refused"}
    run = RunDir(audit={"sources": {"audit": told, "mysql": {"names": [], "stock": 999}}})
    run.views = {}
    found = verdict(run, "stores_agree")
    assert found.validity is Validity.UNKNOWN
    assert "connection refused" in found.summary
    assert "mysql says 999 in stock" in found.summary
    assert verdict(run, "no_lost_issuance").validity is Validity.VALID


def test_an_empty_view_of_any_campaign_accuses_nobody() -> None:
    run = RunDir(views={"mysql": NOBODY}, audit={"sources": {"mysql": NOT_NAMED}})
    assert verdict(run, "stores_agree").validity is Validity.UNKNOWN
    run.audit = {"sources": {"mysql": NAMED}}
    assert verdict(run, "stores_agree").validity is Validity.INVALID


@pytest.mark.parametrize(
    "sources",
    [
        {"a": {"problem": 5}},
        {"a": {"stock": "x"}},
        {"a": {"stock": 10**400}},
        {"a": {"names": 5}},
        {"a": 5},
        [5],
    ],
    ids=["problem", "text", "huge", "names", "no mapping", "list"],
)
def test_sources_that_are_none_are_refused(sources: Any) -> None:
    with pytest.raises((TypeError, ValueError, RowError)):
        sources_of(sources)


def test_an_answer_echoes_its_campaign_in_gamedays_own_form_alone() -> None:
    assert echoes_campaign({"code": 7}, "7")
    assert not echoes_campaign({"code": None}, "7")
    assert not echoes_campaign({"stock": 1}, "7")
    assert not echoes_campaign(None, "7")
