"""Steps and orders against a real HTTP server, and readings that a test hands over."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.core.secrets.redaction import Hidden
from gameday.evidence import journal
from gameday.evidence.events import ActionDone, ActionStarted, OrderAnswered, StepDone, StepStarted
from gameday.injection.heal import left_behind, taken_back
from gameday.run.responder import hands, protocol
from gameday.run.responder.incident import MOST_ORDERS, MOST_WAITING
from gameday.run.responder.orders import IncidentOrder
from gameday.spec.playbook import FrontMatter, Playbook
from tests.support.incidents import Drill, admin, feed, step


async def respond(drill: Drill, **readings: Any) -> None:
    feeding = asyncio.create_task(feed(drill, **readings))
    async with asyncio.timeout(10):
        await drill.respond()
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)


async def test_no_alert_no_responder(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch"))
        responding = asyncio.create_task(drill.respond())
        for _ in range(5):
            drill.read(alert="pending")
            await asyncio.sleep(0.01)
        responding.cancel()
        await asyncio.gather(responding, return_exceptions=True)
    assert drill.events() == []
    assert asked == []


async def test_a_step_is_done_when_its_state_was_seen_after_it_acted(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", after="x == 1", within="5s"))

        async def turn() -> None:
            while not asked:
                drill.read(step_1_after=False)
                await asyncio.sleep(0.02)
            drill.read(step_1_after=True)

        async with asyncio.timeout(10):
            await asyncio.gather(turn(), drill.respond())
    assert drill.statuses() == ["done"]
    assert asked == ["/switch"]


async def test_a_step_whose_state_never_comes_fails_and_stops_the_rest(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        first = step(1, do="switch", after="x == 1", within="200ms", undo="back")
        drill = Drill(tmp_path, url, first, step(2, do="back"))
        await respond(drill, step_1_after=False)
        assert drill.statuses() == ["failed"]
        assert asked == ["/switch"]


async def test_an_optional_step_that_fails_is_passed_over(tmp_path: Path) -> None:
    async with admin() as (url, _):
        drill = Drill(tmp_path, url, step(1, do="broken", optional=True), step(2, do="switch"))
        await respond(drill)
    assert drill.statuses() == ["failed", "done"]


async def test_placebo_not_applicable_and_manual_steps_do_not_act(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(
            tmp_path,
            url,
            step(1, do="switch", after="x == 1"),
            step(2, do="switch", before="y == 1"),
            step(3),
        )
        await respond(drill, step_1_after=True, step_2_before=False)
    assert drill.statuses() == ["placebo", "not_applicable", "needs_person"]
    assert asked == []


async def test_steps_are_taken_back_in_reverse_and_only_once(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(
            tmp_path, url, step(1, do="switch", undo="back"), step(2, do="back", undo="switch")
        )
        await respond(drill)
        await drill.incident.take_back()
        await drill.incident.take_back()
    assert asked == ["/switch", "/back", "/switch", "/back"]


async def test_no_step_follows_once_the_steps_are_taken_back(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        first = step(1, do="switch", undo="back", after="x == 1")
        drill = Drill(tmp_path, url, first, step(2, do="switch"))
        drill.read(step_1_after=False)
        responding = asyncio.create_task(drill.respond())
        while not asked:
            await asyncio.sleep(0.01)
        taking_back = asyncio.create_task(drill.incident.take_back())
        await asyncio.sleep(0)  # it waits for the end of the step
        drill.read(step_1_after=True)
        async with asyncio.timeout(10):
            while not taking_back.done():
                drill.read(step_1_after=len(asked) < 2)
                await asyncio.sleep(0.02)
            await responding
    assert asked == ["/switch", "/back"]
    assert drill.statuses() == ["done", "done"]


async def test_an_alert_that_is_late_is_answered_all_the_same(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back"))
        await drill.incident.take_back()
        await respond(drill)
        await drill.incident.take_back()
    assert asked == ["/switch", "/back"]


@pytest.mark.parametrize("lag_s", [0.0, 0.5])
async def test_a_probe_is_of_after_the_step_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag_s: float
) -> None:
    monkeypatch.setattr(hands, "NO_DATA_S", 0.3)
    async with admin() as (url, asked):
        second = step(2, do="back", before="x == 1")
        drill = Drill(tmp_path, url, step(1, do="switch"), second)
        begun_ns = drill.clock.now_ns()
        drill.read(sampled_ns=begun_ns - round(lag_s * NS), step_2_before=False)
        responding = asyncio.create_task(drill.respond())
        while not asked:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while not responding.done():
                sampled_ns = drill.clock.now_ns() - round(lag_s * NS)
                drill.read(sampled_ns=sampled_ns, step_2_before=sampled_ns > begun_ns)
                await asyncio.sleep(0.02)
    assert drill.statuses() == ["done", "done"]
    assert asked == ["/switch", "/back"]


async def take_back(drill: Drill, asked: Sequence[str], until: Sequence[str]) -> None:
    """Undo what was done; not for as long as nobody sees it, but until all of it was asked for."""
    taking = asyncio.create_task(drill.incident.take_back())
    async with asyncio.timeout(10):
        while list(asked) != list(until):
            await asyncio.sleep(0.01)
    taking.cancel()
    with suppress(asyncio.CancelledError):
        await taking


async def test_an_undo_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back", after="x == 1"))
        drill.read(step_1_after=False)
        responding = asyncio.create_task(drill.respond())
        while not asked:
            await asyncio.sleep(0.01)
        drill.read(step_1_after=True)
        await responding
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await drill.incident.take_back()
        await drill.incident.take_back(at_most_s=2)
    assert asked == ["/switch", "/back", "/back"]
    assert drill.statuses() == ["done", "failed"]


async def test_an_action_whose_secret_is_missing_fails_its_step(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="locked"))
        await respond(drill)
    assert drill.statuses() == ["failed"]
    assert asked == []


async def test_a_person_who_takes_it_keeps_the_bot_out(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch"))
        drill.give(IncidentOrder("ack"))
        await respond(drill)
    assert [event for event, _ in drill.events()] == [
        "order.given",
        "alert.acknowledged",
        "responder.started",
    ]
    assert asked == []


async def test_a_person_works_a_step_and_its_state_before_and_after_is_journaled(
    tmp_path: Path,
) -> None:
    """The state may be seen before the request is answered."""
    acts: dict[str, Callable[[], None]] = {}
    async with admin(acts) as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", after="x == 1", undo="back"), bot=False)
        drill.read(step_1_after=False)
        acts["/switch"] = lambda: drill.read(step_1_after=True)
        async with drill.by_people():
            heard = drill.give(IncidentOrder("act", step=1))
            status, why = await drill.answer(heard)
        assert (heard.ok, heard.pending, status) == (True, True, "done")
        assert "after acting" in why
        await take_back(drill, asked, ["/switch", "/back"])
    assert asked == ["/switch", "/back"]
    kinds = [event for event, _ in drill.events()]
    assert kinds[:5] == [
        "order.given",
        "alert.acknowledged",
        "responder.started",
        "step.started",
        "step.done",
    ]
    steps = [r.data for r in journal.read(drill.journal.path).records if "step" in r.event.kind]
    started, done = steps[:2]
    assert (started["by"], started["readings"]) == ("ann", {"step:1:after": False})
    assert started["undo"]["action"] == "back"
    assert done["readings"] == {"step:1:after": True}


async def test_who_acts_before_the_alert_begins_anew_on_it(tmp_path: Path) -> None:
    """And not by itself: nobody knows that whoever has acted before has seen the alert."""
    async with admin() as (url, _):
        drill = Drill(tmp_path, url, step(1, do="switch"), bot=False)
        drill.read(alert="pending")
        async with drill.by_people():
            for _ in range(2):
                await drill.answer(drill.give(IncidentOrder("act", step=1)))
            drill.read()
            async with asyncio.timeout(10):
                await drill.incident.alerted.wait()
            await asyncio.sleep(0)
            assert drill.starts() == [""]
            for _ in range(2):
                await drill.answer(drill.give(IncidentOrder("act", step=1)))
    assert drill.starts() == ["", "Slow"]
    assert [kind for kind, _ in drill.events()].count("alert.acknowledged") == 1


async def test_an_action_outside_of_the_playbook_is_undone_as_its_step_is(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back"), bot=False)
        drill.read(objective_fast=False)
        async with drill.by_people():
            first = drill.give(IncidentOrder("act", action="switch"))
            while not asked:
                await asyncio.sleep(0.01)
            feeding = asyncio.create_task(feed(drill, objective_fast=True))
            assert (await drill.answer(first))[0] == "done"
            await drill.answer(drill.give(IncidentOrder("act", action="switch")))
            feeding.cancel()
        await drill.incident.take_back()
        await drill.incident.take_back()
    assert asked == ["/switch", "/switch", "/back"]
    events = [r.event for r in journal.read(drill.journal.path).records]
    started = next(e for e in events if isinstance(e, ActionStarted))
    done = next(e for e in events if isinstance(e, ActionDone))
    assert started.undo is not None
    assert (started.readings, done.readings) == (
        {"objective:fast": False},
        {"objective:fast": True},
    )
    assert [e.undoing for e in events if isinstance(e, ActionDone)] == [False, False, True]


async def test_what_a_person_takes_back_is_not_taken_back_again(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back"), bot=False)
        async with drill.by_people():
            nothing = drill.give(IncidentOrder("act", step=1, undo=True))
            assert (await drill.answer(nothing))[0] == "not_applicable"
            await drill.answer(drill.give(IncidentOrder("act", step=1)))
            assert (await drill.answer(drill.give(IncidentOrder("act", step=1, undo=True))))[
                0
            ] == "done"
        await drill.incident.take_back()
    assert asked == ["/switch", "/back"]


async def test_a_step_that_a_person_did_by_hand_is_done_when_its_state_is_seen(
    tmp_path: Path,
) -> None:
    async with admin() as (url, _):
        drill = Drill(tmp_path, url, step(1, after="x == 1", within="200ms"), step(2), bot=False)
        async with drill.by_people():
            drill.read(step_1_after=False)
            not_yet = await drill.answer(drill.give(IncidentOrder("act", step=1)))
            feeding = asyncio.create_task(feed(drill, step_1_after=True))
            seen = await drill.answer(drill.give(IncidentOrder("act", step=1)))
            said = await drill.answer(drill.give(IncidentOrder("act", step=2)))
            feeding.cancel()
    assert (not_yet[0], seen[0], said[0]) == ("failed", "done", "done")
    records = journal.read(drill.journal.path).records
    verified = [r.event.verified for r in records if isinstance(r.event, StepDone)]
    assert verified == [False, True, None]


async def test_who_is_a_person_is_told_by_the_way_of_the_order_and_not_by_the_name(
    tmp_path: Path,
) -> None:
    async with admin() as (url, _):
        drill = Drill(tmp_path, url, step(1), step(2, do="switch", undo="back"), bot=False)
        async with drill.by_people():
            by_hand, worked = IncidentOrder("act", step=1), IncidentOrder("act", step=2)
            assert (await drill.answer(drill.give(by_hand, "bot")))[0] == "done"
            for through in ("command", "replay"):
                heard = drill.incident.give(by_hand, "ann", through)
                assert (await drill.answer(heard))[0] == "needs_person"
            await drill.answer(drill.give(worked, "bot"))
        await drill.incident.take_back()
    records = journal.read(drill.journal.path).records
    begun = [r.event for r in records if isinstance(r.event, StepStarted)]
    assert [(e.by, e.through) for e in begun] == [
        ("bot", "person"),
        ("ann", "command"),
        ("ann", "replay"),
        ("bot", "person"),
        ("gameday", None),
    ]


TOLD = [
    IncidentOrder("declare", text="Redis is slow"),
    IncidentOrder("severity", severity="sev2"),
    IncidentOrder("note", text="looks odd"),
    IncidentOrder("update", text="we are on it"),
    IncidentOrder("mitigated"),
    IncidentOrder("resolved", text="all is well"),
    IncidentOrder("hand-over", to="bob", text="step 1 is done"),
]


async def test_each_order_is_journaled_with_who_gave_it(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    for order in TOLD:
        heard = drill.give(order)
        assert (heard.ok, heard.pending) == (True, False)
    assert [(e.order, e.by, e.through) for e in drill.orders()] == [
        (order.order, "ann", "person") for order in TOLD
    ]
    assert drill.orders()[1].severity == "sev2"
    assert (drill.orders()[-1].to, drill.orders()[-1].text) == ("bob", "step 1 is done")
    hint = drill.give(IncidentOrder("hint"))
    assert (hint.ok, hint.why) == (True, "there are no hints in this run")
    assert await drill.answer(hint) == ("answered", "there are no hints in this run")
    assert drill.give(IncidentOrder("abort", text="enough")).ok
    assert drill.aborted == ["gameday incident abort by ann: enough"]


REFUSED = {
    "text": (IncidentOrder("note", text=" "), "no text"),
    "long": (IncidentOrder("note", text="x" * 1001), "more than 1000 characters"),
    "severity": (IncidentOrder("severity", severity="dreadful"), "not one of sev1"),
    "to": (IncidentOrder("hand-over"), "to whom"),
    "what": (IncidentOrder("act"), "a step or an action"),
    "both": (IncidentOrder("act", step=1, action="switch"), "a step or an action"),
    "step": (IncidentOrder("act", step=7), "no step 7"),
    "number": (IncidentOrder("act", step=10**400), "such a number"),
    "action": (IncidentOrder("act", action="x\ud800y"), "has no action"),
}


@pytest.mark.parametrize(("order", "why"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_order_that_cannot_be_carried_out_is_refused_and_journaled(
    tmp_path: Path, order: IncidentOrder, why: str
) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    heard = drill.give(order)
    assert not heard.ok
    assert why in heard.why
    assert (await drill.answer(heard))[0] == "refused"
    read = journal.read(drill.journal.path)
    assert read.damage == ""
    (given,) = drill.orders()
    assert (given.action, given.step, given.severity) == (None, None, None)


async def test_what_is_refused_for_now_is_journaled_as_what_it_is(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", step(1, do="switch"), bot=False)
    assert "not begun" in drill.give(IncidentOrder("act", action="back")).why
    for order in (
        IncidentOrder("act", step=1),
        IncidentOrder("act", action="switch", undo=True),
        IncidentOrder("act", step=1, text="x" * 1001),
        IncidentOrder("severity", severity="sev2", text="x" * 1001),
    ):
        assert not drill.give(order).ok
    assert [(given.step, given.action, given.severity) for given in drill.orders()] == [
        (None, "back", None),
        (1, None, None),
        (None, "switch", None),
        (1, None, None),
        (None, None, "sev2"),
    ]


async def test_a_secret_is_masked_before_its_text_is_cut(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    drill.journal.hide = Hidden(["hunter2-secret"])
    drill.give(IncidentOrder("note", text="x" * 993 + "hunter2-secret"))
    drill.give(IncidentOrder("abort", text="x" * 993 + "hunter2-secret"))
    drill.give(IncidentOrder("hand-over", to="x" * 73 + "hunter2-secret"))
    heard = drill.give(IncidentOrder("act", action="x" * 73 + "hunter2-secret"))
    assert "hunter" not in drill.journal.path.read_text() + heard.why + str(drill.aborted)


async def test_nothing_keeps_a_run_from_being_ended(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    assert drill.give(IncidentOrder("abort", text="x" * 2000, to="y" * 2000)).ok
    assert drill.aborted == ["gameday incident abort by ann: " + "x" * 1000]


async def test_acts_wait_in_a_short_queue_that_is_emptied_when_things_are_taken_back(
    tmp_path: Path,
) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", after="x == 1", undo="back"), bot=False)
        drill.read(step_1_after=False)
        async with drill.by_people():
            first = drill.give(IncidentOrder("act", step=1))
            while not asked:
                await asyncio.sleep(0.01)
            waiting = [drill.give(IncidentOrder("act", action="back")) for _ in range(MOST_WAITING)]
            assert all(heard.ok for heard in waiting)
            busy = drill.give(IncidentOrder("act", action="back"))
            assert "wait before it" in busy.why
            taking_back = asyncio.create_task(drill.incident.take_back())
            await asyncio.sleep(0)
            drill.read(step_1_after=True)
            assert (await drill.answer(first))[0] == "done"
            drill.read(step_1_after=True)
            while not taking_back.done():
                drill.read(step_1_after=False)
                await asyncio.sleep(0.02)
            assert {(await drill.answer(heard))[0] for heard in waiting} == {"refused"}
            drill.incident.close()
            assert "is ending" in drill.give(IncidentOrder("act", action="back")).why
    assert asked == ["/switch", "/back"]


async def test_what_people_order_comes_before_what_a_program_has_ordered(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", after="x == 1"), bot=False)
        drill.read(step_1_after=False)
        async with drill.by_people():
            act = IncidentOrder("act", action="back")
            drill.incident.give(IncidentOrder("act", step=1), "command", "command")
            while not asked:
                await asyncio.sleep(0.01)
            waiting = [drill.incident.give(act, "command", "command") for _ in range(MOST_WAITING)]
            assert not drill.incident.give(act, "command", "command").ok
            first = drill.give(IncidentOrder("act", action="switch"))
            feeding = asyncio.create_task(feed(drill, step_1_after=True))
            await drill.answer(waiting[-1])
            feeding.cancel()
        answered = [r.event for r in journal.read(drill.journal.path).records]
        given = [e.given for e in answered if isinstance(e, OrderAnswered) and e.status == "done"]
    assert given[1] == first.given
    assert asked == ["/switch", "/switch", *["/back"] * MOST_WAITING]


async def test_an_act_that_the_end_of_the_run_cuts_off_is_answered_so(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", after="x == 1", undo="back"), bot=False)
        drill.read(step_1_after=False)
        async with drill.by_people():
            under_way, waits = (drill.give(IncidentOrder("act", step=1)) for _ in range(2))
            while not asked:
                await asyncio.sleep(0.01)
        assert (await drill.answer(under_way))[0] == "interrupted"
        assert (await drill.answer(waits))[0] == "refused"
        await take_back(drill, asked, ["/switch", "/back"])
    assert asked == ["/switch", "/back"]


async def test_there_are_only_so_many_orders_but_the_run_can_always_be_ended(
    tmp_path: Path,
) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", bot=False)
    drill.incident._orders["person"] = MOST_ORDERS  # noqa: SLF001
    heard = drill.give(IncidentOrder("note", text="one more"))
    assert (heard.ok, heard.given) == (False, None)
    assert drill.give(IncidentOrder("abort")).ok
    assert drill.aborted


async def test_of_several_playbooks_the_one_that_is_meant_is_named(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back"), bot=False)
        one = Playbook(FrontMatter(name="one", alerts=["One"]), (step(1, do="missing"),))
        two = Playbook(
            FrontMatter(name="two", alerts=["Two"]), (step(1, do="switch", undo="back"),)
        )
        drill.hands.offered = [one.among_others(), two.among_others()]
        async with drill.by_people():
            drill.read(alert="firing")
            refused = drill.give(IncidentOrder("act", step=1))
            assert not refused.ok
            assert "PLAYBOOK:STEP; there are one, two" in refused.why
            assert not drill.give(IncidentOrder("act", step=1, playbook="three")).ok
            assert not drill.give(IncidentOrder("act", step=2, playbook="two")).ok
            done = drill.give(IncidentOrder("act", step=1, playbook="two"))
            assert await drill.answer(done) == ("done", Message("step.answered_unverified").text())
            back = drill.give(IncidentOrder("act", step=1, playbook="two", undo=True))
            assert (await drill.answer(back))[0] == "done"
            assert drill.incident.alerted.is_set(), "any alert counts, of whichever playbook"
        assert asked == ["/switch", "/back"]
    records = journal.read(tmp_path / "journal.jsonl").records
    ends = [r.event for r in records if isinstance(r.event, StepDone)]
    assert {event.playbook for event in ends} == {"two"}
    begun = [r for r in records if r.event.kind == "step.started"][:1]
    (left,) = left_behind(begun)
    assert (left.owner, left.name) == ("step", "two:1")
    assert taken_back(left) == StepDone(1, "done", undoing=True, playbook="two")
    assert left_behind(records) == []


def test_a_drill_tells_all_playbooks_and_names_none(tmp_path: Path) -> None:
    drill = Drill(tmp_path, "http://127.0.0.1:1", step(1, do="switch"), bot=False)
    told = json.loads(protocol.line(protocol.hello("r", drill.hands, str)))
    assert told["playbook"]["name"] == "slow"
    assert "playbooks" not in told
    book = Playbook(FrontMatter(name="one", alerts=["One"]), (step(1, do="missing"),))
    drill.hands.offered = [book.among_others()]
    told = json.loads(protocol.line(protocol.hello("r", drill.hands, str)))
    assert told["playbook"] is None
    assert [each["name"] for each in told["playbooks"]] == ["one"]
