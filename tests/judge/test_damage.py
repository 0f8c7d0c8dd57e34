"""Damage where a file does not speak of failures; and answers that cannot all be right."""

from dataclasses import replace
from typing import Any

import pytest

from gameday.judge.judge import judge
from gameday.judge.verdict import NotApplicable, Validity
from gameday.traffic.history import Outcome, Reason
from tests.support.rundirs import Answer, RunDir, evaluation, read, said, verdict

ABOVE = {"above": 0.05}


def failing(
    begin_s: float, end_s: float, failures: object = ABOVE, outcome: Outcome = Outcome.UNKNOWN
) -> RunDir:
    """A run with a latency objective alone; answers fail meanwhile, and at once."""
    run = RunDir()
    run.experiment = {**run.experiment, "playbook": None, "expect": {"other_alerts": "allowed"}}
    run.playbook = None
    if failures is not None:
        run.experiment["failures"] = failures
    run.effective = {"failed": ["unknown"]} if failures == ABOVE else {}
    run.answers = [
        Answer(a.k, a.user, outcome, a.sent_s) if begin_s <= a.sent_s < end_s else a
        for a in run.answers
    ]
    run.rows = [(a.user, a.issue_id) for a in run.answers if a.outcome is Outcome.ISSUED]
    run.evaluations = [
        well(at, answered=not begin_s < at <= end_s + 4 or outcome is not Outcome.UNKNOWN)
        for at in range(36)
    ]
    return run


def well(at_s: float, *, answered: bool | None) -> dict[str, Any]:
    line = evaluation(at_s, fast=True)
    line["readings"]["objective:answered"] = answered
    return line


def test_failures_are_damage_where_only_latency_has_an_objective() -> None:
    clocks = judge(read(failing(11, 16))).clocks
    assert (clocks.damage_at, clocks.recovered_after_s) == (12.0, 9.0)
    found = verdict(failing(11, 16), "recovered")
    assert found.validity is Validity.VALID
    assert found.evidence[0]["objectives"] == ["answered"]


def test_a_run_of_before_is_judged_as_it_was() -> None:
    run = failing(11, 16, failures=None)
    assert judge(read(run)).clocks.damage_at is None
    assert verdict(run, "recovered").message.id == "check.recovered.never"
    assert verdict(run, "objectives").validity is Validity.VALID


def test_expected_failures_are_no_damage() -> None:
    run = failing(11, 16, failures="expected")
    assert judge(read(run)).clocks.damage_at is None
    run.experiment["objectives"] = []
    for name in ("objectives", "recovered"):
        assert isinstance(said(run, name), NotApplicable)


def test_failures_that_last_to_the_end_are_a_weakness() -> None:
    run = failing(20, 30)
    assert verdict(run, "objectives").validity is Validity.INVALID
    assert verdict(run, "recovered").validity is Validity.INVALID


def test_without_a_fault_failures_are_a_breach() -> None:
    run = failing(11, 16).without_faults()
    run.experiment = {**run.experiment, "objectives": []}
    run.evaluations = failing(11, 16).evaluations
    found = verdict(run, "objectives")
    assert (found.validity, found.message.values["objectives"]) == (Validity.INVALID, "answered")
    run.experiment = {**run.experiment, "failures": "expected"}
    assert isinstance(said(run, "objectives"), NotApplicable)


def test_a_fault_that_comes_at_once_leaves_no_steady_state_to_ask_for() -> None:
    """A file that writes no objective may begin with its fault, and ran so before."""
    run = failing(40, 50)
    run.experiment = {**run.experiment, "objectives": []}
    moved = [(at - 9.0 if 10 <= at < 17 else at, name, data) for at, name, data in run.events]
    run.events = sorted(moved, key=lambda event: event[0])
    run.evaluations = [well(at, answered=None if at < 1 else True) for at in range(-1, 36)]
    assert verdict(run, "objectives").validity is Validity.VALID
    assert verdict(run, "recovered").validity is Validity.VALID


def test_traffic_shorter_than_the_warm_up_is_asked_for_no_assumed_objective() -> None:
    run = failing(40, 50).without_faults()
    run.experiment = {**run.experiment, "objectives": []}
    run.effective = {"traffic_end_s": 3.0}
    run.evaluations = [well(at, answered=True) for at in range(4)]
    assert isinstance(said(run, "objectives"), NotApplicable)


def test_where_nobody_could_look_it_is_unknown() -> None:
    run = failing(40, 50)
    run.evaluations = [well(at, answered=None if 11 <= at < 20 else True) for at in range(36)]
    assert verdict(run, "recovered").validity is Validity.UNKNOWN


