"""The checks on what was issued, where users are called otherwise, or may hold several."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.judge import checks
from gameday.judge.verdict import NotApplicable, Validity, Verdict
from gameday.traffic.history import Outcome
from gameday.traffic.user_ids import Uuids
from tests.support.rundirs import SYSTEM, Answer, RunDir, drop, issue, read, said, verdict

SAFETY = (
    "no_over_issuance",
    "one_per_user",
    "no_lost_issuance",
    "no_phantom",
    "no_premature_sold_out",
)
UUID = Uuids.of(7).text


def called(template: str, **fields: Any) -> RunDir:
    """A run whose request calls a user so."""
    request = {**SYSTEM["requests"]["issue"], "json": {"userId": template}}
    return RunDir(system={**SYSTEM, "requests": {"issue": request}}, **fields)


def accused(run: RunDir) -> dict[str, str]:
    """What the safety checks say where they say invalid."""
    evidence = read(run)
    answers = {name: checks.run(name, checks.CHECKS[name], evidence) for name in SAFETY}
    return {
        name: one.summary
        for name, one in answers.items()
        if isinstance(one, Verdict) and one.validity is Validity.INVALID
    }


def test_rows_of_uuids_are_the_users_that_the_history_numbers() -> None:
    rows: list[Any] = [(UUID(a.user), a.issue_id) for a in drop(250) if a.issue_id]
    assert accused(called("{user:uuid}", rows=rows)) == {}
    rows[5] = (rows[5][0].upper(), rows[5][1])
    assert accused(called("{user:uuid}", rows=rows)) == {}
    lost = called("{user:uuid}", rows=rows[:7] + rows[8:])
    told = verdict(lost, "no_lost_issuance")
    assert told.validity is Validity.INVALID
    assert UUID(7) in told.summary
    assert told.certificate["answer"].user == UUID(7)
    assert told.certificate["answer"].index == 7


def test_a_view_of_other_spellings_holds_the_same_users() -> None:
    rows: list[Any] = [(f"u{a.user:05d}", a.issue_id) for a in drop(250) if a.issue_id]
    views = {"redis": {"remaining": 0, "holders": [f"U{k:05d}" for k in range(250)]}}
    views["redis"]["current"] = True
    run = called("u{user:05d}", rows=rows, views=views)
    assert verdict(run, "stores_agree").validity is Validity.VALID
    run.views["redis"]["holders"][9] = "nobody"
    told = verdict(run, "stores_agree")
    assert told.validity is Validity.INVALID
    assert [each["user"] for each in told.evidence] == ["nobody", "u00009"]


def test_a_foreign_row_is_one_row_too_many_and_out_of_nothing() -> None:
    rows: list[Any] = [(f"u{a.user:05d}", a.issue_id) for a in drop(250) if a.issue_id]
    run = called("u{user:05d}", rows=[*rows, ("admin", "x"), ("admin", "y")])
    told = accused(run)
    assert set(told) == {"no_over_issuance", "one_per_user", "no_phantom"}
    assert "'admin'" in told["no_phantom"]
    assert "2 rows foreign" in told["no_phantom"]


def test_rows_that_are_all_of_other_ids_are_a_question_only_where_something_was_issued() -> None:
    rows: list[Any] = [(f"pk{n}", a.issue_id) for n, a in enumerate(drop(250)) if a.issue_id]
    run = called("{user:uuid}", rows=rows)
    assert accused(run) == {}
    for name in ("no_lost_issuance", "no_phantom", "one_per_user"):
        assert verdict(run, name).validity is Validity.UNKNOWN
    refused = [Answer(k, k, Outcome.REFUSED, k / 10) for k in range(20)]
    assert "no_phantom" in accused(called("{user:uuid}", answers=refused, rows=rows[:1]))


def several(per_user: object, answers: list[Answer], **fields: Any) -> RunDir:
    return RunDir(answers=answers, semantics={"per_user": per_user}, **fields)  # type: ignore[dict-item]


def by_few(users: int, count: int, stock: int) -> list[Answer]:
    """Requests of a few users in turn, answered honestly by a shop that lets them hold several."""
    return [
        Answer(k, k % users, Outcome.ISSUED, k / 10, issue_id=f"i{k}")
        if k < stock
        else Answer(k, k % users, Outcome.SOLD_OUT, k / 10)
        for k in range(count)
    ]


@pytest.mark.parametrize("audited", [True, False])
@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 40))
def test_a_shop_that_lets_people_hold_several_is_not_accused(
    audited: bool, users: int, count: int, stock: int
) -> None:
    run = several("many", by_few(users, count, stock), stock=stock, has_audit=audited)
    assert accused(run) == {}
    assert isinstance(said(run, "one_per_user"), NotApplicable)


def test_selling_out_one_early_is_caught_where_people_hold_several() -> None:
    answers = by_few(3, 20, 9)
    run = several("many", answers, stock=10)
    assert set(accused(run)) == {"no_premature_sold_out"}
    assert "no_premature_sold_out" in accused(several("many", answers, stock=10, has_audit=False))


def test_more_issues_than_stock_are_caught_where_people_hold_several() -> None:
    run = several("many", by_few(2, 12, 11), stock=10)
    assert "no_over_issuance" in accused(run)
    run.rows = run.stored_rows()[:10]
    told = accused(run)
    assert set(told) == {"no_over_issuance", "no_lost_issuance"}


def test_a_user_may_hold_as_many_as_the_file_says_and_no_more() -> None:
    answers = by_few(2, 6, 6)
    assert accused(several(3, answers, stock=10)) == {}
    assert set(accused(several(2, answers, stock=10))) == {"one_per_user"}
    assert set(accused(several("one", answers, stock=10))) == {"one_per_user"}
    rows = [(0, "i0"), (0, "i2"), (0, "i4"), (1, "i1"), (1, "i3"), (1, "i5")]
    told = verdict(several(2, answers, stock=10, rows=rows), "one_per_user")
    assert "more rows than 2" in told.summary


def test_a_replay_is_no_further_coupon_of_who_may_hold_several() -> None:
    answers = [Answer(k, 0, Outcome.ISSUED, k / 10, issue_id=f"i{k % 2}") for k in range(4)]
    run = several(2, answers, stock=2, rows=[(0, "i0"), (0, "i1")])
    run.semantics["replay"] = "idempotent"
    assert accused(run) == {}


def test_rows_beyond_what_somebody_asked_for_are_out_of_nothing() -> None:
    answers = by_few(2, 4, 4)
    rows = [*((a.user, a.issue_id) for a in answers), (0, "extra")]
    run = several("many", answers, stock=10, rows=rows)
    assert set(accused(run)) == {"no_phantom"}
    lost = Answer(4, 0, Outcome.UNKNOWN, 0.5)
    assert accused(several("many", [*answers, lost], stock=10, rows=rows)) == {}


def test_without_ids_as_many_rows_as_answers_are_kept() -> None:
    answers = [Answer(k, 0, Outcome.ISSUED, k / 10) for k in range(3)]
    assert accused(several("many", answers, stock=10, rows=[(0, "")] * 3)) == {}
    told = accused(several("many", answers, stock=10, rows=[(0, "")] * 2))
    assert set(told) == {"no_lost_issuance"}


@pytest.mark.parametrize(("stock", "issues"), [(20, 10), (21, 10), (3, 1), (1, 0)])
def test_an_issue_may_take_several_of_the_stock(stock: int, issues: int) -> None:
    run = RunDir(stock=stock, answers=drop(issues, 30), semantics={"units": 2})  # type: ignore[dict-item]
    run.views = {"redis": {"remaining": stock - 2 * issues, "current": True}}
    assert accused(run) == {}
    assert verdict(run, "stores_agree").validity is Validity.VALID
    run.answers = drop(issues + 1, 30)
    assert "no_over_issuance" in accused(run)
    if issues:
        run.answers = drop(issues - 1, 30)
        assert "no_premature_sold_out" in accused(run)


def test_two_rows_of_one_user_are_two_taken() -> None:
    answers = [issue(k, k, k / 10) for k in range(9)] + [Answer(9, 9, Outcome.SOLD_OUT, 0.9)]
    rows = [(a.user, a.issue_id) for a in answers if a.issue_id] + [(0, "again")]
    assert set(accused(RunDir(stock=10, answers=answers, rows=rows))) == {"one_per_user"}
