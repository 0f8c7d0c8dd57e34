"""The checks that compare a run with what its file expects of the system and of the people."""

from collections.abc import Collection
from typing import Any

import pytest

from gameday.core.clock import NS
from gameday.judge.judge import judge
from gameday.judge.verdict import NotApplicable, Validity
from gameday.traffic.history import Outcome
from tests.support.rundirs import (
    PLAYBOOK,
    SYSTEM,
    T0_NS,
    Answer,
    RunDir,
    evaluation,
    read,
    said,
    verdict,
)


def validity(run: RunDir, name: str) -> Validity:
    return verdict(run, name).validity


@pytest.mark.parametrize(
    ("key", "threshold", "expected"),
    [
        ("http_req_failed", "rate<0.02", Validity.VALID),
        ("http_req_duration", "p(95)<200", Validity.VALID),
        ("http_req_duration", "p(99.9)<5", Validity.INVALID),
        ("http_req_duration{scenario:drop}", "med>=10", Validity.VALID),
        ("http_req_duration{scenario:other}", "med<200", Validity.UNKNOWN),
        ("http_reqs", "count>=300", Validity.VALID),
        ("http_reqs", "count>300", Validity.INVALID),
    ],
)
def test_thresholds_are_held_against_the_whole_traffic(
    key: str, threshold: str, expected: Validity
) -> None:
    run = RunDir()
    run.expect(thresholds={key: [threshold]})
    assert validity(run, "thresholds") is expected


def failing(run: RunDir, outcome: Outcome, begin_s: float, end_s: float) -> RunDir:
    run.answers = [
        Answer(a.k, a.user, outcome, a.sent_s) if begin_s <= a.sent_s < end_s else a
        for a in run.answers
    ]
    return run


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.REFUSED])
def test_unknown_and_refused_count_as_failed(outcome: Outcome) -> None:
    assert validity(failing(RunDir(), outcome, 11, 12), "thresholds") is Validity.INVALID


def test_refusals_that_a_step_asked_for_do_not_count() -> None:
    run = failing(RunDir(), Outcome.REFUSED, 14.2, 16.9)
    assert validity(run, "thresholds") is Validity.INVALID
    steps = [dict(step) for step in PLAYBOOK["steps"]]
    steps[0] = {**steps[0], "block": {**steps[0]["block"], "refuses": True}}
    run.playbook = {**PLAYBOOK, "steps": steps}
    assert validity(run, "thresholds") is Validity.VALID


def test_a_step_that_was_not_needed_excuses_no_refusal() -> None:
    run = failing(RunDir(), Outcome.REFUSED, 14.2, 16.9)
    steps = [dict(step) for step in PLAYBOOK["steps"]]
    steps[0] = {**steps[0], "block": {**steps[0]["block"], "refuses": True}}
    run.playbook = {**PLAYBOOK, "steps": steps}
    for status, taken_back, expected in (
        ("not_applicable", False, Validity.INVALID),
        ("placebo", False, Validity.INVALID),
        ("failed", False, Validity.INVALID),
        ("failed", True, Validity.VALID),
    ):
        run.events = [e for e in RunDir().events if taken_back or not e[2].get("undoing")]
        step(run, 1, undoing=False, status=status)
        assert validity(run, "thresholds") is expected, status


def test_without_thresholds_there_is_nothing_to_say() -> None:
    run = RunDir()
    run.expect(thresholds={})
    assert isinstance(said(run, "thresholds"), NotApplicable)


def replaced(run: RunDir, *lines: dict[str, object]) -> RunDir:
    """The run with these evaluations in place of those at the same instant."""
    new = {line["t"]: line for line in lines}
    run.evaluations = [new.get(old["t"], old) for old in run.evaluations]
    return run


def at(seconds: int, *, fast: bool | None) -> dict[str, object]:
    firing = ["RedisSlow"] if 13 <= seconds < 20 else []
    return evaluation(seconds, fast=fast, firing=firing, active_s=11.0)


@pytest.mark.parametrize(
    ("second", "fast", "expected"),
    [
        (26, False, Validity.INVALID),
        (25, False, Validity.VALID),
        (28, None, Validity.UNKNOWN),
        (8, False, Validity.INVALID),
        (8, None, Validity.UNKNOWN),
        (3, False, Validity.VALID),
        (22, False, Validity.VALID),
        (31, False, Validity.VALID),
    ],
)
def test_objectives_hold_before_the_faults_and_in_the_end(
    second: int,
    fast: bool | None,
    expected: Validity,
) -> None:
    assert validity(replaced(RunDir(), at(second, fast=fast)), "objectives") is expected


