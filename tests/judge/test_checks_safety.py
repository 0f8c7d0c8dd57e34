"""The checks on what was issued: an honest service is never accused, a planted bug always caught.

Honest runs come from a small simulation: one service with one lock, whose clients overlap, lose
answers and time out, and whose reservations may fail and be given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from gameday.judge import checks
from gameday.judge.verdict import NotApplicable, Validity, Verdict
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.schedule import users
from tests.support.rundirs import SYSTEM, Answer, RunDir, drop, issue, read, said, verdict

SAFETY = (
    "no_over_issuance",
    "one_per_user",
    "no_lost_issuance",
    "no_phantom",
    "no_premature_sold_out",
)
FATES = ("answered", "answer lost", "request lost", "turned away", "failed", "failed, lost")
several = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=40,
    suppress_health_check=[HealthCheck.differing_executors],
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as the simulation plans it; times in ms."""

    user: int
    sent: int
    took: int
    acts_after: int
    fate: str
    held: int


def simulate(asks: Sequence[Ask], stock: int) -> RunDir:
    """What an honest service with `stock` coupons makes of these requests."""
    events = sorted(
        [(a.sent + min(a.acts_after, a.took), 1, k) for k, a in enumerate(asks)]
        + [(_given_back(a), 2, k) for k, a in enumerate(asks) if a.fate.startswith("failed")]
    )
    held: dict[int, int] = {}
    rows: list[tuple[int, str]] = []
    outcomes: dict[int, Outcome] = {}
    for _, kind, k in events:
        ask = asks[k]
        if kind == 2:  # after what happens at the same instant
            if held.get(ask.user) == k:
                del held[ask.user]
            continue
        if ask.fate in ("request lost", "turned away"):
            outcomes[k] = Outcome.REFUSED
        elif ask.user in held:
            outcomes[k] = Outcome.DUPLICATE
        elif len(held) >= stock:
            outcomes[k] = Outcome.SOLD_OUT
        else:
            held[ask.user] = k
            outcomes[k] = Outcome.REFUSED if ask.fate.startswith("failed") else Outcome.ISSUED
            if outcomes[k] is Outcome.ISSUED:
                rows.append((ask.user, f"i{k}"))
    answers = [_answer(k, ask, outcomes[k]) for k, ask in enumerate(asks)]
    begun = [e for e in RunDir().events if "t0_ns" in e[2]]
    return RunDir(stock=stock, answers=answers, rows=rows, events=begun, evaluations=[])


def _given_back(ask: Ask) -> int:
    """When a reservation that failed is free again: before the answer, where one is heard."""
    acted = ask.sent + min(ask.acts_after, ask.took)
    return acted + ask.held if ask.fate == "failed, lost" else min(acted + ask.held, _ended(ask))


def _ended(ask: Ask) -> int:
    return ask.sent + ask.took


def _answer(k: int, ask: Ask, outcome: Outcome) -> Answer:
    heard = ask.fate not in ("answer lost", "request lost", "failed, lost")
    told = outcome if heard else Outcome.UNKNOWN
    id_ = f"i{k}" if told is Outcome.ISSUED else ""
    reason = Reason.NONE if heard else Reason.TIMEOUT
    return Answer(k, ask.user, told, ask.sent / 1000, ask.took / 1000, id_, reason)


asks = st.builds(
    Ask,
    user=st.integers(0, 7),
    sent=st.integers(0, 60),
    took=st.integers(1, 20),
    acts_after=st.integers(0, 20),
    fate=st.sampled_from(FATES),
    held=st.integers(0, 30),
)
honest_runs = st.builds(simulate, st.lists(asks, max_size=14), st.integers(0, 4))


def accused(run: RunDir) -> list[str]:
    """The safety checks that say invalid."""
    evidence = read(run)
    answers = [checks.run(name, checks.CHECKS[name], evidence) for name in SAFETY]
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    return [one.summary for one in verdicts if one.validity is Validity.INVALID]


@several
@given(honest_runs)
def test_an_honest_service_is_never_accused(run: RunDir) -> None:
    assert accused(run) == []


@several
@given(honest_runs, st.sampled_from(["moving", "unknown"]))
def test_nor_is_it_where_the_audit_is_uncertain(run: RunDir, cut: str) -> None:
    run.audit = {"cut": cut, "problem": "postgres: timeout" if cut == "unknown" else ""}
    run.rows = run.stored_rows()[::2]
    assert accused(run) == []


