"""The checks on what was issued, where users are called otherwise, or may hold several."""

from dataclasses import replace
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


def whole_rows() -> list[Any]:
    return [(f"u{a.user:05d}", a.issue_id) for a in drop(250) if a.issue_id]


def beside_whole_rows(holders: list[Any]) -> Verdict:
    """The check of a Redis with these holders beside rows that have the whole ids."""
    views = {"redis": {"remaining": 0, "holders": holders, "current": True}}
    semantics = {"per_user": "one"}
    run = called("u{user:05d}", rows=whole_rows(), views=views, semantics=semantics)
    return verdict(run, "stores_agree")


def test_a_view_of_the_same_numbers_alone_holds_the_same_users() -> None:
    assert beside_whole_rows([*range(250)]).validity is Validity.VALID
    mixed = [k if k % 2 else f"U{k:05d}" for k in range(250)]
    assert beside_whole_rows(mixed).validity is Validity.VALID


def test_a_view_of_numbers_of_its_own_is_a_question() -> None:
    for holders in ([*range(1, 251)], [*range(9_000, 9_250)], [*range(249)]):
        assert beside_whole_rows(holders).validity is Validity.UNKNOWN


def test_who_differs_whatever_a_number_alone_is_is_found() -> None:
    mixed: list[Any] = [k if k % 2 else f"u{k:05d}" for k in range(250)]
    told = beside_whole_rows([each for each in mixed if each != "u00008"])
    assert told.validity is Validity.INVALID
    assert told.certificate == {"user": "u00008", "only_in": "rows"}
    told = beside_whole_rows([each for each in mixed if each != 9])
    assert told.certificate == {"user": "u00009", "only_in": "rows"}


def test_an_answer_of_the_same_numbers_alone_tells_the_same_rows() -> None:
    rows, semantics = whole_rows(), {"per_user": "one"}
    told = [{"userId": k, "issueId": id_} for k, (_, id_) in enumerate(rows)]
    answer = {"answer": {"stock": 250, "rows": told}, "answer_rows_equal": False}
    run = called("u{user:05d}", rows=rows, audit=answer, semantics=semantics)
    assert verdict(run, "stores_agree").validity is Validity.VALID
    told[7]["userId"] = "u00007"
    assert verdict(run, "stores_agree").validity is Validity.VALID
    del told[8]
    del told[7]
    assert verdict(run, "stores_agree").validity is Validity.UNKNOWN


@pytest.mark.parametrize("every", [2, 9, 100])
def test_a_few_numbers_alone_among_whole_ids_are_their_users_by_the_issue_ids(every: int) -> None:
    rows = [(k if k % every == 0 else name, id_) for k, (name, id_) in enumerate(whole_rows())]
    run = called("u{user:05d}", rows=rows, semantics={"per_user": "one"})
    assert accused(run) == {}
    run.rows = rows[1:]
    assert "no_lost_issuance" in accused(run)
    run.rows = [(10_000 + k if k % every == 0 else name, id_) for k, (name, id_) in enumerate(rows)]
    assert "no_lost_issuance" in accused(run), "these numbers are of nobody who was told the ids"


def test_a_foreign_row_is_one_row_too_many_and_out_of_nothing() -> None:
    rows: list[Any] = [(f"u{a.user:05d}", a.issue_id) for a in drop(250) if a.issue_id]
    run = called("u{user:05d}", rows=[*rows, ("admin", "x"), ("admin", "y")])
    told = accused(run)
    assert set(told) == {"no_over_issuance", "one_per_user", "no_phantom"}
    assert "'admin'" in told["no_phantom"]
    assert "2 rows foreign" in told["no_phantom"]


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("template", ["u{user:05d}", "{user:05d}", "{key}-{user:d}", "{iteration}"])
def test_a_system_with_numbers_of_its_own_is_not_accused(template: str, captured: bool) -> None:
    answers = drop(250) if captured else [replace(a, issue_id="") for a in drop(250)]
    keys = [(n + 1, a.issue_id) for n, a in enumerate(reversed(drop(250))) if a.issue_id]
    rows: list[Any] = [(key, id_ if captured else "") for key, id_ in keys]
    run = called(template, answers=answers, rows=rows, semantics={"per_user": "one"})
    assert accused(run) == {}
    for name in ("no_lost_issuance", "no_phantom", "one_per_user"):
        told = verdict(run, name)
        assert told.validity is Validity.UNKNOWN
        assert "another id than {user} stands for" in told.summary


