"""A draft says that gameday made the cause only where time ties the harm to a fault."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gameday.judge.judge import judge
from gameday.report import write_report
from gameday.report.inputs import read_material
from gameday.report.origin import Origin
from gameday.traffic.history import Outcome, Reason
from tests.support.rundirs import FAULT, RUN, RunDir, evaluation, issue, read

KNOWN = "**The cause is known, because gameday made it.**"
REFUSED = {"outcome": Outcome.REFUSED, "reason": Reason.CONNECT_REFUSED}


def refused(run: RunDir, from_s: float, to_s: float) -> RunDir:
    """Nobody takes connections in this stretch, and the objective is false from 2 s later."""
    run.answers = [
        replace(a, **REFUSED) if from_s <= a.sent_s < to_s else a  # type: ignore[arg-type]
        for a in run.answers
    ]
    return run


def false_between(run: RunDir, *spans: tuple[float, float]) -> RunDir:
    run.evaluations = [
        evaluation(at, fast=not any(begin <= at < end for begin, end in spans)) for at in range(36)
    ]
    return run


def fault_is(run: RunDir, name: str, **fields: str) -> RunDir:
    fault = {"fault": name, "id": FAULT, "at": "10s", "duration": "6s", **fields}
    run.experiment = {**run.experiment, "method": [fault]}
    run.event("fault.injecting", fault=name)
    return run


def looked_at(run: RunDir, tmp_path: Path) -> tuple[Origin, str]:
    """The origin as the draft has it, and the draft."""
    path = run.write(tmp_path / RUN)
    (path / "result.json").write_bytes(judge(read(run)).to_bytes())
    return read_material(path).origin, write_report(path, "en").read_text()


def test_harm_that_began_in_the_fault_is_of_the_fault(tmp_path: Path) -> None:
    origin, page = looked_at(RunDir(), tmp_path)
    assert origin.known
    assert KNOWN in page
    assert "gameday injected the fault, so it is known" in page


def after_the_fault(run: RunDir) -> RunDir:
    """Killed at 21 s; the fault was out at 16 s, and its breach is over."""
    return false_between(refused(run, 20.5, 40), (22, 40))


def in_the_fault(run: RunDir) -> RunDir:
    """The database is slow, and the service ends: nobody can tell whether it is of that."""
    return false_between(refused(run, 11, 40), (12, 40))


def before_the_fault(run: RunDir) -> RunDir:
    return false_between(refused(run, 7, 40), (9, 40))


@pytest.mark.parametrize("killed", [after_the_fault, in_the_fault, before_the_fault])
def test_a_service_that_refuses_connections_is_another_cause(
    killed: Callable[[RunDir], RunDir], tmp_path: Path
) -> None:
    origin, page = looked_at(killed(RunDir()), tmp_path)
    assert origin.unexplained[0].kind == "refused"
    assert KNOWN not in page
    assert "**The cause is not known.**" in page
    assert "The service refused connections from" in page
    assert "gameday injected the fault, so it is known" not in page
    assert "Make the system recover within the time" not in page
    assert "Find out how it came to this" in page


def test_a_fault_that_did_harm_before_the_service_ended_is_a_part_of_the_cause(
    tmp_path: Path,
) -> None:
    run = false_between(refused(RunDir(), 19, 40), (11, 40))
    origin, page = looked_at(run, tmp_path)
    assert origin.partly
    assert "**The cause is known only in part**" in page


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        ("service.kill", {}),
        ("service.restart", {}),
        ("command.run", {"command": "stop"}),
        ("network.down", {"target": "redis"}),
    ],
)
def test_a_fault_that_stops_the_service_explains_that_nobody_takes_connections(
    fault: str, fields: dict[str, str], tmp_path: Path
) -> None:
    run = fault_is(false_between(refused(RunDir(), 10.5, 16.3), (11, 18)), fault, **fields)
    origin, page = looked_at(run, tmp_path)
    assert origin.known, origin
    assert KNOWN in page


def test_a_service_that_stays_away_long_after_a_cut_is_not_explained_by_it(tmp_path: Path) -> None:
    run = fault_is(
        false_between(refused(RunDir(), 10.5, 40), (11, 40)), "network.down", target="redis"
    )
    assert looked_at(run, tmp_path)[0].unexplained


def test_two_refused_connections_are_no_service_that_ended(tmp_path: Path) -> None:
    run = refused(RunDir(), 21, 21.2)
    assert looked_at(run, tmp_path)[0].known


def test_an_objective_that_was_false_just_before_the_fault_is_not_of_it(tmp_path: Path) -> None:
    origin, page = looked_at(false_between(RunDir(), (9, 18)), tmp_path)
    assert [each.kind for each in origin.unexplained] == ["early"]
    assert "An objective did not hold at 9.0 s already, and the first fault came at 10.0 s." in page


def test_damage_after_the_system_had_recovered_is_not_of_the_fault(tmp_path: Path) -> None:
    run = false_between(RunDir(), (24, 30))
    run.answers = [replace(a, took_s=0.9) if 23 < a.sent_s < 29 else a for a in run.answers]
    origin, page = looked_at(run, tmp_path)
    assert [each.kind for each in origin.unexplained] == ["after"]
    assert "and every objective held again" in page


def test_requests_of_the_fault_that_hang_on_tie_later_damage_to_it(tmp_path: Path) -> None:
    """Asked in the fault, given up ten seconds later, long after it was out."""
    run = false_between(RunDir(), (24, 30))
    hung = {"outcome": Outcome.UNKNOWN, "reason": Reason.TIMEOUT, "took_s": 8.0}
    run.answers = [
        replace(a, **hung) if 15 <= a.sent_s < 16 else a  # type: ignore[arg-type]
        for a in run.answers
    ]
    assert looked_at(run, tmp_path)[0].known


def test_a_wrong_answer_of_before_the_fault_is_not_of_it(tmp_path: Path) -> None:
    run = RunDir()
    run.rows = [row for row in run.stored_rows() if row[0] != 20]
    run.answers[20] = replace(issue(20, 7, 2.0), issue_id="again")
    origin, page = looked_at(run, tmp_path)
    assert [each.kind for each in origin.unexplained] == ["early_wrong"]
    assert "The first wrong answer came at 2.0 s, and the first fault at 10.0 s." in page


@pytest.mark.parametrize(("fault", "known"), [("network.latency", False), ("redis.restart", True)])
def test_only_a_fault_that_loses_what_was_stored_explains_a_loss_of_before_it(
    fault: str, known: bool, tmp_path: Path
) -> None:
    run = RunDir()
    run.rows = run.stored_rows()[5:]
    if fault != "network.latency":
        fault_is(run, fault)
    assert looked_at(run, tmp_path)[0].known is known


def test_the_end_of_our_own_service_is_told_with_and_without_a_fault(tmp_path: Path) -> None:
    run = false_between(refused(RunDir(), 21, 40), (22, 40))
    run.events.insert(-3, (21.0, "phase", {"phase": "stack", "problem": "service has ended"}))
    run.events.sort(key=lambda event: event[0])
    page = looked_at(run, tmp_path)[1]
    assert "The service itself ended at 21.0 s, and no fault had stopped it." in page
    alone = refused(RunDir(), 21, 40).without_faults()
    false_between(alone, (22, 40))
    page = looked_at(alone, tmp_path / "alone")[1]
    assert "The service refused connections from 21.0 s to 29.9 s" in page


def test_requests_that_failed_as_expected_are_told_all_the_same(tmp_path: Path) -> None:
    run = RunDir().without_faults()
    run.experiment = {**run.experiment, "failures": "expected"}
    hung = {"outcome": Outcome.UNKNOWN, "reason": Reason.UNMATCHED}
    run.answers = [
        replace(a, **hung) if 10 <= a.sent_s < 18 else a  # type: ignore[arg-type]
        for a in run.answers
    ]
    page = looked_at(run, tmp_path)[1]
    assert "All the same 80 requests failed (`traffic.failed`)" in page
    assert "No customer was seen to be affected" not in page


def test_a_stack_of_others_is_looked_for_and_not_started(tmp_path: Path) -> None:
    run = RunDir(effective={"stack": "external"})
    page = looked_at(run, tmp_path)[1]
    assert "gameday looks for the system, which others have started" in page
    assert "gameday starts the system" not in page
    assert "gameday starts the system" in looked_at(RunDir(), tmp_path / "ours")[1]