@several
@given(honest_runs, st.data())
def test_losing_any_acknowledged_issue_is_caught(run: RunDir, data: st.DataObject) -> None:
    acknowledged = [a for a in run.answers if a.outcome is Outcome.ISSUED]
    assume(acknowledged)
    gone = data.draw(st.sampled_from(acknowledged))
    run.rows = [row for row in run.stored_rows() if row[0] != gone.user]

    answer = verdict(run, "no_lost_issuance")

    assert answer.validity is Validity.INVALID
    assert answer.certificate["answer"].user == gone.user
    assert answer.certificate["rows_of_the_user"] == []


def test_a_row_with_another_id_does_not_stand_for_the_acknowledged_one() -> None:
    run = RunDir(rows=[(user, f"i{user}" if user else "other") for user in range(250)])
    answer = verdict(run, "no_lost_issuance")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["rows_of_the_user"] == ["other"]


def test_ids_longer_than_a_record_holds_are_still_compared() -> None:
    long = "x" * 50
    run = RunDir(answers=[replace(issue(0, 0, 0.0), issue_id=long)], rows=[(0, long)])
    assert verdict(run, "no_lost_issuance").validity is Validity.VALID
    run.rows = [(0, long + "y")]
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_a_system_that_tells_no_ids_is_compared_by_user() -> None:
    run = RunDir(answers=[replace(issue(0, 0, 0.0), issue_id="")], rows=[(0, "i0")])
    assert verdict(run, "no_lost_issuance").validity is Validity.VALID
    run.rows = [(1, "i0")]
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_a_run_without_an_acknowledged_issue_proves_nothing() -> None:
    run = RunDir(answers=[Answer(0, 0, Outcome.UNKNOWN, 0.0)])
    assert verdict(run, "no_lost_issuance").validity is Validity.UNKNOWN
    assert verdict(run, "one_per_user").validity is Validity.UNKNOWN


@several
@given(honest_runs)
def test_a_row_too_many_is_caught(run: RunDir) -> None:
    rows = run.stored_rows()
    run.rows = rows + [(100 + n, f"x{n}") for n in range(run.stock + 1 - len(rows))]

    answer = verdict(run, "no_over_issuance")

    assert answer.validity is Validity.INVALID
    assert len(answer.certificate["rows"]) == run.stock + 1


def test_a_row_too_many_is_final_even_while_rows_were_moving() -> None:
    run = RunDir(stock=249, audit={"cut": "moving"})
    assert verdict(run, "no_over_issuance").validity is Validity.INVALID


def test_as_many_rows_as_stock_are_no_over_issuance() -> None:
    assert verdict(RunDir(), "no_over_issuance").validity is Validity.VALID


def test_more_users_told_issued_than_there_is_stock_is_caught_without_any_row() -> None:
    run = RunDir(answers=drop(stock=251), rows=[])
    answer = verdict(run, "no_over_issuance")
    assert answer.validity is Validity.INVALID
    assert len(answer.certificate["users"]) == 251
    assert answer.evidence[0].user == 250


def test_duplicate_answers_admit_a_coupon_only_where_holds_are_strict() -> None:
    answers = [issue(0, 0, 0.0), Answer(1, 1, Outcome.UNKNOWN, 0.1, 0.1)]
    answers.append(Answer(2, 1, Outcome.DUPLICATE, 0.3))
    run = RunDir(stock=1, answers=answers)
    assert verdict(run, "no_over_issuance").validity is Validity.VALID
    run.semantics = {"holds": "strict"}
    assert verdict(run, "no_over_issuance").validity is Validity.INVALID


def test_without_an_audit_over_issuance_is_unknown_not_excluded() -> None:
    run = RunDir(audit={"problem": "postgres: refused"}, rows=[])
    assert verdict(run, "no_over_issuance").validity is Validity.UNKNOWN


@several
@given(honest_runs, st.data())
def test_a_second_row_of_any_user_is_caught(run: RunDir, data: st.DataObject) -> None:
    rows = run.stored_rows()
    assume(rows)
    user, _ = data.draw(st.sampled_from(rows))
    run.rows = [*rows, (user, "again")]

    answer = verdict(run, "one_per_user")

    assert answer.validity is Validity.INVALID
    assert answer.certificate["user"] == user


