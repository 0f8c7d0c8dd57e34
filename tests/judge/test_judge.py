"""The verdict, what an unfit run may still say, the exit code, and the bytes of the result."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from gameday.cli.runs import show_result
from gameday.evidence.read import read as read_evidence
from gameday.judge.judge import judge
from gameday.judge.result import Result
from gameday.report import write_report
from gameday.spec.experiment import ISSUANCE
from gameday.traffic.history import HistoryHeader, HistoryWriter, Outcome, Reason
from tests.support.rundirs import (
    EXPERIMENT,
    FAULT,
    RUN,
    SYSTEM,
    T0_NS,
    Answer,
    RunDir,
    evaluation,
    issue,
    read,
)


def result(run: RunDir) -> Result:
    return judge(read(run))


def verdicts(judged: Result) -> dict[str, str]:
    return {check.name: check.verdict for check in judged.checks}


def test_an_uneventful_redis_slow_passes() -> None:
    judged = result(RunDir())
    assert (judged.verdict, judged.exit_code, judged.ended) == ("passed", 0, "completed")
    assert set(verdicts(judged).values()) == {"valid"}
    assert [one.name for one in judged.not_applicable] == [
        "stores_agree",
        "reactions",
        "routing",
        "logs",
    ]


def test_the_clocks_count_from_the_damage() -> None:
    assert asdict(result(RunDir()).clocks) == {
        "damage_at": 11.0,
        "detected_after_s": 2.0,
        "acknowledged_after_s": 3.0,
        "mitigated_after_s": 4.0,
        "recovered_after_s": 7.0,
    }


def test_without_damage_the_clocks_stand_still() -> None:
    clocks = result(RunDir().without_faults()).clocks
    assert set(asdict(clocks).values()) == {None}


def test_a_wrong_coupon_before_the_breach_is_the_damage() -> None:
    run = RunDir()
    run.answers = [*run.answers[:-1], issue(299, 5, 2.0)]
    assert result(run).clocks.damage_at == 2.01


def test_faults_steps_and_alerts_stand_in_the_result_with_their_times() -> None:
    judged = result(RunDir())
    assert asdict(judged.faults[0]) == {
        "id": FAULT,
        "fault": "network.latency",
        "target": "redis",
        "injected_at": 10.004,
        "removed_at": 16.005,
        "injected": "yes",
        "removed": "yes",
        "dose": {"ms": 301.0},
    }
    assert [asdict(alert) for alert in judged.alerts] == [
        {
            "alert": "RedisSlow",
            "expected": True,
            "status": "hit",
            "active_at": 11.0,
            "fired_at": 13.0,
            "resolved_at": 20.0,
            "cause": None,
            "injected_at": 10.004,
            "notified_at": None,
        }
    ]
    assert [(step.step, step.status) for step in judged.playbook] == [
        (1, "done"),
        (2, "needs_person"),
    ]


def test_steps_that_were_never_reached_are_listed_all_the_same() -> None:
    run = RunDir()
    run.events = [event for event in run.events if event[2].get("step") != 2]
    assert [step.status for step in result(run).playbook] == ["done", "not_started"]


def test_the_books_of_the_traffic_balance() -> None:
    run = RunDir(dispatched=299)
    run.answers = run.answers[:298]
    traffic = result(run).traffic
    assert traffic is not None
    assert traffic.scheduled == 300
    assert traffic.never_started == 1
    assert traffic.started == 299
    assert (traffic.completed, traffic.interrupted) == (298, 1)


def over_issued() -> RunDir:
    run = RunDir()
    run.rows = [*run.stored_rows(), (299, "i299")]
    return run


def test_a_coupon_too_many_fails_the_run() -> None:
    judged = result(over_issued())
    assert (judged.verdict, judged.exit_code) == ("failed", 1)


@pytest.mark.parametrize("ended", ["guard", "operator", "signal", "not_steady", "error"])
def test_a_safety_violation_is_never_demoted(ended: str) -> None:
    run = over_issued()
    run.ended = ended
    run.event("fault.dosed", injected="unknown")
    judged = result(run)
    assert verdicts(judged)["no_over_issuance"] == "invalid"
    assert judged.exit_code == 1


PERFORMANCE = ("thresholds", "objectives", "recovered", "alerts", "playbook")


def unfit_runs() -> list[RunDir]:
    aborted = RunDir(ended="guard")
    not_injected = RunDir()
    not_injected.event("fault.dosed", injected="no")
    limited = RunDir()
    late = [a for a in limited.answers if 100 <= a.k < 160]
    kept = [a for a in limited.answers if not 100 <= a.k < 160]
    dropped = [Answer(a.k, a.user, Outcome.DROPPED, a.sent_s, 0.0, "", Reason.LATE) for a in late]
    limited.answers = kept + dropped
    limited.rows = [(a.user, a.issue_id) for a in kept if a.outcome is Outcome.ISSUED]
    return [aborted, not_injected, limited]


@pytest.mark.parametrize("index", range(3))
def test_an_unfit_run_says_nothing_about_performance(index: int) -> None:
    run = unfit_runs()[index]
    run.expect(recovers_within="1s", thresholds={"http_reqs": ["count<1"]})
    found = verdicts(result(run))
    assert {found[name] for name in PERFORMANCE} == {"unknown"}
    assert found["no_lost_issuance"] == "valid"


def test_the_same_failures_count_where_the_run_was_fit() -> None:
    run = RunDir()
    run.expect(recovers_within="1s", thresholds={"http_reqs": ["count<1"]})
    found = verdicts(result(run))
    assert (found["recovered"], found["thresholds"]) == ("invalid", "invalid")


def test_a_close_that_fails_takes_nothing_back_of_what_was_seen() -> None:
    run = RunDir(ended="unhealthy")
    run.expect(recovers_within="1s")
    assert verdicts(result(run))["recovered"] == "invalid"
    assert result(run).exit_code == 1
    run.event("phase", aborted=True)
    assert verdicts(result(run))["recovered"] == "unknown"
    assert result(run).exit_code == 4


def left_behind(run: RunDir) -> RunDir:
    run.event("fault.removed", gone=None)
    return run


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (left_behind(over_issued()), 6),
        (left_behind(RunDir(ended="guard")), 6),
        (RunDir(ended="unhealthy"), 4),
        (RunDir(ended="not_steady"), 4),
        (RunDir(ended="not_steady", effective={"stack": "external"}), 3),
        (RunDir(ended="guard"), 5),
        (RunDir(ended="operator"), 5),
        (RunDir(ended="signal"), 5),
        (RunDir(ended=None), 5),
        (RunDir(ended="error"), 70),
        (RunDir(evaluations=[]), 3),
        (RunDir(), 0),
    ],
)
def test_the_exit_code_is_the_first_that_applies(run: RunDir, code: int) -> None:
    assert result(run).exit_code == code


def test_a_journal_without_an_end_was_interrupted() -> None:
    judged = result(RunDir(ended=None))
    assert (judged.ended, judged.verdict) == ("interrupted", "unknown")


def test_a_fault_that_the_reaper_took_out_is_not_left_behind(tmp_path: Path) -> None:
    run = RunDir(ended=None)
    run.events = [e for e in run.events if e[0] < 15]
    folder = run.write(tmp_path / "dead")
    assert judge(read_evidence(folder)).exit_code == 6
    reaper = RunDir(events=[(20.0, "fault.removed", {"id": FAULT, "gone": True})], ended=None)
    reaper_file = reaper.write(tmp_path / "reaper") / "journal.jsonl"
    reaper_file.rename(folder / "reaper.jsonl")
    assert judge(read_evidence(folder)).exit_code == 5


def test_a_check_the_experiment_names_may_not_lack_its_evidence() -> None:
    run = RunDir()
    run.expect(checks=["no_lost_issuance", "stores_agree"])
    judged = result(run)
    always = {"fault_injected": "valid", "fault_removed": "valid"}
    assert verdicts(judged) == {
        "no_lost_issuance": "valid",
        "stores_agree": "unknown",
        **always,
    }
    assert judged.exit_code == 3


def test_naming_checks_does_not_hide_that_the_run_was_unfit() -> None:
    run = RunDir()
    run.expect(checks=["recovered"])
    run.event("fault.dosed", injected="no")
    always = {"fault_injected": "unknown", "fault_removed": "valid"}
    assert verdicts(result(run)) == {"recovered": "unknown", **always}
    assert result(run).exit_code == 3


def test_naming_only_safety_checks_does_not_pass_a_run_whose_fault_was_not_in() -> None:
    run = RunDir()
    run.expect(checks=["no_over_issuance"])
    run.event("fault.dosed", injected="no")
    assert result(run).exit_code == 3


def test_the_same_evidence_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    one = judge(read_evidence(RunDir().write(tmp_path / "here")))
    two = judge(read_evidence(RunDir().write(tmp_path / "elsewhere" / "deeper")))
    assert one.to_bytes() == two.to_bytes()
    assert str(tmp_path).encode() not in one.to_bytes()


def test_the_result_has_exactly_the_fields_of_its_format() -> None:
    judged = json.loads(result(RunDir()).to_bytes())
    assert list(judged) == [
        *("schema", "run", "experiment", "stack", "seed", "started_at", "ended_at", "verdict"),
        *("ended", "exit_code", "checks", "not_applicable", "faults", "alerts", "traffic"),
        *("playbook", "clocks", "missing", "logs"),
    ]
    assert judged["run"] == RUN
    assert judged["started_at"] == "2026-11-23T08:30:00.000Z"
    assert judged["ended_at"] == "2026-11-23T08:30:43.000Z"


def test_no_fraction_carries_noise() -> None:
    numbers: list[str] = []
    json.loads(result(RunDir()).to_bytes(), parse_float=lambda text: numbers.append(text))
    assert numbers
    assert max(len(text.partition(".")[2]) for text in numbers) <= 6


@pytest.mark.parametrize("name", ["inputs/effective.json", "audit.json", "samples.jsonl"])
@pytest.mark.parametrize("damage", ["gone", "cut", "garbage"])
def test_damaged_evidence_makes_checks_unknown_and_nothing_crash(
    tmp_path: Path, name: str, damage: str
) -> None:
    path = RunDir().write(tmp_path / "run") / name
    raw = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(raw[: len(raw) // 2] if damage == "cut" else b"[1, 2]\n")
    judged = judge(read_evidence(tmp_path / "run"))
    assert judged.verdict == "unknown"
    assert not [check for check in judged.checks if "crashed" in check.summary]


def test_a_torn_journal_is_an_interrupted_run(tmp_path: Path) -> None:
    path = RunDir().write(tmp_path / "run") / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    judged = judge(read_evidence(tmp_path / "run"))
    assert (judged.ended, judged.exit_code) == ("interrupted", 5)


def test_a_run_that_never_got_a_stack_is_judged_too(tmp_path: Path) -> None:
    run = RunDir(ended="unhealthy", events=[(-9.0, "phase", {"phase": "stack"})], evaluations=[])
    folder = run.write(tmp_path / "run")
    (folder / "audit.json").unlink()
    (folder / "history" / "drop-0.bin").unlink()
    judged = judge(read_evidence(folder))
    assert (judged.verdict, judged.exit_code, judged.traffic) == ("unknown", 4, None)
    assert not [check for check in judged.checks if "crashed" in check.summary]


def test_a_history_that_contradicts_itself_is_no_evidence() -> None:
    run = RunDir()
    run.answers = [*run.answers, run.answers[0]]
    judged = result(run)
    assert verdicts(judged)["no_lost_issuance"] == "unknown"
    assert judged.traffic is None


def test_a_second_of_spike_traffic_has_a_history_of_its_own(tmp_path: Path) -> None:
    folder = RunDir().write(tmp_path / "run")
    spec: dict[str, Any] = {"executor": "constant-arrival-rate", "rate": "10/s"}
    header = {"scenario": "spike", "worker": 0, "workers": 1, "seed": 7, "run": RUN}
    header |= {"users": 1_000_000, "coupon": "c", "clock": "host", "pid": 2, "t0_ns": T0_NS}
    header |= {"spec": {**spec, "duration": "1s", "start_ns": 12_000_000_000}}
    writer = HistoryWriter(folder / "history" / "spike-0.bin", HistoryHeader.from_json(header))
    writer.advance(2)
    writer.close()
    found = read_evidence(folder)
    assert found.problems == {}
    assert found.attempts.records.names == ("drop", "spike")
    assert len(found.attempts) == 302


def test_an_experiment_without_faults_is_judged_by_its_objectives_all_along() -> None:
    run = RunDir().without_faults()
    assert result(run).verdict == "passed"
    run.evaluations[20] = evaluation(20, fast=False)
    assert result(run).verdict == "passed"
    run.evaluations[21] = evaluation(21, fast=False)
    assert verdicts(result(run))["objectives"] == "invalid"


def test_the_builder_describes_a_valid_experiment() -> None:
    assert EXPERIMENT["name"] in RUN
    assert SYSTEM["name"] == "coupon-issuance"


def test_virtual_users_are_said_to_be_a_closed_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Their latency counts from the send: on the screen too, where nobody reads the result."""
    run = RunDir()
    users = {"executor": "constant-vus", "vus": 3, "duration": "30s"}
    run.experiment = {**run.experiment, "traffic": {"drop": users}}
    run.effective = {"planned": {}}
    judged = result(run)
    assert judged.traffic is not None
    assert judged.traffic.closed == ["drop"]
    show_result(judged)
    assert "closed model: drop" in capsys.readouterr().out.replace("\n", " ")


