"""What a session is made of: the truth, its decoys, and what is drawn from a seed."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from gameday.core.messages import templates
from gameday.drills.scenario import SessionPlan, Setting, fault_instant_s, scenario
from gameday.evidence import journal
from gameday.evidence.drill_events import DrillStarted
from gameday.judge.hypothesis import is_right
from gameday.spec.drill import Drill
from gameday.spec.experiment import Experiment
from gameday.spec.faults import Fault
from gameday.spec.hypotheses import chosen
from gameday.spec.inputs import find_system, load_drill, load_system
from tests.support.rundirs import SetClock

LIVE = Setting(mode="live", window_s=600.0)


def of(name: str, seed: int = 5, setting: Setting = LIVE) -> SessionPlan:
    """The plan of a shipped experiment as if its file said nothing of drills."""
    drilled = replace(load_drill(name, seed), drill=Drill())
    return scenario(drilled, load_system(find_system(None)), setting)


def test_a_file_without_a_drill_is_one_all_the_same() -> None:
    made = of("redis-block")
    planned = made.planned
    assert list(planned.right) == ["Redis is busy with one slow command after the other"]
    assert 3 <= len(planned.decoys) <= 5
    assert {*planned.right, *planned.decoys} == set(made.started.hypotheses)
    assert planned.severity == "sev3"
    assert [hint.number for hint in made.hints] == [1, 2, 3]
    assert "IssuanceSlow" in made.hints[0].text
    assert "Redis" in made.hints[1].text
    assert "redis-slow" in made.hints[2].text
    assert len(planned.debrief) == 5


def test_nothing_of_the_truth_is_told_at_first() -> None:
    started = of("redis-block").started
    told = str(replace(started, hypotheses=(), playbooks=())).casefold()
    for word in ("redis", "block", "one slow command"):
        assert word not in told


def test_the_same_seed_makes_the_same_and_another_one_another() -> None:
    assert of("redis-block") == of("redis-block")
    instants = {of("redis-block", seed).planned.fault_at_s for seed in range(20)}
    assert len(instants) == 20
    orders = {tuple(of("redis-slow", seed).started.hypotheses) for seed in range(20)}
    assert len(orders) > 3


def test_the_fault_comes_in_the_window_and_never_before_its_time() -> None:
    experiment = load_drill("redis-block", 0).loaded.experiment
    for seed in range(300):
        at_s = fault_instant_s(experiment.model_copy(update={"seed": seed}), LIVE)
        assert at_s is not None
        assert 15 <= at_s < 615


def test_nothing_comes_as_often_as_it_may() -> None:
    experiment = load_drill("redis-block", 0).loaded.experiment
    setting = replace(LIVE, maybe_nothing=0.2)
    drawn = [
        fault_instant_s(experiment.model_copy(update={"seed": seed}), setting)
        for seed in range(1000)
    ]
    assert 150 < drawn.count(None) < 250


def test_whether_nothing_came_cannot_be_seen_from_what_is_offered() -> None:
    setting = replace(LIVE, maybe_nothing=0.5)
    made = [of("redis-block", seed, setting) for seed in range(10)]
    none = [each for each in made if each.planned.fault_at_s is None]
    assert 0 < len(none) < len(made)
    assert {len(each.started.hypotheses) for each in made} == {6}
    for each in made:
        assert "Nothing is wrong with the system" in each.started.hypotheses
    assert {tuple(each.planned.right) for each in none} == {("Nothing is wrong with the system",)}
    assert {each.planned.severity for each in none} == {None}
    assert {(each.planned.playbook, *each.planned.faults) for each in none} == {(None,)}
    assert {each.started.hints for each in made} == {3}


def test_a_hypothesis_is_right_by_its_text_or_its_number() -> None:
    made = of("redis-block")
    right, offered = made.planned.right[0], made.started.hypotheses
    number = offered.index(right) + 1
    planned = made.planned
    for said in (f"  {right.upper()}. ", str(number), f"#{number}"):
        assert is_right(said, planned.right, planned.decoys, offered)
    for wrong in (made.planned.decoys[0], "Redis", "", str(number % len(offered) + 1), "99", "0"):
        assert not is_right(wrong, planned.right, planned.decoys, offered)
    assert chosen("1", offered) == offered[0]
    assert chosen("something else", offered) is None


def test_every_fault_can_be_said_as_somebody_would() -> None:
    annotation = Experiment.model_fields["method"].annotation
    kinds = {get_args(each.model_fields["fault"].annotation)[0] for each in _faults(annotation)}
    assert len(kinds) > 20
    known = templates()
    assert {f"drill.believed.{kind}" for kind in kinds} <= set(known)


def _faults(annotation: object) -> set[type[Fault]]:
    if isinstance(annotation, type) and issubclass(annotation, Fault):
        return {annotation}
    found = set[type[Fault]]()
    for each in get_args(annotation):
        found |= _faults(each)
    return found


def test_what_is_true_is_journaled_for_the_facilitator_alone(tmp_path: Path) -> None:
    book = journal.Journal(tmp_path / "journal.jsonl", SetClock(), "c")
    made = of("redis-block")
    made.write(book)
    book.close()
    records = journal.read(book.path).records
    assert [record.event.kind for record in records[:2]] == ["drill.started", "drill.planned"]
    for record in records:
        everybody = isinstance(record.event, DrillStarted)
        assert record.audience == ("all" if everybody else "facilitator")


@pytest.mark.parametrize(
    ("name", "severity"),
    [("service-kill", "sev1"), ("redis-down", "sev2"), ("db-slow", "sev3"), ("normal", None)],
)
def test_the_severity_follows_from_what_is_broken(name: str, severity: str | None) -> None:
    assert of(name, 1).planned.severity == severity


def test_what_a_file_says_is_what_is_played() -> None:
    drilled = load_drill("redis-block", 5)
    made = scenario(drilled, load_system(find_system(None)), LIVE)
    assert list(made.planned.right) == list(drilled.drill.hypotheses[:1])
    assert list(made.planned.decoys) == list(drilled.drill.hypotheses[1:])
    assert made.started.briefing == drilled.drill.briefing
    assert [each.text for each in made.injects] == [each.text for each in drilled.drill.injects]
    assert [each.after_s for each in made.hints] == [90, 240, 420]
    assert (made.planned.severity, made.planned.lasts_s) == ("sev3", 900)