def test_being_issued_twice_is_caught_and_a_replay_with_the_same_id_is_not() -> None:
    run = RunDir(answers=[issue(0, 0, 0.0), issue(1, 0, 0.5)], rows=[(0, "i0")])
    told = verdict(run, "one_per_user")
    assert told.validity is Validity.INVALID
    assert "if that is meant: semantics.replay" in told.summary
    run.semantics = {"replay": "idempotent"}
    assert verdict(run, "one_per_user").validity is Validity.VALID
    run.answers[1] = replace(run.answers[1], issue_id="j0")
    assert verdict(run, "one_per_user").validity is Validity.INVALID
    run.semantics = {}
    assert "replay" not in verdict(run, "one_per_user").summary


@several
@given(honest_runs)
def test_a_row_of_somebody_who_never_asked_is_caught(run: RunDir) -> None:
    run.rows = [*run.stored_rows(), (99, "x")]
    run.answers = run.answers or [Answer(0, 0, Outcome.UNKNOWN, 0.0)]
    answer = verdict(run, "no_phantom")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["attempts_of_the_user"] == []


@pytest.mark.parametrize("told", [Outcome.SOLD_OUT, Outcome.REFUSED, Outcome.DROPPED])
def test_told_no_and_charged_yes_is_caught(told: Outcome) -> None:
    run = RunDir(answers=[issue(0, 0, 0.0), Answer(1, 1, told, 0.1)], rows=[(0, "i0"), (1, "i1")])
    answer = verdict(run, "no_phantom")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["row"] == [1, "i1"]


@pytest.mark.parametrize("told", [Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.DUPLICATE])
def test_an_answer_that_may_mean_yes_explains_a_row(told: Outcome) -> None:
    run = RunDir(answers=[issue(0, 0, 0.0), Answer(1, 1, told, 0.1)], rows=[(0, "i0"), (1, "i1")])
    assert verdict(run, "no_phantom").validity is Validity.VALID


def test_a_request_without_a_record_explains_a_row() -> None:
    run = RunDir(answers=[issue(0, 0, 0.0)], dispatched=2)
    assert verdict(run, "no_phantom").validity is Validity.VALID
    run.rows = [(0, "i0"), (users.user(7, "drop", 1, 1_000_000), "i1")]
    assert verdict(run, "no_phantom").validity is Validity.VALID
    run.rows = [(0, "i0"), (users.user(7, "drop", 2, 1_000_000), "i1")]
    assert verdict(run, "no_phantom").validity is Validity.INVALID


def test_a_duplicate_answer_to_somebody_who_holds_nothing_is_caught() -> None:
    run = RunDir(answers=[issue(0, 0, 0.0), Answer(1, 1, Outcome.DUPLICATE, 0.1)])
    answer = verdict(run, "no_phantom")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["answer"].user == 1


def test_a_try_that_began_after_the_duplicate_answer_does_not_explain_it() -> None:
    answers = [Answer(0, 1, Outcome.DUPLICATE, 0.1), Answer(1, 1, Outcome.UNKNOWN, 0.2)]
    assert verdict(RunDir(answers=answers), "no_phantom").validity is Validity.INVALID


def test_an_earlier_try_that_may_have_held_one_explains_a_duplicate_unless_holds_are_strict() -> (
    None
):
    answers = [Answer(0, 1, Outcome.REFUSED, 0.1, 0.5), Answer(1, 1, Outcome.DUPLICATE, 0.2)]
    run = RunDir(answers=answers)
    assert verdict(run, "no_phantom").validity is Validity.VALID
    run.semantics = {"holds": "strict"}
    assert verdict(run, "no_phantom").validity is Validity.INVALID


def test_a_try_that_a_switch_overtook_explains_a_duplicate_while_it_lasted() -> None:
    overtaken = Answer(0, 1, Outcome.SOLD_OUT, 0.1, 0.5)
    run = RunDir(answers=[overtaken, Answer(1, 1, Outcome.DUPLICATE, 0.2)])
    assert verdict(run, "no_phantom").validity is Validity.VALID
    run.answers[1] = Answer(1, 1, Outcome.DUPLICATE, 0.7)
    assert verdict(run, "no_phantom").validity is Validity.INVALID