def test_without_faults_two_false_evaluations_in_a_row_breach_an_objective() -> None:
    run = RunDir().without_faults()
    assert validity(run, "objectives") is Validity.VALID
    early = replaced(RunDir().without_faults(), at(2, fast=False), at(3, fast=False))
    assert validity(early, "objectives") is Validity.VALID
    alone = replaced(RunDir().without_faults(), at(9, fast=None), at(11, fast=False))
    assert validity(alone, "objectives") is Validity.VALID
    gap = replaced(RunDir().without_faults(), at(9, fast=False), at(10, fast=None))
    assert validity(replaced(gap, at(11, fast=False)), "objectives") is Validity.UNKNOWN
    blind = replaced(RunDir().without_faults(), at(9, fast=None), at(10, fast=None))
    assert validity(blind, "objectives") is Validity.UNKNOWN
    breach = replaced(RunDir().without_faults(), at(9, fast=False), at(10, fast=False))
    assert validity(breach, "objectives") is Validity.INVALID


@pytest.mark.parametrize(
    ("within", "expected"), [("7s", Validity.VALID), ("6900ms", Validity.INVALID)]
)
def test_recovery_is_counted_from_the_damage(within: str, expected: Validity) -> None:
    run = RunDir()
    run.expect(recovers_within=within)
    assert validity(run, "recovered") is expected


def test_one_false_evaluation_is_no_breach() -> None:
    run = RunDir()
    run.evaluations = [at(s, fast=s != 11) for s in range(36)]
    assert verdict(run, "recovered").summary == "no objective was breached"


def test_a_breach_may_hide_where_an_objective_has_no_data() -> None:
    run = RunDir()
    run.evaluations = [at(s, fast=None if s in (12, 14) else True) for s in range(36)]
    assert validity(run, "recovered") is Validity.VALID
    run.evaluations = [at(s, fast=None if s in (12, 13) else True) for s in range(36)]
    assert validity(run, "recovered") is Validity.UNKNOWN


@pytest.mark.parametrize("first", [False, None])
def test_a_breach_may_hide_where_false_and_no_data_alternate(first: bool | None) -> None:
    second = None if first is False else False
    readings = {12: first, 13: second, 14: first, 15: second}
    run = RunDir()
    run.evaluations = [at(s, fast=readings.get(s, True)) for s in range(36)]
    found = verdict(run, "recovered")
    assert (found.validity, "no data for fast" in found.summary) == (Validity.UNKNOWN, True)
    run = RunDir().without_faults()
    run.evaluations = [at(s, fast=readings.get(s, True)) for s in range(36)]
    assert validity(run, "objectives") is Validity.UNKNOWN


def test_four_true_evaluations_are_no_recovery() -> None:
    run = replaced(RunDir(), at(22, fast=False))
    assert read(run).anchors.recovered_ns == read(run).t0_ns + 23_000_000_000


def test_a_breach_before_the_first_fault_is_only_reported() -> None:
    run = replaced(RunDir(), at(6, fast=False), at(7, fast=False))
    anchors = read(run).anchors
    assert len(anchors.early) == 1
    assert anchors.breached_ns == read(run).t0_ns + 11_000_000_000


def test_a_system_that_never_recovers_is_invalid() -> None:
    run = RunDir()
    run.evaluations = [at(s, fast=s < 11) for s in range(36)]
    assert validity(run, "recovered") is Validity.INVALID
    run.expect(recovers_within="20s")
    assert validity(run, "recovered") is Validity.UNKNOWN
    run.expect(recovers_within=None)
    assert validity(run, "recovered") is Validity.INVALID


def with_gaps(*, false_at: Collection[int], none_at: Collection[int]) -> RunDir:
    """A run of 30 s with the objective false and without data in those seconds, else true."""
    run = RunDir()
    run.evaluations = [
        at(s, fast=False if s in false_at else None if s in none_at else True) for s in range(36)
    ]
    return run


