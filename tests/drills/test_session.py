"""Hints, injects and pauses on a clock that a test turns."""

from dataclasses import replace
from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.drills.live import has_waited
from gameday.drills.scenario import SessionPlan
from gameday.drills.session import Asked, Session
from gameday.evidence import events, journal
from gameday.run.responder.orders import IncidentOrder
from tests.support.incidents import Drill, step
from tests.support.rundirs import SetClock

STARTED = events.DrillStarted(
    mode="tabletop", briefing="", role="operations", window_s=0, lasts_s=600, updates_every_s=300
)
PLANNED = events.DrillPlanned(
    experiment="x", title="", path="", seed=1, fault_at_s=0, lasts_s=600, right=["a"], names={}
)
PLAN = SessionPlan(
    started=STARTED,
    planned=PLANNED,
    hints=[
        events.DrillHintPlanned(number=1, after_s=30, cost=0.05, text="first"),
        events.DrillHintPlanned(number=2, after_s=60, cost=0.1, text="second"),
    ],
    injects=[
        events.DrillInjectPlanned(number=1, to="all", text="at 20", at_s=20),
        events.DrillInjectPlanned(number=2, to="scribe", text="on alert", on="alert"),
        events.DrillInjectPlanned(number=3, to="all", text="on ack", on="ack"),
    ],
)


class Scene:
    """A session with its journal, at a time that is set in seconds."""

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self.clock = SetClock(100 * NS)
        self.journal = journal.Journal(folder / "journal.jsonl", self.clock, "c")
        self.session = Session(self.journal, self.clock, PLAN, speed=speed)
        self.journal.listeners.append(self.session.heard)

    def at(self, seconds: float) -> None:
        self.clock.at_ns = round((100 + seconds) * NS)
        self.session.tick()

    def fault(self) -> None:
        self.journal.write(events.DrillTruth(what="injected"), "facilitator")

    def said(self) -> list[str]:
        records = journal.read(self.journal.path).records
        return [each.event.text for each in journal.every(records, events.DrillInject)]

    def hint(self) -> str:
        return self.session.hint("kim").id


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_an_inject_comes_at_its_instant_after_the_fault_and_once(scene: Scene) -> None:
    scene.at(1000)
    assert scene.said() == []
    scene.clock.at_ns = 100 * NS
    scene.fault()
    scene.at(19.9)
    assert scene.said() == []
    scene.at(20)
    scene.at(21)
    assert scene.said() == ["at 20"]


def test_an_inject_comes_after_the_first_event_of_its_kind(scene: Scene) -> None:
    scene.session.alert()
    scene.at(1)
    scene.journal.write(events.AlertAcknowledged(by="bot", through="bot"))
    scene.at(2)
    assert scene.said() == ["on alert"]
    scene.journal.write(events.AlertAcknowledged(by="kim", through="person"))
    scene.at(3)
    assert scene.said() == ["on alert", "on ack"]


def test_a_hint_can_be_had_once_its_time_has_come(scene: Scene) -> None:
    assert scene.hint() == "drill.hint_later"
    scene.fault()
    scene.at(29)
    assert scene.hint() == "drill.hint_later"
    scene.at(31)
    assert scene.hint() == "drill.hint_given"
    assert scene.hint() == "drill.hint_later"
    scene.at(61)
    assert scene.session.hint("kim").text() == "hint 2, which costs 0.1 of the score: second"
    assert scene.hint() == "drill.no_more_hints"
    records = journal.read(scene.journal.path).records
    given = [each.event for each in journal.every(records, events.DrillHint)]
    assert [(each.number, each.cost, each.by) for each in given] == [
        (1, 0.05, "kim"),
        (2, 0.1, "kim"),
    ]


def test_while_it_is_paused_injects_and_hints_wait(scene: Scene) -> None:
    scene.fault()
    scene.at(10)
    paused = scene.session.command(Asked(cmd="pause", by="f"))
    assert paused is not None
    assert paused.ok
    assert paused.why == "injects and hints wait, and all that would happen"
    scene.session.alert()
    scene.session.say("it is over")
    scene.at(100)
    assert scene.said() == []
    assert scene.hint() == "drill.hints_wait"
    scene.session.command(Asked(cmd="resume", by="f"))
    scene.at(109)
    assert scene.said() == ["it is over", "on alert"]
    scene.at(110)
    assert scene.said() == ["it is over", "on alert", "at 20"]
    assert scene.hint() == "drill.hint_later"
    scene.at(121)
    assert scene.hint() == "drill.hint_given"