def test_a_try_that_a_step_overtook_may_have_held_a_coupon() -> None:
    overtaken = Answer(0, 0, Outcome.SOLD_OUT, 14.0, 0.5)
    during = Answer(1, 1, Outcome.SOLD_OUT, 14.1)
    last = issue(2, 2, 14.3)
    run = RunDir(stock=1, answers=[overtaken, during, last])
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID
    run.answers = [Answer(0, 0, Outcome.SOLD_OUT, 14.0, 0.01), during, last]
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    run.answers = [replace(answer, sent_s=answer.sent_s - 10) for answer in run.answers]
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


def test_a_step_that_was_cut_off_overtakes_until_its_undo_begins() -> None:
    overtaken = Answer(0, 0, Outcome.SOLD_OUT, 16.0, 0.3)
    during = Answer(1, 1, Outcome.SOLD_OUT, 16.1)
    run = RunDir(stock=1, answers=[overtaken, during, issue(2, 2, 16.2)])
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    whole = run.events
    run.events = [e for e in whole if (e[1], e[2].get("took_s")) != ("step.done", 0.9)]
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID, "the undo is at 16.7"
    run.answers = [replace(answer, sent_s=answer.sent_s + 2) for answer in run.answers]
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    run.events = [e for e in run.events if not e[2].get("undoing")]
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID, "it had no undo"
    run.events = [e for e in whole if e[1] != "step.done" or not e[2]["undoing"]]
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID, (
        "nor had its undo an end"
    )


@several
@given(honest_runs)
def test_sold_out_before_anybody_asked_is_caught(run: RunDir) -> None:
    assume(run.stock)
    early = Answer(len(run.answers), 50, Outcome.SOLD_OUT, -1.0, 0.5)
    run.answers = [*run.answers, early]
    run.rows = run.stored_rows()

    answer = verdict(run, "no_premature_sold_out")

    assert answer.validity is Validity.INVALID
    assert answer.certificate["could_be_taken"] == 0


def test_sold_out_one_coupon_early_is_caught() -> None:
    run = RunDir(answers=drop(stock=249), stock=250)
    answer = verdict(run, "no_premature_sold_out")
    assert answer.validity is Validity.INVALID
    assert answer.certificate == {**answer.certificate, "could_be_taken": 249, "stock": 250}


def test_the_last_coupon_may_be_taken_while_the_sold_out_is_under_way() -> None:
    answers = [issue(0, 0, 0.0, 1.0), Answer(1, 1, Outcome.SOLD_OUT, 0.2, 0.1)]
    run = RunDir(stock=1, answers=answers)
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID


def test_a_try_that_failed_may_have_held_the_coupon_only_while_it_lasted() -> None:
    failed = Answer(0, 0, Outcome.REFUSED, 0.0, 0.2)
    during = Answer(1, 1, Outcome.SOLD_OUT, 0.1, 0.3)
    run = RunDir(stock=1, answers=[failed, during])
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID
    run.answers[1] = replace(during, sent_s=0.3)
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


def test_where_holds_are_strict_a_failed_try_explains_nothing() -> None:
    failed = Answer(0, 0, Outcome.REFUSED, 0.0, 0.2)
    run = RunDir(stock=1, answers=[failed, Answer(1, 1, Outcome.SOLD_OUT, 0.1, 0.3)])
    run.semantics = {"holds": "strict"}
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


def test_a_try_that_never_reached_the_service_held_nothing() -> None:
    failed = Answer(0, 0, Outcome.REFUSED, 0.0, 0.2, "", Reason.CONNECT_REFUSED)
    run = RunDir(stock=1, answers=[failed, Answer(1, 1, Outcome.SOLD_OUT, 0.1, 0.3)])
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


@pytest.mark.parametrize("reason", [Reason.STEP_FAILED, Reason.STEP_UNANSWERED])
def test_starts_whose_login_hung_held_nothing_and_explain_no_sold_out(reason: Reason) -> None:
    hung = [Answer(k, k, Outcome.REFUSED, k / 10, 19, "", reason) for k in range(170)]
    issued = [issue(k, k, k / 10) for k in range(170, 270)]
    late = [Answer(k, k, Outcome.SOLD_OUT, k / 10) for k in range(270, 300)]
    run = RunDir(stock=250, answers=[*hung, *issued, *late])
    answer = verdict(run, "no_premature_sold_out")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["could_be_taken"] == 100
    run.semantics = {"per_user": "many"}
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