@pytest.mark.parametrize(
    ("false_at", "none_at", "within", "expected"),
    [
        ((11, 12), range(13, 31), "10s", Validity.UNKNOWN),  # never back, as far as anybody saw
        ((11, 12), range(13, 31), None, Validity.UNKNOWN),
        (range(11, 31), (15, 20), "10s", Validity.INVALID),  # nowhere room for a recovery
        ((11, 12, *range(18, 31)), range(13, 18), "10s", Validity.INVALID),  # a second outage
        ((11, 12, *range(17, 31)), range(13, 17), "10s", Validity.INVALID),  # too short a gap
        (range(11, 19), (20,), "8s", Validity.UNKNOWN),  # one lost reading makes it late by 2 s
        (range(11, 20), (20,), "8s", Validity.INVALID),  # late whatever that reading was
        ((11, 12, 19, 20), range(21, 31), "10s", Validity.UNKNOWN),  # a second outage, unseen
        ((11, 12, *range(19, 30)), (30,), "10s", Validity.INVALID),
    ],
)
def test_what_nobody_could_read_is_not_held_against_a_recovery(
    false_at: Collection[int], none_at: Collection[int], within: str | None, expected: Validity
) -> None:
    run = with_gaps(false_at=false_at, none_at=none_at)
    run.expect(recovers_within=within)
    found = verdict(run, "recovered")
    assert found.validity is expected, found.summary
    assert ("no data for fast" in found.summary) is (expected is Validity.UNKNOWN)
    assert found.evidence, "the outages are shown all the same"


def second_breach(length_s: int) -> RunDir:
    run = RunDir()
    run.evaluations = [at(s, fast=not (11 <= s < 14 or 19 <= s < 19 + length_s)) for s in range(36)]
    run.effective["traffic_end_s"] = 35.0
    return run


def test_a_short_second_breach_is_told_and_a_long_one_is_a_second_outage() -> None:
    short = verdict(second_breach(4), "recovered")
    assert short.validity is Validity.VALID
    assert [outage["breached_at"] for outage in short.evidence] == [11.0, 19.0]
    assert validity(second_breach(9), "recovered") is Validity.VALID
    assert validity(second_breach(10), "recovered") is Validity.INVALID


def test_what_was_going_on_is_told_beside_a_breach() -> None:
    assert verdict(RunDir(), "recovered").evidence[0]["during"] == ["fault network-latency-1"]


def alerts(run: RunDir, firing: dict[str, range]) -> RunDir:
    """The run with these alerts firing in these seconds."""
    run.evaluations = [
        evaluation(
            s,
            fast=not 11 <= s < 18,
            firing=[name for name, span in firing.items() if s in span],
            active_s=11.0,
        )
        for s in range(36)
    ]
    return run


@pytest.mark.parametrize(
    ("firing", "expected"),
    [
        ({"RedisSlow": range(13, 20)}, Validity.VALID),
        ({"RedisSlow": range(15, 20)}, Validity.VALID),
        ({"RedisSlow": range(16, 20)}, Validity.INVALID),
        ({"RedisSlow": range(13, 26)}, Validity.VALID),
        ({"RedisSlow": range(13, 28)}, Validity.INVALID),
        ({}, Validity.INVALID),
        ({"RedisSlow": range(13, 20), "Other": range(14, 15)}, Validity.INVALID),
        ({"RedisSlow": range(13, 20), "Other": range(36)}, Validity.VALID),
        ({"RedisSlow": range(13, 20), "Other": range(31, 36)}, Validity.VALID),
    ],
)
def test_alerts_are_held_to_their_deadlines(firing: dict[str, range], expected: Validity) -> None:
    assert validity(alerts(RunDir(), firing), "alerts") is expected


def test_resolving_counts_from_the_removal_where_nothing_was_breached() -> None:
    run = RunDir()
    run.evaluations = [
        evaluation(s, firing=["RedisSlow"] if 13 <= s < 24 else [], active_s=11.0)
        for s in range(36)
    ]
    assert validity(run, "alerts") is Validity.VALID
    run.event("fault.removed", gone=None)
    assert validity(run, "alerts") is Validity.UNKNOWN


def test_other_alerts_may_be_allowed() -> None:
    run = alerts(RunDir(), {"RedisSlow": range(13, 20), "Other": range(14, 15)})
    run.expect(other_alerts=["Other"])
    assert validity(run, "alerts") is Validity.VALID
    run.expect(other_alerts="allowed", alerts=[])
    assert isinstance(said(run, "alerts"), NotApplicable)


def test_a_deadline_counts_from_the_fault_that_comes_first_wherever_it_stands() -> None:
    run = alerts(RunDir(), {"RedisSlow": range(13, 20)})
    later = {**run.experiment["method"][0], "id": "later", "at": "24s", "duration": "1s"}
    run.experiment = {**run.experiment, "method": [later, *run.experiment["method"]]}
    assert validity(run, "alerts") is Validity.VALID