@pytest.mark.parametrize("template", ["u{user:05d}", "{user:05d}", "{key}-{user}"])
def test_a_number_alone_is_its_user_where_the_issue_ids_show_it(template: str) -> None:
    users = [k * 997 % 10_007 for k in range(300)]
    answers = [replace(a, user=users[a.k]) for a in drop(250)]
    rows: list[Any] = [(a.user, a.issue_id) for a in answers if a.outcome is Outcome.ISSUED]
    run = called(template, answers=answers, rows=rows, semantics={"per_user": "one"})
    assert accused(run) == {}
    assert verdict(run, "no_phantom").validity is Validity.VALID
    run.rows = rows[1:]
    assert set(accused(run)) == {"no_lost_issuance", "no_premature_sold_out"}


@pytest.mark.parametrize("first", [1, 9_950, 50_000])
@pytest.mark.parametrize("template", ["u{user:05d}", "{user:05d}"])
def test_keys_that_look_like_users_who_asked_are_nobody_s_proof(template: str, first: int) -> None:
    """Drawn by Zipf, users who ask are the low ones, as keys of a system's own are."""
    answers = [
        Answer(k, k, Outcome.ISSUED if k % 3 else Outcome.UNKNOWN, k / 10) for k in range(200)
    ]
    rows: list[Any] = [(first + n, "") for n in range(140)]
    run = called(template, answers=answers, rows=rows, semantics={"per_user": "one"})
    assert accused(run) == {}
    assert verdict(run, "no_lost_issuance").validity is Validity.UNKNOWN


def test_padded_rows_say_that_those_without_a_zero_are_users_too() -> None:
    answers = [replace(a, user=a.user * 397) for a in drop(250)]  # up to 5 digits
    issued_ = [a for a in answers if a.outcome is Outcome.ISSUED]
    rows: list[Any] = [(f"{a.user:05d}", "") for a in issued_]
    run = called("{user:05d}", answers=answers, rows=rows, semantics={"per_user": "one"})
    assert accused(run) == {}
    assert verdict(run, "no_phantom").validity is Validity.VALID


@pytest.mark.parametrize("captured", [True, False])
def test_a_number_that_may_be_either_of_two_users_is_a_question_unless_the_ids_tell(
    captured: bool,
) -> None:
    """The request has both {user} and 1{user:03d}; the audit tells of the second."""
    issue_request = {
        **SYSTEM["requests"]["issue"],
        "json": {"userId": "{user}", "memberNo": "1{user:03d}"},
    }
    answers = [a if captured else replace(a, issue_id="") for a in drop(250)]
    stored = [a for a in answers if a.outcome is Outcome.ISSUED]
    for more in (1_000, 0):
        rows = [(more + a.user, a.issue_id) for a in stored]
        run = RunDir(
            system={**SYSTEM, "requests": {"issue": issue_request}},
            answers=answers,
            rows=rows,
            semantics={"per_user": "one"},
        )
        assert accused(run) == {}
        expected = Validity.VALID if captured else Validity.UNKNOWN
        assert verdict(run, "no_phantom").validity is expected