def test_traffic_of_a_set_rate_is_no_closed_model(capsys: pytest.CaptureFixture[str]) -> None:
    judged = result(RunDir())
    assert judged.traffic is not None
    assert judged.traffic.closed == []
    show_result(judged)
    assert "closed" not in capsys.readouterr().out


def said(run: RunDir, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    judged = result(run)
    assert judged.traffic is not None
    show_result(judged)
    return judged.traffic.limit, " ".join(capsys.readouterr().out.split())


def test_a_run_that_breaks_nothing_names_the_systems_own_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunDir().without_faults()
    limit, told = said(run, capsys)
    assert (limit.reached, limit.carried_per_s) == (False, 10.0)
    assert "the system's own limit was not reached: it carried 10/s with a p95 of 10 ms" in told
    run.answers = [replace(one, took_s=0.9) if one.k < 60 else one for one in run.answers]
    limit, told = said(run, capsys)
    assert (limit.reached, limit.not_carried_s) == (False, 10)
    assert told.count("though for 10 s of the run it did not") == 1
    run.answers = [replace(one, took_s=0.9) for one in run.answers]
    limit, told = said(run, capsys)
    assert (limit.reached, limit.per_s, limit.carried_per_s) == (True, 10.0, 0.0)
    assert "own limit: 10/s, where p95 was 900 ms, 200 ms are allowed; no lower" in told


def test_a_system_that_never_gave_a_usable_answer_shows_no_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunDir().without_faults()
    run.answers = [
        replace(one, outcome=Outcome.UNKNOWN, reason=Reason.UNMATCHED) for one in run.answers
    ]
    limit, told = said(run, capsys)
    assert limit.reached
    assert "nothing is known of the system's own limit" in told
    assert "own limit: 10/s" not in told
    run.answers = [
        replace(one, outcome=Outcome.UNKNOWN, reason=Reason.UNMATCHED) if one.k % 10 else one
        for one in run.answers
    ]
    run.answers = [
        replace(one, outcome=Outcome.ISSUED) if one.k % 10 == 0 else one for one in run.answers
    ]
    _, told = said(run, capsys)
    assert "own limit: 10/s, where 90% of the requests failed" in told


def test_a_run_with_faults_says_nothing_of_the_systems_own_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limit, told = said(RunDir(), capsys)
    assert limit is None
    assert "limit" not in told


def test_requests_that_were_asked_again_are_counted() -> None:
    run = RunDir()
    run.answers = [replace(one, attempts=(2, 3, 1)[one.k % 3]) for one in run.answers]
    traffic = result(run).traffic
    assert traffic is not None
    assert traffic.asked_again == 300
    assert traffic.metrics["http_reqs"]["count"] == (traffic.started or 0) + 300
    usual = result(RunDir()).traffic
    assert usual is not None
    assert usual.asked_again == 0


def test_a_result_is_read_as_it_was_written() -> None:
    for run in (RunDir(), over_issued(), RunDir().without_faults(), RunDir(ended="guard")):
        written = result(run).to_bytes()
        assert json.loads(Result.from_bytes(written).to_bytes()) == json.loads(written)


def test_a_message_read_from_a_result_reads_as_its_english_text() -> None:
    for run in (RunDir(), over_issued(), RunDir().without_faults(), RunDir(ended="guard")):
        lines = Result.from_bytes(result(run).to_bytes()).checks
        assert [line.message and line.message.text() for line in lines] == [
            line.summary for line in lines
        ]


def test_a_result_of_schema_1_is_read_and_has_no_messages() -> None:
    judged = result(RunDir())
    old = Result.from_bytes(judged.to_bytes(schema=1))
    assert (old.schema, {line.message for line in old.checks}) == (1, {None})
    assert [line.summary for line in old.checks] == [line.summary for line in judged.checks]


def test_half_a_surrogate_pair_in_a_result_is_read_as_text() -> None:
    written = replace(result(RunDir()), experiment="a\ud800b").to_bytes()
    assert Result.from_bytes(written).experiment == r"a\ud800b"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"schema": 3}, "schema: "),
        ({"clocks": {"damage_at": "soon"}}, "clocks.damage_at: "),
        ({"checks": [{"name": "alerts", "verdict": "valid"}]}, "checks.0.summary: "),
        ({"seed": 1.5}, "seed: "),
    ],
)
def test_a_result_of_another_form_is_refused_with_the_place(
    fields: dict[str, Any], place: str
) -> None:
    content = {**json.loads(result(RunDir()).to_bytes()), **fields}
    with pytest.raises(ValueError, match=f"^{place}"):
        Result.from_bytes(json.dumps(content).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"schema": NaN}', b'{"seed": 1e999}', b"\xff"])