def of_one_kind(outcome: Outcome, rows: int = 0) -> RunDir:
    run = RunDir()
    run.effective = {"failed": ["unknown", "unreached"]}
    run.answers = [Answer(k, k, outcome, k / 10) for k in range(300)]
    run.rows = [(k, f"i{k}") for k in range(rows)]
    return run


@pytest.mark.parametrize(
    ("outcome", "check"),
    [(Outcome.SOLD_OUT, "no_premature_sold_out"), (Outcome.DUPLICATE, "no_phantom")],
)
@pytest.mark.parametrize("holds", ["compensated", "strict"])
def test_answers_that_cannot_all_be_right_are_a_question(
    outcome: Outcome, check: str, holds: str
) -> None:
    run = of_one_kind(outcome)
    run.semantics = {"holds": holds}
    found = verdict(run, check)
    assert found.validity is Validity.UNKNOWN
    assert found.message.id == "check.match"
    assert f"`requests.issue.outcomes.{outcome.text}`" in found.summary
    result = judge(read(run))
    assert result.verdict == "unknown"
    assert not [
        c.name for c in result.checks if c.verdict == "invalid" and c.name.startswith("no_")
    ]


@pytest.mark.parametrize(("other", "first"), [(Outcome.UNKNOWN, 1), (Outcome.REFUSED, 0)])
def test_answers_that_tell_nothing_beside_them_make_it_no_accusation(
    other: Outcome, first: int
) -> None:
    run = of_one_kind(Outcome.SOLD_OUT)
    run.answers[first::3] = [replace(a, outcome=other) for a in run.answers[first::3]]
    assert verdict(run, "no_premature_sold_out").message.id == "check.match"


@pytest.mark.parametrize("holds", ["compensated", "strict"])
def test_requests_that_may_have_taken_the_stock_before_make_it_an_accusation_again(
    holds: str,
) -> None:
    """A hundred that time out, and keep what they took: who comes after is rightly told no."""
    run = of_one_kind(Outcome.SOLD_OUT)
    run.semantics = {"holds": holds}
    lost = [
        replace(a, outcome=Outcome.UNKNOWN, reason=Reason.TIMEOUT, took_s=10.0)
        for a in run.answers[:100]
    ]
    run.answers = lost + run.answers[100:]
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    assert verdict(run, "no_premature_sold_out").message.id != "check.match"


def test_a_request_that_was_open_at_the_first_answer_may_have_taken_it() -> None:
    run = of_one_kind(Outcome.SOLD_OUT)
    run.answers[0] = replace(run.answers[0], took_s=0.5)
    run.answers[1] = replace(run.answers[1], outcome=Outcome.UNKNOWN, took_s=9.0)
    run.answers[2:5] = [replace(a, sent_s=1.0) for a in run.answers[2:5]]
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    run.answers[0] = replace(run.answers[0], took_s=0.05)
    assert verdict(run, "no_premature_sold_out").message.id == "check.match"


@pytest.mark.parametrize("failed", [None, ["unknown"], ["refused", "unknown"]])
@pytest.mark.parametrize(
    ("outcome", "check"),
    [(Outcome.SOLD_OUT, "no_premature_sold_out"), (Outcome.DUPLICATE, "no_phantom")],
)
def test_of_a_run_of_before_nothing_is_asked(
    failed: list[str] | None, outcome: Outcome, check: str
) -> None:
    run = of_one_kind(outcome)
    run.effective = {} if failed is None else {"failed": failed}
    assert verdict(run, check).validity is Validity.INVALID


def test_one_person_who_was_served_makes_it_an_accusation_again() -> None:
    run = of_one_kind(Outcome.SOLD_OUT, rows=1)
    run.answers[0] = replace(run.answers[0], outcome=Outcome.ISSUED, issue_id="i0")
    assert verdict(run, "no_premature_sold_out").validity is Validity.INVALID
    again = of_one_kind(Outcome.SOLD_OUT)
    again.answers[0] = replace(again.answers[0], outcome=Outcome.DUPLICATE)
    assert verdict(again, "no_premature_sold_out").validity is Validity.INVALID


def test_nobody_is_asked_where_there_was_no_stock() -> None:
    run = of_one_kind(Outcome.SOLD_OUT)
    run.stock = 0
    assert verdict(run, "no_premature_sold_out").validity is Validity.VALID


def test_all_issued_and_no_row_is_a_loss() -> None:
    run = of_one_kind(Outcome.ISSUED)
    run.answers = [replace(a, issue_id=f"i{a.user}") for a in run.answers]
    assert verdict(run, "no_lost_issuance").validity is Validity.INVALID


def test_an_audit_that_is_not_there_asks_nothing() -> None:
    run = of_one_kind(Outcome.SOLD_OUT)
    run.has_audit = False
    assert verdict(run, "no_premature_sold_out").message.id != "check.match"
