"""The checks on the run itself: were the faults there and out again, did anything happen."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gameday.core.clock import NS
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.judge.verdict import NotApplicable, Validity
from gameday.spec.experiment import Experiment
from gameday.telemetry.latency_bounds import objective_bounds_ms, tightest_bound_ms
from gameday.traffic.history import Outcome, Reason
from tests.support.rundirs import (
    EXPERIMENT,
    FAULT,
    RUN,
    T0_NS,
    Answer,
    RunDir,
    drop,
    read,
    said,
    verdict,
)


def validity(run: RunDir, name: str) -> Validity:
    return verdict(run, name).validity


@pytest.mark.parametrize(
    ("injected", "expected"),
    [("yes", Validity.VALID), ("no", Validity.UNKNOWN), ("unknown", Validity.UNKNOWN)],
)
def test_only_a_measured_dose_is_an_injected_fault(injected: str, expected: Validity) -> None:
    run = RunDir()
    run.event("fault.dosed", injected=injected)
    assert validity(run, "fault_injected") is expected


def test_a_fault_that_was_never_begun_is_not_injected() -> None:
    run = RunDir()
    run.events = [event for event in run.events if not event[1].startswith("fault")]
    assert validity(run, "fault_injected") is Validity.UNKNOWN
    assert validity(run, "fault_removed") is Validity.UNKNOWN


def test_a_fault_that_could_not_be_prepared_says_why() -> None:
    run = RunDir()
    run.events = [event for event in run.events if not event[1].startswith("fault")]
    dosed = {"id": FAULT, "injected": "no", "dose": None, "why": "no such proxy"}
    run.events.insert(2, (10.0, "fault.dosed", dosed))
    assert "never begun" in verdict(run, "fault_injected").summary
    assert validity(run, "fault_removed") is Validity.UNKNOWN


@pytest.mark.parametrize(
    ("gone", "removed", "expected"),
    [
        (True, "yes", Validity.VALID),
        (True, "unknown", Validity.UNKNOWN),
        (True, "no", Validity.UNKNOWN),
        (None, "yes", Validity.UNKNOWN),
        (False, "no", Validity.INVALID),
    ],
)
def test_removed_is_read_back_and_proven(
    gone: bool | None,
    removed: str,
    expected: Validity,
) -> None:
    run = RunDir()
    run.event("fault.removed", gone=gone)
    run.event("fault.proven", removed=removed)
    assert validity(run, "fault_removed") is expected


def test_a_fault_without_a_removal_in_the_journal_is_unknown() -> None:
    run = RunDir(ended=None)
    run.events = [event for event in run.events if event[0] < 15]
    assert validity(run, "fault_removed") is Validity.UNKNOWN


def killed(at_s: float) -> RunDir:
    """The run as a `kill -9` leaves it."""
    run = RunDir(ended=None)
    run.events = [event for event in run.events if event[0] < at_s]
    run.answers = [answer for answer in run.answers if answer.sent_s < at_s]
    run.evaluations = [each for each in run.evaluations if each["t"] < T0_NS + at_s * NS]
    return run


def test_a_killed_run_is_called_killed_and_its_traffic_was_not_late() -> None:
    with TemporaryDirectory() as folder:
        path = killed(14.5).write(Path(folder) / RUN)
        (path / "audit.json").unlink()
        result = judge(read_evidence(path))
    said = {each.name: each for each in result.checks}
    assert (result.verdict, result.ended) == ("unknown", "interrupted")
    assert said["generator"].verdict == "valid", said["generator"]
    assert "ended before it was shown to be in" in said["fault_injected"].summary
    assert {each.verdict for each in result.checks} == {"valid", "unknown"}
    why = {each.part: each.why for each in result.missing}
    assert "the run was killed" in why["journal"]
    assert why["audit"] == "the audit was not reached"


def test_a_generator_that_was_late_before_the_kill_is_limited_all_the_same() -> None:
    run = killed(14.5)
    run.answers = [each for each in run.answers if not 5 <= each.sent_s < 8]
    assert verdict(run, "generator").validity is Validity.VALID, "they are unknown, not unsent"
    run.answers += [
        Answer(k, k, Outcome.DROPPED, k / 10, reason=Reason.LATE) for k in range(50, 80)
    ]
    assert verdict(run, "generator").validity is Validity.UNKNOWN


def test_what_was_taken_out_and_never_compared_is_said_to_be_out() -> None:
    run = RunDir(ended=None)
    run.events = [event for event in run.events if event[1] != "fault.proven"]
    assert "read back as gone" in verdict(run, "fault_removed").summary


@pytest.mark.parametrize("name", ["fault_injected", "fault_removed", "recovered"])
def test_without_faults_there_is_nothing_to_say_about_them(name: str) -> None:
    assert isinstance(said(RunDir().without_faults(), name), NotApplicable)


def missing(run: RunDir) -> list[str]:
    return list(verdict(run, "exercised").evidence)


def without(run: RunDir, begin_s: float, end_s: float) -> RunDir:
    """The run with every answer sent in a span turned into a refusal."""
    run.answers = [
        Answer(a.k, a.user, Outcome.REFUSED, a.sent_s) if begin_s <= a.sent_s < end_s else a
        for a in run.answers
    ]
    return run


def test_a_run_that_saw_everything_was_exercised() -> None:
    assert validity(RunDir(), "exercised") is Validity.VALID


def test_a_run_in_which_nothing_happened_is_unknown() -> None:
    run = without(RunDir(), 0, 99)
    assert missing(run)[0] == "an issued answer"
    assert validity(RunDir(answers=[]), "exercised") is Validity.UNKNOWN


@pytest.mark.parametrize(
    ("begin_s", "end_s", "expected"),
    [
        (0, 10, "an issued answer before the first fault"),
        (16, 99, "an issued answer after the last removal"),
        (15, 99, "an issued answer after the mitigation"),
    ],
)
def test_each_missing_issue_is_named(begin_s: float, end_s: float, expected: str) -> None:
    assert expected in missing(without(RunDir(), begin_s, end_s))


def test_a_fault_without_any_request_during_it_is_named() -> None:
    run = RunDir()
    run.answers = [a for a in run.answers if not 9.9 < a.sent_s < 16.1]
    run.answers += [
        Answer(k, k, Outcome.DROPPED, k / 10, 0.0, "", Reason.LATE) for k in range(100, 161)
    ]
    assert missing(run) == [f"an attempt during {FAULT}"]


def test_a_fault_in_which_every_start_was_dropped_is_named_too() -> None:
    run = RunDir(answers=[Answer(k, k, Outcome.DROPPED, k / 10) for k in range(300)])
    run.events = [e for e in run.events if e[1] != "fault.removed"]
    assert "an attempt during network-latency-1" in verdict(run, "exercised").summary


def test_a_request_that_was_refused_during_a_fault_counts_as_an_attempt() -> None:
    run = without(RunDir(stock=190), 9.9, 16.1)
    run.experiment = {**run.experiment, "campaign": {**EXPERIMENT["campaign"], "stock": 190}}
    assert f"an attempt during {FAULT}" not in missing(run)


def test_a_sell_out_that_the_file_expects_must_be_seen() -> None:
    run = RunDir(answers=drop(stock=249, starts=249), dispatched=249)
    assert missing(run) == ["the sell-out, expected at 25.0 s"]


def test_no_sell_out_is_asked_for_where_the_schedule_hardly_reaches_it() -> None:
    run = RunDir(stock=299, answers=drop(stock=290))
    assert validity(run, "exercised") is Validity.VALID


def test_a_sell_out_before_the_last_removal_asks_for_no_issue_after_it() -> None:
    run = RunDir(stock=120, answers=drop(stock=120))
    run.events = [event for event in run.events if not event[1].startswith("step")]
    assert validity(run, "exercised") is Validity.VALID


def test_a_generator_that_kept_its_schedule_is_valid() -> None:
    assert validity(RunDir(), "generator") is Validity.VALID


def test_a_generator_that_dropped_its_own_starts_is_unknown() -> None:
    run = RunDir()
    run.answers = [
        Answer(a.k, a.user, Outcome.DROPPED, a.sent_s, 0.0, "", Reason.LATE) if a.k % 10 == 0 else a
        for a in run.answers
    ]
    answer = verdict(run, "generator")
    assert answer.validity is Validity.UNKNOWN
    assert answer.summary.startswith("limited")


def test_the_tightest_latency_bound_of_the_file_is_found() -> None:
    experiment = read(RunDir()).experiment
    assert objective_bounds_ms(experiment) == {"fast": 200.0}
    assert tightest_bound_ms(experiment) == 200.0
    thresholds = {"http_req_duration": ["p(95)<150", "p(99)>10"], "http_reqs": ["count<3"]}
    tighter = {**EXPERIMENT, "expect": {"thresholds": thresholds}}
    assert tightest_bound_ms(Experiment.model_validate(tighter)) == 150.0
    for changed in ("{} * 1000 < 200", "{} + 1 < 2"):
        expr = changed.format(EXPERIMENT["objectives"][0]["expr"].removesuffix(" < 0.2"))
        scaled = {**EXPERIMENT, "objectives": [{"name": "fast", "expr": expr}], "expect": {}}
        assert tightest_bound_ms(Experiment.model_validate(scaled)) is None
    other = {**EXPERIMENT, "objectives": [{"name": "up", "expr": "up == 1"}], "expect": {}}
    assert tightest_bound_ms(Experiment.model_validate(other)) is None