def test_a_deadline_after_the_traffic_is_unknown() -> None:
    run = alerts(RunDir(effective={"traffic_end_s": 22.0}), {"RedisSlow": range(13, 24)})
    assert validity(run, "alerts") is Validity.UNKNOWN


def test_a_system_without_rules_has_no_alerts() -> None:
    assert isinstance(said(RunDir(system={**SYSTEM, "rules": []}), "alerts"), NotApplicable)
    elsewhere = {**SYSTEM, "rules": [], "prometheus": "http://127.0.0.1:9090"}
    assert isinstance(said(RunDir(system=elsewhere), "alerts"), NotApplicable)
    none_of_its_own = {**RunDir().experiment, "rules": []}
    assert isinstance(said(RunDir(experiment=none_of_its_own), "alerts"), NotApplicable)


def step(run: RunDir, number: int, undoing: bool, **changes: object) -> RunDir:
    run.events = [
        (t, name, {**data, **changes})
        if (name, data.get("step"), data.get("undoing")) == ("step.done", number, undoing)
        else (t, name, data)
        for t, name, data in run.events
    ]
    return run


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("done", Validity.VALID),
        ("placebo", Validity.VALID),
        ("not_applicable", Validity.VALID),
        ("needs_person", Validity.VALID),
        ("failed", Validity.INVALID),
    ],
)
def test_only_a_failed_step_fails_the_playbook(status: str, expected: Validity) -> None:
    assert validity(step(RunDir(), 1, False, status=status), "playbook") is expected  # noqa: FBT003


def test_the_status_of_a_step_is_told_as_a_word() -> None:
    run = step(RunDir(), 1, False, status="needs_person")  # noqa: FBT003
    assert verdict(run, "playbook").summary == "2 steps: 2 needs a person"


def test_a_failed_undo_fails_the_playbook() -> None:
    run = step(RunDir(), 1, True, status="failed", why="not seen")  # noqa: FBT003
    assert verdict(run, "playbook").summary == "the undo of step 1 failed: not seen"


def test_an_optional_step_may_fail() -> None:
    run = step(RunDir(), 1, False, status="failed")  # noqa: FBT003
    steps = [{**s, "block": {**s["block"], "optional": True}} for s in PLAYBOOK["steps"]]
    run.playbook = {**PLAYBOOK, "steps": steps}
    assert validity(run, "playbook") is Validity.VALID
    undone = step(run, 1, True, status="failed")  # noqa: FBT003
    assert validity(undone, "playbook") is Validity.INVALID


def cut_off(number: int, *, undoing: bool) -> RunDir:
    """The run in which that step, or its undo, was begun and did not come to its end."""
    run = RunDir()
    ended = ("step.done", number, undoing)
    run.events = [e for e in run.events if (e[1], e[2].get("step"), e[2].get("undoing")) != ended]
    return run


@pytest.mark.parametrize(
    ("undoing", "summary"),
    [
        (False, "step 1 was cut off by the end of the run"),
        (True, "the undo of step 1 was cut off by the end of the run"),
    ],
)
def test_a_step_or_an_undo_that_was_cut_off_leaves_the_playbook_unknown(
    undoing: bool, summary: str
) -> None:
    run = cut_off(1, undoing=undoing)
    found = verdict(run, "playbook")
    assert (found.validity, found.summary) == (Validity.UNKNOWN, summary)
    steps = [{**s, "block": {**s["block"], "optional": True}} for s in PLAYBOOK["steps"]]
    run.playbook = {**PLAYBOOK, "steps": steps}
    expected = Validity.UNKNOWN if undoing else Validity.VALID
    assert validity(run, "playbook") is expected, "an undo is never optional"


def test_a_failed_step_is_told_before_one_that_was_cut_off() -> None:
    run = step(cut_off(1, undoing=True), 1, False, status="failed")  # noqa: FBT003
    assert validity(run, "playbook") is Validity.INVALID


def test_a_step_that_was_done_must_be_undone() -> None:
    run = RunDir()
    run.events = [e for e in run.events if not e[2].get("undoing")]
    found = verdict(run, "playbook")
    assert (found.validity, found.summary) == (
        Validity.UNKNOWN,
        "step 1 was done, and nobody saw it undone",
    )
    assert validity(step(run, 1, False, status="placebo"), "playbook") is Validity.VALID  # noqa: FBT003
    blocks = [{k: v for k, v in s["block"].items() if k != "undo"} for s in PLAYBOOK["steps"]]
    steps = [{**s, "block": b} for s, b in zip(PLAYBOOK["steps"], blocks, strict=True)]
    run = RunDir(playbook={**PLAYBOOK, "steps": steps}, events=run.events)
    assert validity(run, "playbook") is Validity.VALID


