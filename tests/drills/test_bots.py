"""Bots of six characters: what they order, and that the score puts them in order."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from gameday.core.secrets.redaction import nothing
from gameday.drills.bots.characters import CHARACTERS, Character, CharacterName, Desk
from gameday.drills.bots.program import BotProgram, options, respond
from gameday.drills.simulation import baselines, run_scene, scored, session_scene, simulate
from gameday.judge.course import Course
from gameday.judge.harm import NONE, HarmCurve, HarmRecord
from gameday.judge.response_parts import parts
from gameday.run.responder.orders import IncidentOrder
from gameday.run.responder.protocol import order_in
from gameday.spec.experiment import AnyScenario
from tests.matrices.bots import broken, loaded, scores

STEP = {"step": 1, "text": "", "do": "mend", "before": None, "after": None, "within_s": 9.0}
BOOK = {"name": "p", "alerts": ["Slow"], "severity": "page", "steps": [{**STEP, "optional": False}]}
ACTIONS = ["mend", "other", "pause", "resume"]
HELLO = {"event": "hello", "actions": ACTIONS, "playbook": BOOK}
FIRES = {"event": "alert", "t": 3.0, "alert": "Slow", "state": "firing"}
OVER = {"event": "order.answered", "t": 4.0, "order": "act", "status": "done"}


def sample(t: float, *, well: bool = True) -> dict[str, Any]:
    return {"event": "sample", "t": t, "readings": {"objective:fast": well}}


def hear(who: str, *lines: dict[str, Any]) -> list[IncidentOrder]:
    program = BotProgram(options([who, "--restart", "pause", "--restart", "resume"]))
    told = (json.dumps(line) for line in (HELLO, *lines))
    return list(respond(told, program))


def words(orders: Sequence[IncidentOrder]) -> list[str]:
    return [each.order for each in orders]


def test_the_perfect_one_acts_on_the_alert_and_clears_once_all_has_held() -> None:
    samples = [sample(5.0, well=False), *(sample(t) for t in (6.0, 7.0, 8.0, 9.0))]
    before = hear("perfect", FIRES, OVER, *samples)
    assert words(before) == ["ack", "severity", "update", "declare", "act"]
    after = hear("perfect", FIRES, OVER, *samples, sample(10.0))
    assert words(after)[5:] == ["mitigated", "update", "resolved"]


def test_an_alert_of_another_playbook_or_one_that_is_pending_is_no_page() -> None:
    assert not hear("perfect", {**FIRES, "alert": "Other"}, {**FIRES, "state": "pending"})


def test_of_several_playbooks_it_works_the_one_that_answers_the_alert() -> None:
    other = {**BOOK, "name": "other", "alerts": ["Other"]}
    hello = {**HELLO, "playbook": None, "playbooks": [other, BOOK]}
    program = BotProgram(options(["perfect"]))
    over = {"event": "step.done", "t": 4.0, "step": 1, "playbook": "p", "status": "done"}
    orders = list(respond((json.dumps(line) for line in (hello, FIRES, over)), program))
    assert [(each.step, each.playbook) for each in orders if each.order == "act"] == [(1, "p")]


def seconds(first: int, last: int) -> Iterator[dict[str, Any]]:
    return (sample(float(t), well=False) for t in range(first, last))


@pytest.mark.parametrize(
    ("who", "acts"),
    [
        ("slow", {"1"}),
        ("acknowledges-only", set()),
        ("wrong-runbook", {"other"}),
        ("panic-restart", {"pause", "resume"}),
    ],
)
def test_each_character_does_what_it_is_called_after(who: str, acts: set[str]) -> None:
    orders = hear(who, FIRES, *seconds(4, 900))
    assert orders[0].order == "ack"
    assert {e.action or str(e.step) for e in orders if e.order == "act"} == acts


@pytest.mark.parametrize("who", CHARACTERS)
def test_what_a_bot_writes_is_an_order_of_the_protocol(who: CharacterName) -> None:
    from gameday.core.json_objects import plain

    for order in hear(who, FIRES, *seconds(4, 900)):
        assert order.lacks() is None
        assert order_in(json.dumps(plain(order)).encode(), nothing)[0] == order


def test_the_same_seed_is_the_same_bot_and_another_is_not() -> None:
    def times(seed: int) -> list[float]:
        bot = Character("slow", Desk(steps=[1]), seed)
        found: list[float] = []
        bot.paged(0.0)
        while bot.due_s is not None and len(found) < 5:
            found.append(bot.due_s)
            bot.due(bot.due_s)
        return found

    assert times(1) == times(1)
    assert times(1) != times(2)


@pytest.mark.parametrize("name", ["redis-slow", "redis-down", "postgres-lock", "retries"])
def test_the_score_puts_the_six_in_their_order(name: str) -> None:
    held = [not list(broken(scores(name, seed))) for seed in range(20)]
    assert sum(held) >= 19  # of all seeds 99 %; the matrix has a thousand


def test_where_no_step_helps_nothing_is_scored() -> None:
    found = scores("db-slow", 1)
    assert {each.status for each in found.values()} == {"not scored"}


def test_a_simulation_is_a_function_of_its_seed() -> None:
    scene = session_scene(*loaded("redis-slow"), 5)
    assert simulate(scene, "slow") == simulate(session_scene(*loaded("redis-slow"), 5), "slow")
    assert simulate(scene, "slow").harm != simulate(scene, "slow", purpose="again").harm
    assert (
        scored(scene, "slow", baselines(scene)).to_bytes()
        == scored(session_scene(*loaded("redis-slow"), 5), "slow", baselines(scene)).to_bytes()
    )


USERS = {"executor": "constant-vus", "vus": 5, "duration": "100s", "gracefulStop": "0s"}
RATE = {"executor": "constant-arrival-rate", "rate": "20/s", "duration": "100s"}


@pytest.mark.parametrize(
    ("traffic", "due"), [([RATE], [50] * 10 + [20] * 60), ([RATE, USERS], [50] * 70)]
)
def test_the_scene_of_a_run_has_the_starts_that_there_were_and_goes_on_to_its_planned_end(
    traffic: list[dict[str, Any]], due: list[int]
) -> None:
    experiment, _ = loaded("redis-slow")
    scenarios = TypeAdapter(list[AnyScenario]).validate_python(traffic)
    named = {str(n): each for n, each in enumerate(scenarios)}
    longer = experiment.loaded.experiment.model_copy(update={"traffic": named})
    curve = HarmCurve(due=[50] * 10, failed=[0] * 10, slow=[0] * 10, wrong=[0] * 10)
    course = Course(
        run="r", scenario="s", mode="live", seed=1, ended="completed", end_s=40.0,
        fault_at_s=30.0, harm=HarmRecord(curve=curve, before=NONE, slow_ms=200.0),
    )  # fmt: skip
    assert run_scene(longer, None, course).due == pytest.approx(due)


def test_the_parts_tell_the_characters_apart_too() -> None:
    scene = session_scene(*loaded("redis-slow"), 3)

    def value(who: CharacterName, name: str) -> object:
        return next(each.value for each in parts(simulate(scene, who)) if each.name == name)

    assert value("perfect", "all_clear") is True
    assert value("acknowledges-only", "mitigate") is None
    assert value("wrong-runbook", "steps_skipped") == 1
    assert isinstance(panic := value("panic-restart", "wrong_actions"), int)
    assert panic > 0