def test_a_file_of_before_is_judged_as_ever_unless_the_issue_ids_tell_of_other_keys() -> None:
    rows: list[Any] = [(a.user, "") for a in drop(250) if a.outcome is Outcome.ISSUED]
    bare = [replace(a, issue_id="") for a in drop(250)]
    for template in ("u-{user}", "{key}-{user}"):
        run = called(template, answers=bare, rows=rows, semantics={"per_user": "one"})
        assert verdict(run, "no_phantom").validity is Validity.VALID
        assert verdict(run, "no_lost_issuance").validity is Validity.VALID
        run.rows = [*rows, (9_999, "")]
        assert "no_phantom" in accused(run)
        keys = [(n + 1, a.issue_id) for n, a in enumerate(reversed(drop(250))) if a.issue_id]
        own = called(template, rows=keys, semantics={"per_user": "one"})
        assert accused(own) == {}
    texts: list[Any] = [(f"u-{user}", "") for user, _ in rows]
    run = called("u-{user}", answers=bare, rows=texts, semantics={"per_user": "one"})
    assert verdict(run, "no_phantom").validity is Validity.VALID
    beyond = RunDir(rows=[(1_000_000 + a, "") for a in range(250)], semantics={"per_user": "one"})
    assert "no_phantom" in accused(beyond)


def test_a_number_of_one_is_one() -> None:
    answers = by_few(2, 6, 6)
    one: Any = {"per_user": 1}
    for semantics in (one, {"per_user": "one"}):
        run = RunDir(answers=answers, stock=10, semantics=semantics)
        assert set(accused(run)) == {"one_per_user"}
        assert read(run).semantics.per_user == "one"


def test_the_same_issue_id_again_is_one_coupon() -> None:
    answers = [Answer(k, 0, Outcome.ISSUED, k / 10, issue_id="i1") for k in range(2)]
    assert accused(several("many", answers, stock=1, rows=[(0, "i1")])) == {}


def test_a_run_of_before_is_judged_by_its_numbers_whatever_the_request_calls_a_user() -> None:
    """Its system file has no `per_user`: versions that had it write it down."""
    for template in ("8210{user}", "u{user}", "{key}-{user}"):
        run = called(template)
        assert verdict(run, "no_lost_issuance").validity is Validity.VALID
        assert verdict(run, "no_phantom").validity is Validity.VALID
        run.rows = [*run.stored_rows(), (82107, "x")]
        assert "82107" in accused(run)["no_phantom"]
        run.rows = [(5_000_000 + n, f"x{n}") for n in range(3)]
        assert set(accused(run)) >= {"no_phantom", "no_lost_issuance"}
    beside = {"phone": "8210{user}", "userId": "{user}"}
    issue_request = {**SYSTEM["requests"]["issue"], "json": beside}
    system = {**SYSTEM, "requests": {"issue": issue_request}}
    for semantics in ({}, {"per_user": "one"}):
        run = RunDir(system=system, semantics=semantics)
        assert accused(run) == {}
        assert verdict(run, "no_phantom").validity is Validity.VALID


ACCEPTED = [
    Answer(k, k, Outcome.ACCEPTED if k < 20 else Outcome.SOLD_OUT, k / 10) for k in range(30)
]


@pytest.mark.parametrize("name", [None, "shop-1", True, ["a"], {"id": 1}])
def test_rows_that_name_nobody_of_the_run_are_a_question(name: Any) -> None:
    rows: list[Any] = [(name, f"i{k}") for k in range(20)]
    for answers in (ACCEPTED, drop(20, 30)):
        run = several("one", answers, stock=20, rows=rows)
        assert accused(run) == {}
        for check in ("no_phantom", "one_per_user"):
            told = verdict(run, check)
            assert told.validity is Validity.UNKNOWN, told.summary
            assert "another id than {user} stands for" in told.summary


@pytest.mark.parametrize("name", [None, True, [1], {"id": 1}])
def test_rows_without_a_name_are_out_of_nothing_and_no_second_row_of_anybody(name: Any) -> None:
    rows: list[Any] = [(a.user, a.issue_id) for a in drop(250) if a.issue_id]
    more = [*rows, (name, "x"), (name, "y")]
    told = accused(RunDir(rows=more, stock=252, semantics={"per_user": "one"}))
    assert set(told) == {"no_phantom"}
    assert "2 rows foreign" in told["no_phantom"]