@pytest.mark.parametrize(("fired_s", "expected"), [(12, Validity.INVALID), (17, Validity.VALID)])
def test_people_have_time_to_read_an_alert(fired_s: int, expected: Validity) -> None:
    run = alerts(RunDir(effective={"responder": "person"}), {"RedisSlow": range(fired_s, 36)})
    run.events = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    found = verdict(run, "playbook")
    assert found.validity is expected
    assert expected is Validity.INVALID or "the 15 s that an answer takes" in found.summary


@pytest.mark.parametrize("kind", ["command", "replay"])
def test_whoever_is_no_bot_has_the_time_of_a_person(kind: str) -> None:
    run = alerts(RunDir(effective={"responder": kind}), {"RedisSlow": range(17, 36)})
    run.events = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    assert validity(run, "playbook") is Validity.VALID


EARLY: list[tuple[float, str, dict[str, Any]]] = [
    (2.0, "responder.started", {"alert": "", "by": "person", "delay_s": None}),
    (2.1, "action.started", {"do": "use-postgres", "by": "ann", "undoing": False}),
    (2.2, "action.done", {"do": "use-postgres", "status": "done", "undoing": False}),
]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], Validity.INVALID),
        ([(14.0, "responder.started", {"alert": "RedisSlow", "by": "person"})], Validity.VALID),
        ([(11.0, "responder.started", {"alert": "", "by": "person"})], Validity.VALID),
        ([(11.0, "action.started", {"do": "x", "by": "ann", "undoing": False}),
          (11.5, "action.done", {"do": "x", "status": "done", "undoing": False})], Validity.VALID),
        ([(11.0, "action.started", {"do": "x", "by": "ann", "undoing": True}),
          (11.5, "action.done", {"do": "x", "status": "done", "undoing": True})], Validity.INVALID),
    ],
    ids=["nothing", "on the alert", "before the alert", "an act", "an undo"],
)  # fmt: skip
def test_what_was_done_before_the_fault_answers_nothing(
    later: list[tuple[float, str, dict[str, Any]]], expected: Validity
) -> None:
    run = RunDir()
    quiet = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    run.events = sorted([*quiet, *EARLY, *later], key=lambda each: each[0])
    assert validity(run, "playbook") is expected
    clocks = judge(read(run)).clocks
    assert clocks.mitigated_after_s is None
    assert (clocks.acknowledged_after_s is None) == (expected is Validity.INVALID)


def test_an_undo_that_failed_before_the_fault_is_told_all_the_same() -> None:
    run = alerts(RunDir(), {})
    quiet = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    undo = {"do": "use-postgres", "undoing": True}
    failed = [
        (3.0, "action.started", {**undo, "by": "ann"}),
        (3.5, "action.done", {**undo, "status": "failed"}),
    ]
    run.events = sorted([*quiet, *EARLY, *failed], key=lambda each: each[0])
    assert validity(run, "playbook") is Validity.INVALID


def acted(*events: tuple[float, str, dict[str, Any]]) -> RunDir:
    """The run in which somebody also did an action outside of the playbook."""
    run = RunDir()
    started = {"do": "use-postgres", "by": "ann", "undoing": False, "undo": BACK}
    ends = (17.0, "action.done", {"do": "use-postgres", "status": "done", "undoing": False})
    told = [*run.events, (16.5, "action.started", started), ends, *events]
    run.events = sorted(told, key=lambda each: each[0])
    return run


BACK = {"kind": "request", "action": "use-redis", "base_url": "http://x", "request": {}}
UNDOING = (28.0, "action.started", {"do": "use-postgres", "by": "bot", "undoing": True})


def test_an_action_outside_of_the_playbook_is_told_and_must_be_undone() -> None:
    over = {"do": "use-postgres", "undoing": True}
    found = verdict(acted(UNDOING, (28.5, "action.done", {**over, "status": "done"})), "playbook")
    assert found.validity is Validity.VALID
    assert "1 action outside of the playbook: use-postgres" in found.summary
    assert {"action": "use-postgres", "by": "ann", "undoing": False, "status": "done"} in [
        *found.evidence
    ]
    failed = {**over, "status": "failed", "why": "it answered 500"}
    found = verdict(acted(UNDOING, (28.5, "action.done", failed)), "playbook")
    assert found.validity is Validity.INVALID
    assert found.summary == "the undo of action use-postgres failed: it answered 500"
    again = (29.0, "action.started", {"do": "use-postgres", "by": "bot", "undoing": True})
    done = (29.5, "action.done", {**over, "status": "done"})
    for first in ([(28.5, "action.done", failed)], []):  # or it was cut off
        assert validity(acted(UNDOING, *first, again, done), "playbook") is Validity.VALID
    found = verdict(acted(UNDOING), "playbook")
    assert (found.validity, "undo of action use-postgres was cut off" in found.summary) == (
        Validity.UNKNOWN,
        True,
    )
    found = verdict(acted(), "playbook")
    assert found.validity is Validity.UNKNOWN
    assert found.summary == "action use-postgres was done, and nobody saw it undone"