def test_what_is_no_result_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        Result.from_bytes(raw)


def without_audit(run: RunDir) -> RunDir:
    """The same of a system that issues nothing: what it answers is accepted."""
    system = {key: value for key, value in run.system.items() if key != "audit"}
    accepted = {"accepted": {"status": 200}, "refused": {"status": 503}}
    issue_of = {**system["requests"]["issue"], "outcomes": accepted}
    run.system = {**system, "requests": {"issue": issue_of}}
    run.experiment = {key: value for key, value in run.experiment.items() if key != "campaign"}
    run.effective, run.has_audit = {"stock": None}, False
    answered = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT)
    run.answers = [
        replace(each, outcome=Outcome.ACCEPTED, issue_id="") if each.outcome in answered else each
        for each in run.answers
    ]
    return run


def test_of_a_system_without_an_audit_all_but_issuance_is_judged() -> None:
    judged = result(without_audit(RunDir()))
    assert (judged.verdict, judged.exit_code, judged.missing) == ("passed", 0, [])
    needed = {"fault_injected", "fault_removed", "exercised", "generator", "thresholds", "alerts"}
    assert needed <= {name for name, found in verdicts(judged).items() if found == "valid"}
    lacking = {each.name: each.lacks for each in judged.not_applicable}
    assert {lacking[name] for name in ISSUANCE} == {"audit of the system file"}
    assert judged.issuance_unchecked
    assert Result.from_bytes(judged.to_bytes()).issuance_unchecked
    assert not result(RunDir()).issuance_unchecked


