"""The score: each of its parts, the harm and the share of it that was avoided, and its bytes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import UnknownError
from gameday.judge.baselines import Baseline, BaselineKind, read_baselines, write_baseline
from gameday.judge.course import Course, ObjectivesSeen, OrderSeen, course_of
from gameday.judge.harm import NONE, HarmCurve, HarmRecord, avoidance, harm_of
from gameday.judge.hypothesis import is_right
from gameday.judge.response_parts import parts
from gameday.judge.score import Score, score
from gameday.spec.inputs import load_drill
from gameday.spec.shipped import all_experiments
from gameday.traffic.history import Outcome, Reason
from tests.support.rundirs import PLAYBOOK, Answer, RunDir, evaluation, issue, read

RIGHT = "Redis answers late"
DECOYS = ("PostgreSQL answers late", "Redis refuses connections")


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        (RIGHT, True),
        ("  redis answers LATE. ", True),
        ("1", True),
        ("2", False),
        ("I think it is Redis, it answers very late", True),
        ("PostgreSQL answers late", False),
        ("something answers late", False),
        ("Redis", False),
        ("redis refuses connections", False),
        ("Redis answers late, or PostgreSQL answers late", False),
        ("it is not Redis that answers late", False),
        ("Redis isn't answering, no: it answers late", False),
        ("", False),
        ("?!", False),
    ],
)
def test_a_hypothesis_is_right_when_it_says_more_of_the_right_one(text: str, is_so: bool) -> None:
    assert is_right(text, [RIGHT], DECOYS, [RIGHT, *DECOYS]) is is_so


LONG = "Redis answers late: the way to it has become slow"
OTHERS = (
    "PostgreSQL answers late: the way to it has become slow",
    "Redis cannot be reached: connections are refused",
)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("Redis answers late", True),
        ("redis is late", True),
        ("it answers late", False),
        ("PostgreSQL answers late", False),
        ("Redis is the problem", False),
        ("Redis cannot be reached", False),
        (f"{LONG}, or not", False),
        ("; ".join((LONG, *OTHERS)), False),
        ("Redis answers late, the way to it is slow, or PostgreSQL answers late", False),
    ],
)
def test_of_a_long_hypothesis_its_head_is_enough(text: str, is_so: bool) -> None:
    assert is_right(text, [LONG], OTHERS, [LONG, *OTHERS]) is is_so


def test_a_denial_that_the_right_one_has_is_none_of_it() -> None:
    assert is_right("redis can't be reached", [OTHERS[1]], [LONG, OTHERS[0]])


@pytest.mark.parametrize("name", [path.stem for path in all_experiments()])
def test_each_hypothesis_that_is_offered_is_right_in_free_words_where_it_is_true(name: str) -> None:
    offered = load_drill(name, 0).drill.hypotheses
    for one in offered:
        others = [each for each in offered if each != one]
        assert is_right(f"I think that {one.partition(':')[0]}!", [one], others), one
        assert not is_right("; ".join((one, *others)), [one], others) or not others


@given(st.text(max_size=80))
def test_no_text_is_right_where_it_is_a_decoy_too(text: str) -> None:
    assert not is_right(text, [RIGHT], [RIGHT.upper()])
    assert not is_right(text, [": a head of nothing"], [RIGHT]) or "nothing" in text


def flat(failed: int = 0, slow: int = 0, wrong: int = 0, seconds: int = 30) -> HarmRecord:
    curve = HarmCurve(
        due=[100] * seconds,
        failed=[failed] * seconds,
        slow=[slow] * seconds,
        wrong=[wrong] * seconds,
    )
    return HarmRecord(curve=curve, before=NONE, slow_ms=200.0)


def baseline(kind: BaselineKind, harm: HarmRecord, seed: int = 7) -> Baseline:
    return Baseline(kind=kind, made="measured", how="by hand", seed=seed, harm=harm)


def test_four_who_wait_weigh_as_much_as_one_who_gets_nothing_and_a_wrong_answer_ten() -> None:
    assert flat(failed=1, seconds=1).curve.harm == flat(slow=4, seconds=1).curve.harm == 1.0
    assert flat(wrong=1, seconds=1).curve.harm == 10.0


@pytest.mark.parametrize(("own", "share"), [(100, 0.0), (0, 1.0), (50, 0.5), (120, -0.2)])
def test_the_share_counts_from_doing_nothing_to_perfect_and_may_be_negative(
    own: int, share: float
) -> None:
    found = avoidance(flat(failed=own), flat(failed=100), flat(failed=0))
    assert found.share == pytest.approx(share)


def test_all_three_harms_are_taken_over_the_seconds_of_the_shortest() -> None:
    found = avoidance(flat(failed=50, seconds=10), flat(failed=100), flat(failed=0, seconds=20))
    assert (found.seconds, found.nothing, found.harm) == (10, 1000.0, 500.0)


def ended(seconds: int, mended_s: int = 60, **changes: Any) -> Score:
    """A response that mended a fault of 600 s, whose session its all-clear ended."""
    own = flat(failed=100, seconds=mended_s).curve.followed_by(flat(seconds=600 - mended_s).curve)
    well = [ObjectivesSeen(at_s=float(s), well=s > mended_s) for s in range(seconds)]
    course = Course(
        run="r", scenario="s", mode="live", seed=7, ended="completed", end_s=float(seconds),
        fault_at_s=0.0, looked=well, objectives=1,
        orders=[OrderSeen(seq=9, at_s=seconds - 3.0, order="resolved")],
        harm=HarmRecord(curve=own.up_to(seconds), before=NONE, slow_ms=200.0),
    )  # fmt: skip
    perfect = flat(failed=100, seconds=5).curve.followed_by(flat(seconds=595).curve)
    given = {"nothing": baseline("nothing", flat(failed=100, seconds=600))}
    given["perfect"] = baseline("perfect", replace(flat(), curve=perfect))
    return score(replace(course, **changes), given)


@pytest.mark.parametrize("seconds", [70, 200, 600])
def test_the_score_does_not_hang_on_when_a_verified_all_clear_was_given(seconds: int) -> None:
    found = ended(seconds)
    assert found.score == pytest.approx(540 / 595, abs=1e-4)
    assert found.seconds == 600
    assert ("as calm" in found.harm["own"].how) is (seconds < 600)


def test_an_all_clear_that_was_not_verified_or_a_run_that_was_stopped_gains_nothing() -> None:
    early = ended(70, mended_s=66)
    assert early.score == pytest.approx(4 / 595, abs=1e-4)
    assert "as if nobody" in early.harm["own"].how
    assert ended(70, ended="aborted by user").seconds == 70


def test_what_would_have_come_is_hurt_as_often_as_the_calm_seconds() -> None:
    rest = flat(seconds=90).curve.at_rate_of(flat(failed=1, slow=3, seconds=4).curve)
    assert (sum(rest.failed), sum(rest.slow), sum(rest.wrong)) == (90, 270, 0)
    assert flat(seconds=2).curve.at_rate_of(NONE) == flat(seconds=2).curve


def test_what_could_be_avoided_within_the_noise_is_not_scored() -> None:
    assert avoidance(flat(failed=50), flat(failed=100), flat(failed=99)).share is None
    assert avoidance(flat(failed=50), flat(failed=100), flat(failed=96)).share is not None


def test_noise_before_the_fault_is_noise_of_the_harm() -> None:
    restless = HarmCurve(due=[100] * 8, failed=[0, 60] * 4, slow=[0] * 8, wrong=[0] * 8)
    nothing, perfect = flat(failed=10), flat(failed=5)
    assert avoidance(nothing, nothing, perfect).share is not None
    assert avoidance(replace(nothing, before=restless), nothing, perfect).share is None


def test_harm_that_comes_and_goes_by_itself_is_noise_and_one_long_outage_is_not() -> None:
    def course_(failed: list[int]) -> HarmRecord:
        curve = HarmCurve(due=[100] * 40, failed=failed, slow=[0] * 40, wrong=[0] * 40)
        return HarmRecord(curve=curve, before=NONE, slow_ms=200.0)

    steady, perfect = course_([50] * 30 + [0] * 10), course_([48] * 30 + [0] * 10)
    assert avoidance(steady, steady, perfect).share == 0.0
    jumping = course_([0, 100] * 15 + [0] * 10)
    assert avoidance(jumping, jumping, perfect).share is None
    nothing, quick = course_([50] * 30 + [0] * 10), course_([20] * 5 + [0] * 35)
    assert avoidance(jumping, nothing, quick).share == 0.0


def hurt(run: RunDir) -> HarmRecord:
    return harm_of(read(run), 10.0)


def test_harm_counts_where_a_start_was_due_from_the_fault_on() -> None:
    run = RunDir()
    run.answers[40] = replace(run.answers[40], outcome=Outcome.UNKNOWN, issue_id="")  # at 4 s
    run.answers[120] = replace(run.answers[120], outcome=Outcome.UNKNOWN, issue_id="")  # at 12 s
    run.answers[150] = issue(150, 150, 15.0, took_s=1.5)
    found = hurt(run)
    assert [second for second, n in enumerate(found.curve.failed) if n] == [2]
    assert [second for second, n in enumerate(found.curve.slow) if n] == [5]
    assert (sum(found.before.failed), found.slow_ms) == (1, 200.0)
    assert found.curve.harm == 1.25


def test_what_the_generator_dropped_and_what_the_end_cut_off_is_nobodys_harm() -> None:
    run = RunDir()
    run.answers[260] = Answer(260, 260, Outcome.DROPPED, 26.0, reason=Reason.LATE)
    run.answers[261] = Answer(261, 261, Outcome.UNKNOWN, 26.1, reason=Reason.INTERRUPTED)
    run.answers[262] = Answer(262, 262, Outcome.DROPPED, 26.2, reason=Reason.SYSTEM_SATURATED)
    assert sum(hurt(run).curve.failed) == 1


def test_a_second_coupon_of_one_user_is_a_wrong_answer() -> None:
    run = RunDir()
    run.answers[200] = replace(run.answers[200], user=199)
    assert sum(hurt(run).curve.wrong) == 1


def drilled(*events: tuple[float, str, dict[str, Any]], mode: str = "live") -> RunDir:
    """A drill of the uneventful redis-slow, in which somebody does `events`."""
    started = {"mode": mode, "briefing": "", "role": "operations", "window_s": 0.0}
    started |= {"lasts_s": 6.0, "updates_every_s": 5.0, "hypotheses": [RIGHT, *DECOYS]}
    planned = {"experiment": "redis-slow", "title": "Redis", "path": "x", "seed": 7}
    planned |= {"fault_at_s": 10.0, "lasts_s": 6.0, "right": [RIGHT], "names": {}}
    planned |= {"decoys": list(DECOYS), "severity": "sev2", "debrief": ["What did you see?"]}
    run = RunDir()
    run.events = sorted(
        [
            (-9.5, "drill.started", started),
            (-9.4, "drill.planned", planned),
            *(e for e in run.events if not e[1].startswith(("step", "responder"))),
            *events,
        ],
        key=lambda each: each[0],
    )
    return run


def said(at_s: float, order: str, **fields: Any) -> tuple[float, str, dict[str, Any]]:
    return at_s, "order.given", {"order": order, "by": "ann", "through": "person", **fields}


def worked(
    at_s: float, step: int = 1, by: str = "ann", **done: Any
) -> Sequence[tuple[float, str, dict[str, Any]]]:
    begun = {"step": step, "text": "", "do": "use-postgres" if step == 1 else None, "by": by}
    ended = {"step": step, "status": "done", "verified": True, "why": "", "undoing": False, **done}
    return [
        (at_s, "step.started", {**begun, "undoing": False}),
        (at_s + 0.9, "step.done", {"took_s": 0.9, "refuses": False, **ended}),
    ]


def whole_response() -> RunDir:
    return drilled(
        (12.0, "drill.joined", {"by": "ann", "role": "operations"}),
        (14.0, "alert.acknowledged", {"by": "ann"}),
        said(14.0, "ack"),
        said(14.2, "declare", text="PostgreSQL answers late"),
        said(14.5, "declare", text=RIGHT),
        said(14.6, "severity", severity="sev3"),
        said(17.0, "update", text="we are on it"),
        *worked(15.0),
        *worked(16.0, step=2, verified=None),
        (16.9, "drill.hint", {"number": 1, "text": "look", "cost": 0.1}),
        said(25.0, "resolved", text="all objectives hold"),
    )


def part_of(run: RunDir, name: str) -> tuple[str, object, str]:
    found = next(each for each in parts(course_of(read(run))) if each.name == name)
    return found.status, found.value, found.summary


@pytest.mark.parametrize(
    ("name", "status", "value"),
    [
        ("acknowledge", "known", 1.0),
        ("hypothesis", "known", 4.5),
        ("mitigate", "known", 5.9),
        ("recover", "known", 8.0),
        ("wrong_actions", "known", 0),
        ("steps_skipped", "known", 0),
        ("steps_out_of_order", "known", 0),
        ("steps_unverified", "known", 0),
        ("updates", "known", -1),
        ("severity", "known", 1),
        ("hints", "known", 0.1),
        ("all_clear", "known", True),
    ],
)
def test_each_part_of_a_whole_response_has_its_figure(
    name: str, status: str, value: object
) -> None:
    assert part_of(whole_response(), name)[:2] == (status, value)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("acknowledge", "never"),
        ("hypothesis", "never"),
        ("mitigate", "never"),
        ("severity", "never"),
        ("all_clear", "never"),
    ],
)
def test_what_nobody_did_is_never_and_not_unknown(name: str, status: str) -> None:
    assert part_of(drilled(), name)[0] == status


def test_an_ordinary_run_knows_all_but_what_only_a_plan_says() -> None:
    found = {each.name: each.status for each in parts(course_of(read(RunDir())))}
    unknown = {name for name, status in found.items() if status == "unknown"}
    assert unknown == {"hypothesis", "updates", "severity"}
    assert found["mitigate"] == "known"


@pytest.mark.parametrize(("mode", "why"), [("replay", "recording"), ("tabletop", "no system")])
def test_a_mode_that_cannot_be_hurt_says_why_there_is_no_score(mode: str, why: str) -> None:
    found = score(course_of(read(drilled(said(14.0, "declare", text=RIGHT), mode=mode))), {})
    assert (found.status, found.score) == ("unknown", None)
    assert why in found.summary
    assert why in found.part("recover").summary
    assert found.part("hypothesis").value == 4.0


@pytest.mark.parametrize("name", ["acknowledge", "hypothesis", "mitigate"])
def test_what_was_done_before_the_fault_answers_nothing(name: str) -> None:
    early = (
        (4.0, "alert.acknowledged", {"by": "ann"}),
        said(4.0, "ack"),
        said(4.0, "declare", text=RIGHT),
        *worked(5.0),
        *worked(6.0, step=2),
    )
    assert part_of(drilled(*early), name)[0] == "never"
    late = [said(14.0, "ack"), said(14.0, "declare", text=RIGHT), *worked(14.0)]
    value = part_of(drilled(*early, *late), name)[1]
    assert value == {"acknowledge": 1.0, "hypothesis": 4.0, "mitigate": 4.9}[name]
    told = (said(4.0, "mitigated"), said(14.0, "mitigated"))
    assert part_of(drilled(*told, mode="tabletop"), "mitigate")[1] == 4.0


def test_where_nothing_comes_a_hypothesis_counts_from_the_start() -> None:
    nothing = replace(course_of(read(drilled(said(4.0, "declare", text=RIGHT)))), fault_at_s=None)
    assert next(each.value for each in parts(nothing) if each.name == "hypothesis") == 4.0


def undone(at_s: float, *, ordered: bool = True, by: str = "ann") -> list[Any]:
    """Step 1, worked at 12 s, and taken back."""
    begun = {"step": 1, "text": "", "do": "use-redis", "by": by, "undoing": True}
    done = {"step": 1, "status": "done", "verified": None, "why": "", "undoing": True}
    order = [said(at_s, "act", step=1, undo=True, by=by)] if ordered else []
    ended = (at_s + 0.5, "step.done", {**done, "took_s": 0.5, "refuses": False})
    return [*worked(12.0), *order, (at_s, "step.started", begun), ended]


@pytest.mark.parametrize(
    ("at_s", "ordered", "value"), [(14.0, True, None), (14.0, False, 2.9), (25.0, True, 2.9)]
)
def test_a_mitigation_that_was_undone_while_it_was_needed_is_none(
    at_s: float, *, ordered: bool, value: float | None
) -> None:
    assert part_of(drilled(*undone(at_s, ordered=ordered)), "mitigate")[1] == value


def test_steps_that_are_left_out_or_turned_round_are_counted() -> None:
    assert part_of(drilled(*worked(15.0)), "steps_skipped")[1:] == (1, "1: 2")
    late = drilled(*worked(15.0, step=2), *worked(16.5))
    assert part_of(late, "steps_out_of_order")[1:] == (1, "1: 2")


def test_a_step_that_nobody_saw_work_or_that_was_done_beside_the_playbook_is_unverified() -> None:
    unseen = drilled(*worked(15.0, verified=False), *worked(16.0, step=2))
    assert part_of(unseen, "steps_unverified")[1] == 1
    beside = drilled(*acted(15.0, "use-postgres"), *worked(17.0, step=2))
    assert part_of(beside, "steps_unverified")[1] == 1
    assert part_of(beside, "steps_skipped")[1] == 0


def test_a_step_of_another_playbook_is_no_step_of_this_one() -> None:
    begun = {"step": 1, "text": "", "do": "use-redis", "by": "ann", "undoing": False}
    other = drilled((15.0, "step.started", {**begun, "playbook": "db-slow"}))
    assert part_of(other, "steps_skipped")[1] == 2
    assert part_of(other, "mitigate")[0] == "never"


def acted(at_s: float, do: str) -> Sequence[tuple[float, str, dict[str, Any]]]:
    return [
        (at_s, "action.started", {"do": do, "by": "ann", "undoing": False}),
        (at_s + 0.5, "action.done", {"do": do, "status": "done", "took_s": 0.5, "undoing": False}),
    ]


def test_an_act_that_the_playbook_warns_of_is_wrong() -> None:
    run = drilled(*acted(15.0, "use-redis"))
    run.playbook = {**PLAYBOOK, "head": {**PLAYBOOK["head"], "do_not": ["use-redis"]}}
    status, value, summary = part_of(run, "wrong_actions")
    assert (status, value) == ("known", 1)
    assert "use-redis at 15.0 s, which the playbook warns of" in summary


def test_an_act_after_which_an_objective_is_breached_is_wrong() -> None:
    run = drilled(*acted(24.0, "use-redis"))
    run.evaluations = [
        each if at < 25 else evaluation(at, fast=False) for at, each in enumerate(run.evaluations)
    ]
    assert part_of(run, "wrong_actions")[1] == 1
    while_it_comes_in = drilled(*acted(10.5, "use-redis"))
    assert part_of(while_it_comes_in, "wrong_actions")[1] == 0


@pytest.mark.parametrize(("ordered", "wrong"), [(True, 1), (False, 0)])
def test_an_undo_is_judged_by_its_order_and_not_by_the_name_of_who_gave_it(
    *, ordered: bool, wrong: int
) -> None:
    run = drilled(*undone(24.0, ordered=ordered, by="gameday"))
    run.evaluations = [
        each if at < 25 else evaluation(at, fast=False) for at, each in enumerate(run.evaluations)
    ]
    assert part_of(run, "wrong_actions")[1] == wrong


@pytest.mark.parametrize(("begun_s", "ended_s", "wrong"), [(1, 13, 0), (1, 5, 0), (1, 3, 1)])
def test_an_act_that_was_under_way_when_the_fault_came_is_not_accused(
    begun_s: float, ended_s: float, wrong: int
) -> None:
    begun, ended = acted(begun_s, "use-redis")
    course = course_of(read(drilled(begun, (float(ended_s), *ended[1:]))))
    broke = replace(
        course.acts[0], after={"objective:fast": False}, before={"objective:fast": True}
    )
    told = next(p for p in parts(replace(course, acts=[broke])) if p.name == "wrong_actions")
    assert told.value == wrong


def test_an_act_after_which_more_are_hurt_is_wrong_also_in_the_incident() -> None:
    run = drilled(*acted(17.0, "use-redis"))
    run.answers = [
        replace(a, outcome=Outcome.UNKNOWN, issue_id="") if a.sent_s >= 17.2 else a
        for a in run.answers
    ]
    assert part_of(run, "wrong_actions")[1] == 1


@pytest.mark.parametrize(
    ("times", "late"), [((17.0, 22.0), 0), ((17.0,), -1), ((), -2), ((14.0, 15.0), -1)]
)
def test_an_update_is_late_where_more_than_its_time_passed(
    times: Sequence[float], late: int
) -> None:
    told = [said(at_s, "update", text="news") for at_s in times]
    run = drilled(*told, said(25.0, "resolved"))
    assert part_of(run, "updates")[1] == late


@pytest.mark.parametrize(
    ("end_s", "every_s", "times", "told"),
    [
        (1320.0, 60.0, (), "0 of 22"),
        (65.0, 60.0, (), "0 of 1"),
        (240.0, 60.0, (10.0, 130.0, 245.0), "2 of 4"),
        (120.0, 60.0, (65.0, 120.0), "2 of 2"),
    ],
)
def test_an_update_was_due_in_each_of_its_times(
    end_s: float, every_s: float, times: Sequence[float], told: str
) -> None:
    course = Course(
        run="r", scenario="s", mode="live", seed=1, ended="completed", end_s=end_s,
        fault_at_s=0.0, updates_every_s=every_s,
        orders=[OrderSeen(seq=n, at_s=at_s, order="update") for n, at_s in enumerate(times)],
    )  # fmt: skip
    found = next(each for each in parts(course) if each.name == "updates")
    assert found.summary.startswith(told)


@pytest.mark.parametrize(("resolved", "value"), [((11.0,), -3), ((14.0, 25.0), -2)])
def test_updates_are_due_until_the_last_all_clear_of_the_incident(
    resolved: Sequence[float], value: int
) -> None:
    run = drilled(*(said(at_s, "resolved") for at_s in resolved))
    assert part_of(run, "updates")[1] == value


@pytest.mark.parametrize(("grade", "off"), [("sev2", 0), ("sev4", 2), ("sev1", -1)])
def test_severity_is_off_by_its_grades(grade: str, off: int) -> None:
    assert part_of(drilled(said(15.0, "severity", severity=grade)), "severity")[1] == off


def test_an_all_clear_before_the_objectives_held_or_that_did_not_last_is_not_verified() -> None:
    assert part_of(drilled(said(19.0, "resolved")), "all_clear")[1] is False
    late = course_of(read(whole_response()))
    broke = replace(late, looked=[*late.looked, ObjectivesSeen(at_s=27.0, well=False)])
    told = next(each for each in parts(broke) if each.name == "all_clear")
    assert (told.value, "breached again" in told.summary) == (False, True)


def test_hints_cost_their_price() -> None:
    course = replace(course_of(read(whole_response())), harm=flat(failed=50))
    given = {"nothing": baseline("nothing", flat(failed=100))}
    given["perfect"] = baseline("perfect", flat(failed=0))
    found = score(course, given)
    assert (found.avoided, found.hint_cost, found.score) == (0.5, 0.1, 0.4)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, "unknown"),
        ({"nothing": 100}, "unknown"),
        ({"nothing": 100, "perfect": 100}, "not scored"),
        ({"nothing": 100, "perfect": 0}, "scored"),
    ],
)
def test_without_both_baselines_or_anything_to_avoid_there_is_no_score_but_all_parts(
    given: dict[BaselineKind, int], status: str
) -> None:
    course = replace(course_of(read(whole_response())), harm=flat(failed=50))
    baselines = {str(k): baseline(k, flat(failed=n)) for k, n in given.items()}
    found = score(course, baselines)
    assert (found.status, len(found.parts)) == (status, 12)
    assert (found.score is None) is (status != "scored")


def test_a_baseline_of_another_seed_is_none() -> None:
    course = replace(course_of(read(whole_response())), harm=flat(failed=50))
    given = {"nothing": baseline("nothing", flat(failed=100))}
    given["perfect"] = baseline("perfect", flat(), seed=8)
    assert "another seed" in score(course, given).summary


def test_where_no_fault_came_nothing_is_scored() -> None:
    run = drilled(said(14.0, "declare", text=RIGHT)).without_faults()
    run.event("drill.planned", fault_at_s=None)
    found = score(course_of(read(run)), {})
    assert (found.status, found.summary) == ("not scored", "no fault came")


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def edited(run_dir: Path, **changes: Any) -> None:
    path = run_dir / "baselines" / "nothing.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def test_a_baseline_that_somebody_has_edited_or_copied_is_unknown(tmp_path: Path) -> None:
    harm = json.loads(baseline("nothing", flat(failed=90)).to_bytes())["harm"]
    run = tmp_path / "run"
    run.mkdir()
    write_baseline(run, baseline("nothing", flat(failed=3)))
    with pytest.raises(UnknownError, match="altered, or copied"):
        read_baselines(run.rename(tmp_path / "other"))
    run = (tmp_path / "other").rename(run)
    edited(run)
    assert read_baselines(run)["nothing"].made == "measured"
    edited(run, harm=harm)
    with pytest.raises(UnknownError, match="altered, or copied"):
        read_baselines(run)


@pytest.mark.parametrize("signature", ["", "0badc0de.00"])
def test_a_baseline_that_we_did_not_sign_counts_and_is_not_called_measured(
    tmp_path: Path, signature: str
) -> None:
    for kind, failed in (("nothing", 100), ("perfect", 0)):
        write_baseline(tmp_path, baseline(kind, flat(failed=failed)))  # type: ignore[arg-type]
    edited(tmp_path, signature=signature)
    course = replace(course_of(read(whole_response())), harm=flat(failed=50))
    found = score(course, read_baselines(tmp_path))
    assert (found.status, found.harm["nothing"].made) == ("scored", "unsigned")
    assert "not signed by this user" in found.summary


def test_baselines_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = baseline("nothing", flat(failed=3))
    write_baseline(tmp_path, written)
    assert read_baselines(tmp_path)["nothing"].to_bytes() == written.to_bytes()
    content = json.loads((tmp_path / "baselines" / "nothing.json").read_bytes())
    assert (content["total"], content["made"], content["how"]) == (90.0, "measured", "by hand")


@pytest.mark.parametrize("broken", ["{", "[]", '{"kind": "perfect"}', "null"])
def test_a_damaged_baseline_is_unknown_and_never_taken_for_another(
    tmp_path: Path, broken: str
) -> None:
    write_baseline(tmp_path, baseline("nothing", flat()))
    (tmp_path / "baselines" / "nothing.json").write_text(broken)
    with pytest.raises(UnknownError, match=r"nothing\.json"):
        read_baselines(tmp_path)


def test_a_baseline_whose_columns_are_not_as_long_as_each_other_is_refused(tmp_path: Path) -> None:
    write_baseline(tmp_path, baseline("nothing", flat()))
    path = tmp_path / "baselines" / "nothing.json"
    content = json.loads(path.read_bytes())
    content["harm"]["curve"]["slow"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(UnknownError, match="shorter|whole"):
        read_baselines(tmp_path)


def named(found: Score) -> str:
    return found.to_bytes().decode()


def test_nobody_has_a_name_in_an_anonymous_score() -> None:
    found = score(course_of(read(whole_response())), {})
    assert '"ann"' in named(found)
    assert "ann" not in named(found.anonymous()).replace("channel", "")
    assert [each.who for each in found.anonymous().people] == ["person 1"]
    assert [each.role for each in found.anonymous().people] == ["operations"]


@given(st.lists(st.floats(0, 3600), max_size=6), st.floats(1, 600))
def test_updates_are_never_more_on_time_than_were_due(times: list[float], every_s: float) -> None:
    course = Course(
        run="r", scenario="s", mode="live", seed=1, ended="completed", end_s=3600.0,
        fault_at_s=0.0, updates_every_s=every_s,
        orders=[
            OrderSeen(seq=n, at_s=at_s, order="update") for n, at_s in enumerate(sorted(times))
        ],
    )  # fmt: skip
    found = next(each for each in parts(course) if each.name == "updates")
    assert isinstance(found.value, int)
    assert found.value <= 0