def test_refusals_that_an_action_asked_for_do_not_count_until_it_is_undone() -> None:
    steps = [dict(step) for step in PLAYBOOK["steps"]]
    steps[0] = {**steps[0], "block": {**steps[0]["block"], "refuses": True}}
    done = (19.0, "action.done", {"do": "use-redis", "status": "done", "undoing": False})
    begun = (18.9, "action.started", {"do": "use-redis", "by": "ann", "undoing": False})
    for until_s, expected in ((18.5, Validity.VALID), (24.0, Validity.INVALID)):
        run = failing(acted(begun, done), Outcome.REFUSED, 17.0, until_s)
        run.events = [e for e in run.events if not e[1].startswith("step")]
        run.playbook = {**PLAYBOOK, "steps": steps}
        assert validity(run, "thresholds") is expected


def test_a_pause_ends_where_an_action_does_what_takes_its_step_back() -> None:
    steps = [dict(step) for step in PLAYBOOK["steps"]]
    steps[0] = {**steps[0], "block": {**steps[0]["block"], "refuses": True}}
    begun = (17.0, "action.started", {"do": "use-redis", "by": "ann", "undoing": False})
    done = (17.5, "action.done", {"do": "use-redis", "status": "done", "undoing": False})
    for until_s, expected in ((17.4, Validity.VALID), (24.0, Validity.INVALID)):
        run = failing(RunDir(), Outcome.REFUSED, 14.5, until_s)
        quiet = [e for e in run.events if not (e[1].startswith("step") and e[2]["undoing"])]
        run.events = sorted([*quiet, begun, done], key=lambda each: each[0])
        run.playbook = {**PLAYBOOK, "steps": steps}
        assert validity(run, "thresholds") is expected


def test_nobody_starting_though_the_alert_fired_is_invalid() -> None:
    run = RunDir()
    run.events = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    assert validity(run, "playbook") is Validity.INVALID
    quiet = alerts(run, {})
    assert validity(quiet, "playbook") is Validity.VALID


def test_an_alert_that_fires_when_nobody_can_answer_any_more_asks_for_nobody() -> None:
    run = alerts(RunDir(), {"RedisSlow": range(29, 36)})
    run.events = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    assert validity(run, "playbook") is Validity.VALID
    assert "RedisSlow fired, too late" in verdict(run, "playbook").summary
    run = alerts(run, {"RedisSlow": range(28, 36)})
    assert validity(run, "playbook") is Validity.INVALID


@pytest.mark.parametrize(
    ("delay_s", "expected"),
    [
        (0.0, Validity.INVALID),
        (16, Validity.INVALID),
        (16.5, Validity.UNKNOWN),
        (9e8, Validity.UNKNOWN),
    ],
)
def test_a_responder_that_still_waited_at_the_end_has_shown_nothing(
    delay_s: float, expected: Validity
) -> None:
    run = RunDir(effective={"responder_delay_s": delay_s})
    run.events = [e for e in run.events if not e[1].startswith(("step", "responder"))]
    assert validity(run, "playbook") is expected
    late = alerts(run, {"RedisSlow": range(30, 36)})  # too late for anybody
    assert validity(late, "playbook") is Validity.VALID


def test_without_a_responder_or_a_playbook_there_is_nothing_to_judge() -> None:
    assert isinstance(said(RunDir(effective={"no_responder": True}), "playbook"), NotApplicable)
    assert isinstance(said(RunDir(playbook=None), "playbook"), NotApplicable)


def routed(run: RunDir, *notified: tuple[str, float, str], **told: object) -> RunDir:
    """What Alertmanager notified of (alert, at, state), in the line of its second."""
    for at_s, line in enumerate(run.evaluations):
        found = [
            {
                "at": T0_NS + round(at * NS),
                "state": state,
                "receiver": "gameday",
                "labels": {"alertname": alert},
            }
            for alert, at, state in notified
            if at_s == int(at)
        ]
        line["routing"] = {"notified": found, "suppressed": [], **told}
    return run