def test_stores_that_call_users_otherwise_cannot_be_compared() -> None:
    rows: list[Any] = [(a.user, a.issue_id) for a in drop(250) if a.issue_id]
    others: list[Any] = [(f"pk{u}", i) for u, i in rows]
    nobody: list[Any] = [(None, i) for _, i in rows]
    keys = [f"session-{k}" for k in range(250)]
    view = {"remaining": 0, "holders": keys, "current": True}
    for run in (
        RunDir(rows=rows, views={"redis": view}),
        RunDir(
            rows=[*others],
            views={"redis": {**view, "holders": list(range(250))}},
        ),
        RunDir(rows=[*nobody], views={"redis": view}),
    ):
        told = verdict(run, "stores_agree")
        assert told.validity is Validity.UNKNOWN, told.summary
        assert "calls users otherwise" in told.summary
        run.views["redis"] = {**run.views["redis"], "remaining": 3}
        assert verdict(run, "stores_agree").validity is Validity.INVALID
    some = RunDir(rows=rows, views={"redis": {**view, "holders": [0, *keys[1:]]}})
    assert verdict(some, "stores_agree").validity is Validity.INVALID
    named: list[Any] = [(key, "") for key in keys]
    same = RunDir(rows=named, views={"redis": view})
    assert verdict(same, "stores_agree").validity is Validity.VALID


def test_an_answer_of_other_ids_than_the_rows_is_no_lie() -> None:
    rows: list[Any] = [(a.user, a.issue_id) for a in drop(250) if a.issue_id]
    given = [{"userId": f"pk{u}", "issueId": i} for u, i in rows]
    run = RunDir(rows=rows, audit={"answer": {"rows": given}, "answer_rows_equal": False})
    assert verdict(run, "stores_agree").validity is Validity.UNKNOWN
    given[0]["userId"] = 0
    assert verdict(run, "stores_agree").validity is Validity.INVALID


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


@pytest.mark.parametrize("told", [["i0", "i1", "i2"], ["", "", ""], ["i0", "", ""]])
def test_a_row_without_an_id_keeps_one_answer_and_no_more(told: list[str]) -> None:
    answers = [Answer(k, 0, Outcome.ISSUED, k / 10, issue_id=id_) for k, id_ in enumerate(told)]
    for count in range(5):
        run = several("many", answers, stock=10, rows=[(0, "")] * count)
        lost = {"no_lost_issuance"} if count < 3 else {"no_phantom"} if count > 3 else set()
        assert set(accused(run)) == lost, count
    if told[0]:
        run = several("many", answers, stock=10, rows=[(0, "i0"), (0, "")])
        assert "1 of 3" in accused(run)["no_lost_issuance"]
        run = several("many", answers, stock=10, rows=[(0, "i0"), (0, ""), (1, "")])
        assert set(accused(run)) == {"no_lost_issuance", "no_phantom"}


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=9))
def test_an_honest_shop_loses_nothing_whatever_it_tells_and_keeps(
    issues: list[tuple[int, bool, bool]],
) -> None:
    """Each issue has an id that the answer may leave out, and the row too."""
    answers = [
        Answer(k, user, Outcome.ISSUED, k / 10, issue_id=f"i{k}" if tells else "")
        for k, (user, tells, _) in enumerate(issues)
    ]
    rows = [(user, f"i{k}" if keeps else "") for k, (user, _, keeps) in enumerate(issues)]
    run = several("many", answers, stock=10, rows=rows)
    assert accused(run) == {}
    for gone in range(len(rows)):
        few = several("many", answers, stock=10, rows=[*rows[:gone], *rows[gone + 1 :]])
        assert set(accused(few)) == {"no_lost_issuance"}