def other_ids(count: int, *, same: int = 0, missing: int = 0) -> RunDir:
    """People who were each told an id, and an audit that has the key of their row instead."""
    told = [Answer(k, k, Outcome.ISSUED, k / 10, issue_id=f"order-{k}") for k in range(count)]
    rows = [(k, f"order-{k}" if k < same else str(700 + k)) for k in range(count - missing)]
    return RunDir(stock=count, answers=told, rows=rows)


def test_an_audit_of_other_ids_than_every_answer_told_is_a_question() -> None:
    found = verdict(other_ids(8), "no_lost_issuance")
    assert found.validity is Validity.UNKNOWN
    assert "nobody one with the id" in str(found.summary)
    assert "order-0" in str(found.summary)
    assert "700" in str(found.summary)
    assert read(other_ids(8)).anchors.wrong_coupon_ns is None


@pytest.mark.parametrize(
    "run", [other_ids(8, same=1), other_ids(8, missing=1), other_ids(2)], ids=["one", "few", "two"]
)
def test_an_id_that_is_wrong_beside_right_ones_is_a_loss(run: RunDir) -> None:
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_a_start_whose_step_may_have_reserved_explains_a_sold_out() -> None:
    reserved = Answer(0, 0, Outcome.UNKNOWN, 0.0, 0.2, "", Reason.STEP_FAILED)
    run = RunDir(stock=1, answers=[reserved, Answer(1, 1, Outcome.SOLD_OUT, 9.0)])
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID


def test_a_start_whose_login_failed_explains_no_duplicate() -> None:
    failed = Answer(0, 1, Outcome.REFUSED, 0.0, 0.5, "", Reason.STEP_FAILED)
    run = RunDir(answers=[failed, Answer(1, 1, Outcome.DUPLICATE, 0.2)])
    assert verdict(run, "no_phantom").validity is Validity.INVALID


def test_an_unanswered_try_may_hold_a_coupon_to_the_end() -> None:
    lost = Answer(0, 0, Outcome.UNKNOWN, 0.0, 0.2)
    run = RunDir(stock=1, answers=[lost, Answer(1, 1, Outcome.SOLD_OUT, 9.0)])
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID


def test_a_system_without_a_sold_out_answer_is_not_asked_about_it() -> None:
    issue_request = SYSTEM["requests"]["issue"]
    outcomes = {k: v for k, v in issue_request["outcomes"].items() if k != "sold_out"}
    requests = {"issue": {**issue_request, "outcomes": outcomes}}
    run = RunDir(system={**SYSTEM, "requests": requests})
    assert isinstance(said(run, "no_premature_sold_out"), NotApplicable)


def view(holders: list[int], remaining: int, *, current: object = True) -> dict[str, Any]:
    """Redis' view, as the audit holds it."""
    return {"redis": {"remaining": remaining, "holders": holders, "current": current}}


def test_stores_that_hold_the_same_users_agree() -> None:
    run = RunDir(views=view(list(range(250)), 0))
    assert verdict(run, "stores_agree").validity is Validity.VALID


@given(st.integers(0, 249), st.integers(400, 500))
@settings(max_examples=20)
def test_one_lost_and_one_phantom_do_not_cancel(lost: int, phantom: int) -> None:
    holders = [user for user in range(250) if user != lost] + [phantom]
    answer = verdict(RunDir(views=view(holders, 0)), "stores_agree")
    assert answer.validity is Validity.INVALID
    assert {(e["user"], e["only_in"]) for e in answer.evidence} == {
        (lost, "rows"),
        (phantom, "redis"),
    }


def test_a_leaked_coupon_in_the_fast_path_is_caught() -> None:
    answer = verdict(RunDir(views=view(list(range(250)), 3)), "stores_agree")
    assert answer.validity is Validity.INVALID
    assert answer.certificate["remaining"] == 3


def test_a_view_that_is_not_current_is_not_compared() -> None:
    assert isinstance(said(RunDir(views=view([], 0, current=False)), "stores_agree"), NotApplicable)


@pytest.mark.parametrize("cut", ["moving", "unknown"])
def test_stores_cannot_be_compared_while_rows_move(cut: str) -> None:
    run = RunDir(views=view([], 0), audit={"cut": cut})
    assert verdict(run, "stores_agree").validity is Validity.UNKNOWN


def test_a_view_of_which_nobody_knows_whether_it_is_current_is_unknown() -> None:
    run = RunDir(views=view([], 0, current=None))
    assert verdict(run, "stores_agree").validity is Validity.UNKNOWN