def test_an_alert_that_fired_and_was_notified_of_was_routed() -> None:
    run = routed(RunDir(), ("Other", 13.1, "firing"), ("RedisSlow", 14.5, "firing"))
    found = verdict(run, "routing")
    assert found.validity is Validity.VALID
    assert "notified 1.5 s after it fired" in found.summary
    assert [each["alert"] for each in found.evidence] == ["Other", "RedisSlow"]


def test_without_a_receiver_routing_is_unknown_and_without_an_alertmanager_not_asked() -> None:
    assert isinstance(said(RunDir(), "routing"), NotApplicable)
    found = verdict(routed(RunDir(), notified=None), "routing")
    assert found.validity is Validity.UNKNOWN
    assert "--webhook-listen" in found.summary
    run = routed(RunDir())
    run.expect(alerts=[])
    assert isinstance(said(run, "routing"), NotApplicable)


@pytest.mark.parametrize(
    ("notified", "told", "expected", "words"),
    [
        ([], {}, Validity.UNKNOWN, "may wait for 30 s"),
        ([("RedisSlow", 14.0, "resolved")], {}, Validity.UNKNOWN, "may wait for 30 s"),
        ([("RedisSlow", 9.0, "firing")], {}, Validity.UNKNOWN, "may wait for 30 s"),
        ([], {"suppressed": ["RedisSlow"]}, Validity.INVALID, "silenced or inhibited"),
        ([], {"suppressed": ["Other"], "problem": "status 503"}, Validity.UNKNOWN, "status 503"),
    ],
)
def test_an_alert_that_nobody_was_notified_of(
    notified: list[tuple[str, float, str]],
    told: dict[str, object],
    expected: Validity,
    words: str,
) -> None:
    found = verdict(routed(RunDir(), *notified, **told), "routing")
    assert found.validity is expected
    assert words in found.summary


ROUTED = {"alert": "RedisSlow", "receivers": ["on-call"]}


@pytest.mark.parametrize(
    ("told", "expected", "words"),
    [
        (
            {"suppressed": ["RedisSlow"], "routed": [{**ROUTED, "silenced_by": ["4f by ann: x"]}]},
            Validity.INVALID, "a silence keeps it back: 4f by ann: x. Expire the silence",
        ),
        (
            {"suppressed": ["RedisSlow"], "routed": [{**ROUTED, "inhibited_by": ["NodeDown"]}]},
            Validity.INVALID, "is inhibited by NodeDown",
        ),
        (
            {"routed": [{**ROUTED, "receivers": ["nobody"]}]},
            Validity.INVALID, "its route leads to nobody, and not to on-call",
        ),
        ({"routed": [ROUTED], "failed": 3}, Validity.INVALID, "deliver to on-call, 3 times"),
        (
            {"routed": [ROUTED], "waits": {"on-call": 300.0}},
            Validity.INVALID, "on-call waits for 300 s (group_wait), and the alert was over",
        ),
        (
            {"routed": [ROUTED], "waits": {"on-call": 5.0}},
            Validity.INVALID, "nobody was notified",
        ),
        ({"routed": [ROUTED]}, Validity.UNKNOWN, "may wait for 30 s"),
    ],
)  # fmt: skip
def test_what_kept_a_notification_back_is_named(
    told: dict[str, object], expected: Validity, words: str
) -> None:
    run = routed(RunDir(), **told)
    run.expect(alerts=[{"alert": "RedisSlow", "fires_within": "10s", "receiver": "on-call"}])
    found = verdict(run, "routing")
    assert (found.validity, words in found.summary) == (expected, True), found.summary


def test_a_notification_that_never_came_is_missing_once_alertmanager_need_not_wait() -> None:
    long = RunDir()
    long.evaluations += [evaluation(at) for at in range(36, 51)]
    found = verdict(routed(long), "routing")
    assert found.validity is Validity.INVALID
    assert "nobody was notified" in found.summary


def test_an_alert_that_did_not_fire_shows_nothing_of_its_routing() -> None:
    run = routed(alerts(RunDir(), {}), ("RedisSlow", 14.0, "firing"))
    assert validity(run, "routing") is Validity.UNKNOWN