def test_what_a_pause_stops_is_told_in_each_mode(scene: Scene) -> None:
    scene.session.plan = replace(PLAN, started=replace(STARTED, mode="live"))
    paused = scene.session.command(Asked(cmd="pause", by="f"))
    assert paused is not None
    assert paused.why == "injects and hints wait; traffic, fault and clocks go on"


def test_a_fault_in_a_pause_counts_from_its_end(scene: Scene) -> None:
    scene.session.command(Asked(cmd="pause", by="f"))
    scene.at(50)
    scene.fault()
    scene.at(60)
    scene.session.command(Asked(cmd="resume", by="f"))
    scene.at(79)
    assert scene.said() == []
    scene.at(80)
    assert scene.said() == ["at 20"]


def test_the_plan_passes_as_fast_as_the_session(tmp_path: Path) -> None:
    scene = Scene(tmp_path, speed=10)
    scene.fault()
    scene.at(1.9)
    assert scene.said() == []
    scene.at(2)
    assert scene.said() == ["at 20"]


def test_a_facilitator_says_what_he_likes_and_what_is_planned_at_once(scene: Scene) -> None:
    ask = scene.session.command
    told = [
        ask(Asked(cmd="inject", number=3)),
        ask(Asked(cmd="inject", number=3)),
        ask(Asked(cmd="inject", number=9)),
        ask(Asked(cmd="inject", text="the manager calls", to="commander")),
        ask(Asked(cmd="inject", text="the manager calls", to="manager")),
        ask(Asked(cmd="inject", text="x" * 5000)),
        ask(Asked(cmd="inject")),
        ask(Asked(cmd="hint", number=2)),
        ask(Asked(cmd="hint", number=2)),
        ask(Asked(cmd="resume")),
    ]
    oks = [each is not None and each.ok for each in told]
    assert oks == [True, False, False, True, False, False, False, True, False, False]
    assert scene.said() == ["on ack", "the manager calls"]
    assert ask(Asked(cmd="abort")) is None
    assert ask(Asked(cmd="debrief")) is not None
    assert scene.session.debriefed.is_set()


def test_where_nothing_comes_no_hint_is_given_and_none_is_said_to_be_missing(scene: Scene) -> None:
    scene.session.plan = replace(PLAN, planned=replace(PLANNED, fault_at_s=None))
    refused = scene.session.command(Asked(cmd="hint", by="f"))
    assert refused is not None
    assert not refused.ok
    assert refused.why.startswith("nothing comes")
    assert scene.hint() == "drill.hint_later", "as long as it may still come"
    assert journal.first(journal.read(scene.journal.path).records, events.DrillHint) is None


async def test_an_order_for_a_hint_is_answered_with_it(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:9", step(1, do="switch"))
    plain = drill.incident.give(IncidentOrder("hint"), "kim", "person")
    assert plain.why == "there are no hints in this run"
    drill.incident.hints = lambda by: Message(
        "drill.hint_given", number=1, cost=0.1, text=f"look, {by}"
    )
    heard = drill.incident.give(IncidentOrder("hint"), "kim", "person")
    assert heard.ok
    assert heard.why == "hint 1, which costs 0.1 of the score: look, kim"
    records = journal.read(drill.journal.path).records
    assert [each.event.why for each in journal.every(records, events.OrderAnswered)][
        -1
    ] == heard.why


def test_a_session_without_hints_has_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.session.plan = replace(PLAN, hints=[])
    assert scene.hint() == "order.no_hint"


@pytest.mark.parametrize(
    ("said_s", "begun_s", "waited"),
    [(20, 15, True), (None, 15, False), (20, None, False), (21, 15, False), (14, 15, False)],
)
def test_mitigated_counts_once_the_fault_has_begun_and_it_was_said_five_seconds_ago(
    said_s: int | None, begun_s: int | None, waited: bool
) -> None:
    said_ns, begun_ns = (None if s is None else s * NS for s in (said_s, begun_s))
    assert has_waited(25 * NS, said_ns, begun_ns) is waited