def test_of_checks_by_name_too_it_is_told_that_issuance_was_not_checked() -> None:
    run = without_audit(RunDir())
    run.expect(checks=["thresholds"])
    judged = result(run)
    assert set(verdicts(judged)) == {"thresholds", "fault_injected", "fault_removed"}
    assert judged.issuance_unchecked


def test_a_system_without_an_audit_that_answers_nothing_is_not_exercised() -> None:
    run = without_audit(RunDir())
    run.answers = [replace(each, outcome=Outcome.REFUSED) for each in run.answers]
    judged = result(run)
    (exercised,) = (each for each in judged.checks if each.name == "exercised")
    assert (exercised.verdict, judged.verdict) != ("valid", "passed")
    assert "an expected answer" in exercised.summary


def test_the_verdict_says_aloud_that_nothing_about_issuance_was_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = "nothing about issuance was checked"
    show_result(result(RunDir()))
    assert gap not in capsys.readouterr().out
    folder = without_audit(RunDir()).write(tmp_path / "run")
    judged = judge(read_evidence(folder))
    show_result(judged)
    assert gap in capsys.readouterr().out
    (folder / "result.json").write_bytes(judged.to_bytes())
    draft = write_report(folder)
    assert "Nothing about issuance was checked" in draft.read_text()
    assert "Not there" not in draft.read_text()