def test_a_service_whose_own_audit_hides_a_row_is_caught() -> None:
    told = [{"userId": user, "issueId": f"i{user}"} for user in range(249)]
    answer = {"code": "c", "stock": 250, "rows": told}
    run = RunDir(audit={"answer": answer, "answer_rows_equal": False})
    found = verdict(run, "stores_agree")
    assert found.validity is Validity.INVALID
    assert found.certificate == {"row": [249, "i249"], "only_in": "rows"}


def test_a_drain_that_did_not_end_leaves_absent_rows_unknown() -> None:
    run = RunDir(rows=[])
    run.events = [*run.events, (32.5, "phase", {"phase": "drain", "problem": "not drained"})]
    assert verdict(run, "no_lost_issuance").validity is Validity.UNKNOWN


def after_a_lost_try(*sold_out_s: float, **fields: Any) -> RunDir:
    """Two coupons: one is issued, one try has no answer, and people are told "sold out"."""
    answers = [issue(0, 0, 0.0), Answer(1, 1, Outcome.UNKNOWN, 0.1, 0.2)]
    late = [Answer(k, k, Outcome.SOLD_OUT, at) for k, at in enumerate(sold_out_s, 2)]
    return RunDir(stock=2, answers=answers + late, effective={"left_over": True}, **fields)


def test_a_coupon_that_nobody_got_excuses_no_sold_out_for_ever() -> None:
    answer = verdict(after_a_lost_try(0.25, 9.0, 12.0), "no_premature_sold_out")
    assert answer.validity is Validity.UNKNOWN
    assert answer.message.values["told"] == 2, "the first came while the request was under way"
    assert "`semantics: {holds: strict}`" in answer.summary
    of_before = after_a_lost_try(9.0)
    of_before.effective = {}
    assert verdict(of_before, "no_premature_sold_out").validity is Validity.VALID


def test_where_holds_are_strict_a_coupon_that_nobody_got_is_a_sold_out_too_early() -> None:
    run = after_a_lost_try(9.0, semantics={"holds": "strict"})
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID


def test_a_sold_out_while_the_try_was_under_way_or_whose_coupon_was_issued_is_right() -> None:
    assert verdict(after_a_lost_try(0.25), "no_premature_sold_out").validity is Validity.VALID
    issued_after_all = after_a_lost_try(9.0, rows=[(0, "i0"), (1, "i1")])
    assert verdict(issued_after_all, "no_premature_sold_out").validity is Validity.VALID
    later = after_a_lost_try(9.0)
    later.answers.append(issue(3, 3, 9.1))
    assert verdict(later, "no_premature_sold_out").validity is Validity.VALID


@pytest.mark.parametrize(
    ("told_s", "remaining", "expected"),
    [
        (9.0, 1, Validity.VALID),  # it came back, and may have been held until then
        (31.0, 1, Validity.UNKNOWN),  # it came back: when?
        (9.0, 0, Validity.UNKNOWN),  # lost, or still held: that the stores differ is told apart
    ],
)
def test_what_is_left_in_the_end_says_whether_a_coupon_came_back(
    told_s: float, remaining: int, expected: Validity
) -> None:
    run = after_a_lost_try(told_s, views=view([0], remaining))
    assert verdict(run, "no_premature_sold_out").validity is expected
    agree = Validity.VALID if remaining else Validity.INVALID
    assert verdict(run, "stores_agree").validity is agree


@pytest.mark.parametrize("audit", [{"cut": "moving"}, {"problem": "the answer was cut off"}])
def test_rows_that_are_not_settled_accuse_and_question_nobody_of_a_sold_out(
    audit: dict[str, Any],
) -> None:
    run = after_a_lost_try(9.0, audit=audit)
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID


def test_a_count_of_what_is_left_that_is_not_current_says_nothing() -> None:
    for current in (False, None):
        run = after_a_lost_try(9.0, views=view([0], 1, current=current))
        assert verdict(run, "no_premature_sold_out").validity is Validity.UNKNOWN


@several
@given(honest_runs)
def test_an_honest_service_is_not_accused_of_coupons_that_are_left(run: RunDir) -> None:
    run.effective = {**run.effective, "left_over": True}
    assert verdict(run, "no_premature_sold_out").validity is not Validity.INVALID