def test_where_an_answer_may_be_told_again_fewer_rows_than_answers_are_a_question() -> None:
    answers = [Answer(k, 0, Outcome.ISSUED, k / 10) for k in range(3)]
    run = several("many", answers, stock=10, rows=[(0, "a")])
    run.semantics["replay"] = "idempotent"
    told = verdict(run, "no_lost_issuance")
    assert told.validity is Validity.UNKNOWN
    assert "capture issue_id" in told.summary
    run.rows = [(0, "a"), (0, "b"), (0, "c")]
    assert verdict(run, "no_lost_issuance").validity is Validity.VALID
    run.rows = [(1, "a")]
    assert "no_lost_issuance" in accused(run)


def test_a_start_that_was_asked_again_may_have_taken_several() -> None:
    """One start, asked three times, took three; the others are told that nothing is left."""
    answers = [
        Answer(0, 0, Outcome.ISSUED, 0.0, 2.0, "i0", attempts=3),
        *(Answer(k, k, Outcome.SOLD_OUT, 3 + k / 10) for k in range(1, 5)),
    ]
    rows = [(0, "i0"), (0, "x"), (0, "y")]
    for audited in (True, False):
        run = several("many", answers, stock=3, rows=rows, has_audit=audited)
        assert accused(run) == {}
        for semantics in ({"replay": "idempotent"}, {"per_user": "one"}):
            run.semantics = {"per_user": "many", **semantics}
            if not audited:
                assert set(accused(run)) == {"no_premature_sold_out"}
        early = [replace(answers[1], sent_s=-1.0, took_s=0.5), answers[0]]
        run = several("many", early, stock=3, rows=rows, has_audit=audited)
        assert "no_premature_sold_out" in accused(run)


@pytest.mark.parametrize("retries", [1, 2])
def test_tries_without_an_answer_may_each_have_held_one_for_a_while(retries: int) -> None:
    """A user asked twice and got no answer; one of both took a coupon, the other gave it back."""
    unknown = [Answer(k, 0, Outcome.UNKNOWN, k / 10, attempts=retries) for k in range(2)]
    answers = [*unknown, Answer(2, 2, Outcome.SOLD_OUT, 1.0)]
    run = several("many", answers, stock=2 * retries, rows=[(0, "a")])
    assert accused(run) == {}
    run.stock = 2 * retries + 1
    assert set(accused(run)) == {"no_premature_sold_out"}
    run.semantics["holds"] = "strict"
    assert set(accused(run)) == {"no_premature_sold_out"}


@pytest.mark.parametrize(("stock", "issues"), [(20, 10), (21, 10), (3, 1), (1, 0)])
def test_an_issue_may_take_several_of_the_stock(stock: int, issues: int) -> None:
    run = RunDir(stock=stock, answers=drop(issues, 30), semantics={"units": 2})  # type: ignore[dict-item]
    run.views = {"redis": {"remaining": stock - 2 * issues, "current": True}}
    assert accused(run) == {}
    assert verdict(run, "stores_agree").validity is Validity.VALID
    run.answers = drop(issues + 1, 30)
    assert "no_over_issuance" in accused(run)
    if issues > 1:  # of nobody at all, the question would be whether the answers are read right
        run.answers = drop(issues - 1, 30)
        assert "no_premature_sold_out" in accused(run)


def test_two_rows_of_one_user_are_two_taken() -> None:
    answers = [issue(k, k, k / 10) for k in range(9)] + [Answer(9, 9, Outcome.SOLD_OUT, 0.9)]
    rows = [(a.user, a.issue_id) for a in answers if a.issue_id] + [(0, "again")]
    now = {"per_user": "one"}
    run = RunDir(stock=10, answers=answers, rows=rows, semantics=now)
    assert set(accused(run)) == {"one_per_user"}
    assert "no_premature_sold_out" in accused(RunDir(stock=10, answers=answers, rows=rows))