def reacting(true_at: range, *, none_at: range = range(0), **expected: object) -> RunDir:
    """A run whose reaction is true in those seconds, and has no data in others."""
    run = RunDir()
    reaction = {"name": "scaled-out", "expr": "count(up) >= 2", "within": "5s", **expected}
    run.expect(reactions=[reaction])
    for line in run.evaluations:
        second = (line["t"] - T0_NS) // NS
        state = None if second in none_at else second in true_at
        line["readings"] = {**line["readings"], "reaction:scaled-out": state}
    return run


@pytest.mark.parametrize(
    ("true_at", "none_at", "expected", "why"),
    [
        (range(13, 20), range(0), Validity.VALID, "came after 3.0 s, was over 4.0 s after"),
        (range(13, 16), range(0), Validity.VALID, "was over 1.0 s after"),
        (range(16, 20), range(0), Validity.INVALID, "it came after 6.0 s, 5 s were allowed"),
        (range(0), range(0), Validity.INVALID, "it did not come within 5 s"),
        (range(13, 23), range(0), Validity.INVALID, "was over 7.0 s after the fault"),
        (range(13, 40), range(0), Validity.INVALID, "it was not over 6 s after the fault"),
        (range(7, 20), range(0), Validity.UNKNOWN, "it was so before the fault already"),
        (range(0), range(8, 40), Validity.UNKNOWN, "no data"),
        (range(0), range(13, 40), Validity.UNKNOWN, "not looked at for the 5 s"),
        (range(13, 17), range(17, 40), Validity.UNKNOWN, "no data"),
        (range(16, 20), range(10, 16), Validity.UNKNOWN, "not looked at throughout the 5 s"),
        (range(16, 20), range(11, 15), Validity.INVALID, "it came after 6.0 s"),
        (range(0), range(11, 16), Validity.UNKNOWN, "not looked at throughout the 5 s"),
        (range(0), range(11, 15), Validity.INVALID, "it did not come within 5 s"),
        (range(13, 17), range(17, 23), Validity.UNKNOWN, "not looked at throughout the 6 s"),
        (range(13, 40), range(17, 22), Validity.UNKNOWN, "not looked at throughout the 6 s"),
        (range(13, 40), range(17, 21), Validity.INVALID, "it was not over 6 s after the fault"),
    ],
)
def test_a_reaction_comes_and_goes_in_its_time(
    true_at: range, none_at: range, expected: Validity, why: str
) -> None:
    found = verdict(reacting(true_at, none_at=none_at, back_within="6s"), "reactions")
    assert found.validity is expected, found.summary
    assert why in found.summary


def test_a_reaction_that_came_after_its_time_to_go_is_late_to_go() -> None:
    run = reacting(range(20, 22), within="15s", back_within="2s")
    assert validity(run, "reactions") is Validity.INVALID


def test_a_reaction_is_to_one_fault_and_may_stay() -> None:
    assert validity(reacting(range(13, 40)), "reactions") is Validity.VALID
    assert validity(reacting(range(13, 40), of="nothing"), "reactions") is Validity.UNKNOWN
    assert isinstance(said(RunDir(), "reactions"), NotApplicable)


def over_issued(tells: dict[str, str], stock: int) -> RunDir:
    """A run in which `OverIssuance` fires, and with a stock of 249 rightly so."""
    run = RunDir(stock=stock)
    run.system["alert_tells"] = tells
    for at_s, line in enumerate(run.evaluations):
        if 14 <= at_s < 20:
            extra = evaluation(at_s, firing=["OverIssuance"], active_s=13.0)["alerts"]
            line["alerts"] = [*line["alerts"], *extra]
    return run


def test_an_unexpected_alert_that_tells_the_truth_is_no_second_failure() -> None:
    tells = {"OverIssuance": "no_over_issuance"}
    true = verdict(over_issued(tells, 249), "alerts")
    assert true.validity is Validity.VALID
    assert ("OverIssuance", "truthful") in [(e["alert"], e["status"]) for e in true.evidence]
    assert verdict(over_issued(tells, 250), "alerts").validity is Validity.INVALID
    assert verdict(over_issued({}, 249), "alerts").validity is Validity.INVALID


@pytest.mark.parametrize(
    ("receiver", "expected"), [("gameday", Validity.VALID), ("on-call", Validity.INVALID)]
)
def test_a_notification_must_reach_the_receiver_that_is_named(
    receiver: str, expected: Validity
) -> None:
    run = routed(RunDir(), ("RedisSlow", 14.5, "firing"))
    run.expect(alerts=[{"alert": "RedisSlow", "fires_within": "10s", "receiver": receiver}])
    found = verdict(run, "routing")
    assert found.validity is expected
    assert ("gameday was notified, and not on-call" in found.summary) == (receiver == "on-call")
