"""The stream: what each role is told, from where, and that nothing is lost or told too early."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gameday.console.feed import Feed
from gameday.console.shown import WORK
from gameday.console.stream import Cursor
from gameday.evidence import events
from gameday.evidence.events import EVENTS
from gameday.evidence.sealed_box import FOR_TRAINEES, Box
from gameday.injection.process.process import record as process_record
from tests.support.consoles import Browser, ConsoleUnderTest, RunFolder, console

SECRET = "network.latency"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "20261130T000000Z-drill-abcd")


@pytest.fixture
def box() -> Box:
    return Box.new()


@pytest.fixture
def drill(tmp_path: Path, box: Box) -> RunFolder:
    """A blind drill under way, whose fault is in."""
    found = RunFolder(tmp_path / "20261130T000000Z-drill-wxyz", box)
    found.journal.write(
        events.DrillStarted(
            mode="live",
            briefing="You are on call.",
            role="operations",
            window_s=60,
            lasts_s=600,
            updates_every_s=300,
            hypotheses=["Redis", "PostgreSQL"],
        )
    )
    found.journal.write(
        events.DrillPlanned(
            experiment="redis-slow",
            title=SECRET,
            path="x",
            seed=1,
            fault_at_s=1,
            lasts_s=600,
            right=["Redis"],
            names={},
        )
    )
    found.traffic()
    found.journal.write(
        events.FaultInjecting(id="f1", fault=SECRET, target="redis", changes=[], undo=[])
    )
    return found


def items_until(batches: Iterator[tuple[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Every item up to the first of a kind."""
    found: list[dict[str, Any]] = []
    for _, batch in batches:
        found += batch["items"]
        if any(each["kind"] == kind for each in found):
            return found
    raise AssertionError(f"the stream ended without {kind}")


def follow(browser: Browser, kind: str, cursor: str = "") -> list[dict[str, Any]]:
    return items_until(browser.batches(cursor), kind)


def marked(run: RunFolder) -> str:
    """A note at the end of what there is, so that a reader knows that it has read all."""
    run.journal.write(events.AlertAcknowledged(by="mark"))
    return "alert.acknowledged"


def test_the_truth_of_a_blind_drill_reaches_only_who_leads(drill: RunFolder, box: Box) -> None:
    last = marked(drill)
    with console(drill.dir, box) as served:
        told = follow(served.browser("facilitator"), last)
        assert {"drill.planned", "fault.injecting"} <= {each["kind"] for each in told}
        for role in ("trainee", "observer"):
            browser = served.browser(role)
            seen = follow(browser, last)
            assert {each["kind"] for each in seen} == {"drill.started", last}
            work = browser.ask("GET", "/api/work").text
            me = browser.ask("GET", "/api/me").text
            for text in (repr(seen), work, me):
                assert SECRET not in text
            assert "redis-slow" not in repr(seen) + me
            assert not any(book["own"] for book in json.loads(work)["playbooks"])


def test_without_the_key_nobody_is_told_what_is_sealed(drill: RunFolder) -> None:
    last = marked(drill)
    with console(drill.dir) as served:
        told = follow(served.browser("facilitator"), last)
    assert SECRET not in repr(told)


def test_the_debrief_tells_everybody_from_the_beginning(drill: RunFolder, box: Box) -> None:
    last = marked(drill)
    with console(drill.dir) as served:
        batches = served.browser("trainee").batches()
        items_until(batches, last)
        drill.journal.box = None
        drill.journal.write(events.DrillDebriefed(key=box.text))
        told = items_until(batches, "fault.injecting")
        assert SECRET in repr(told)


@pytest.mark.parametrize("role", ["trainee", "facilitator"])
def test_a_line_that_is_lost_across_the_debrief_loses_nothing_of_it(
    drill: RunFolder, box: Box, role: str
) -> None:
    last = marked(drill)
    with console(drill.dir) as served:
        browser = served.browser(role)
        for cursor, batch in browser.batches():
            if any(each["kind"] == last for each in batch["items"]):
                break
        drill.journal.box = None
        drill.journal.write(events.DrillDebriefed(key=box.text))
        follow(served.browser("observer"), "drill.debriefed")  # it was read meanwhile
        told = follow(browser, "drill.debriefed", cursor)
        assert {"drill.planned", "fault.injecting"} <= {each["kind"] for each in told}


def test_an_observer_sees_all_of_a_run_and_a_responder_what_a_person_on_call_could(
    folder: RunFolder,
) -> None:
    folder.traffic()
    folder.journal.write(
        events.FaultInjecting(id="f1", fault=SECRET, target="redis", changes=[], undo=[])
    )
    folder.journal.write(
        events.DrillHintPlanned(number=1, after_s=1, cost=0, text="hid"), "facilitator"
    )
    last = marked(folder)
    with console(folder.dir) as served:
        assert SECRET in repr(follow(served.browser("observer"), last))
        assert SECRET not in repr(follow(served.browser("trainee"), last))


def test_what_a_page_is_told_is_never_more_than_a_sealed_drill_leaves_open() -> None:
    assert WORK <= FOR_TRAINEES
    assert WORK <= set(EVENTS)


def test_no_address_undo_or_key_is_ever_told(folder: RunFolder) -> None:
    folder.journal.write(
        events.StackReady(took_s=1, addresses={"base_url": "http://10.9.8.7"}, binaries={})
    )
    folder.journal.write(events.DrillDebriefed(key="ab" * 32))
    last = marked(folder)
    with console(folder.dir) as served:
        told = repr(follow(served.browser("facilitator"), last))
    assert "10.9.8.7" not in told
    assert "ab" * 32 not in told


def test_a_lost_connection_goes_on_from_its_cursor(folder: RunFolder) -> None:
    folder.traffic()
    folder.sample(1.0)
    marked(folder)
    with console(folder.dir) as served:
        browser = served.browser("facilitator")
        cursor, ticks = read_until(browser, ticks=1)
        folder.journal.write(events.OrderGiven(order="note", by="Ada", through="person", text="hi"))
        folder.sample(2.0)
        for how in ({"cursor": cursor}, {"headers": {"last-event-id": cursor}}):
            items = []
            for _, batch in browser.batches(how.get("cursor", ""), **how.get("headers", {})):  # type: ignore[arg-type]
                items += [each["kind"] for each in batch["items"]]
                ticks += [each["t"] for each in batch["ticks"]]
                if len(ticks) > 1 and items:
                    break
            assert items == ["order.given"]
            assert ticks == [1.0, 2.0]
            ticks = ticks[:1]


def read_until(browser: Browser, *, ticks: int) -> tuple[str, list[float]]:
    found: list[float] = []
    for id_, batch in browser.batches():
        found += [each["t"] for each in batch["ticks"]]
        if len(found) >= ticks and batch["items"] == []:
            return id_, found
    raise AssertionError("the stream ended")


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1.x.0", "1.1", "-1.5.5", "9" * 40 + ".1.0", "1.1.1\n"]
)
def test_a_cursor_that_is_none_begins_at_the_beginning(text: str) -> None:
    assert Cursor.of(text) == Cursor()


def test_a_cursor_is_read_as_it_is_written() -> None:
    for cursor in (Cursor(12, 3456), Cursor(12, 3456, whole=True)):
        assert Cursor.of(str(cursor)) == cursor


def test_alerts_and_figures_come_as_they_were_sampled(folder: RunFolder) -> None:
    folder.traffic()
    feed = Feed(folder.dir)
    for second in range(8):
        alert = {"alertname": "RedisSlow", "severity": "page"}
        folder.sample(float(second), *([alert] if second > 4 else []), issued=100.0 * second)
        feed.read()
    last = feed.ticks[-1]
    assert [each.name for each in last.alerts or ()] == ["RedisSlow"]
    assert last.figures["rates"]["issued"] == pytest.approx(100, abs=1)
    assert last.figures["dependencies"]["redis"] == 300.0
    assert feed.state().phase == "running"


def test_series_that_tell_what_is_broken_are_not_for_the_query_box(folder: RunFolder) -> None:
    folder.traffic()
    folder.sample(1.0)
    feed = Feed(folder.dir)
    feed.read()
    assert len(feed.store) == 1


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"nothing", b'{"t": "x", "values": []}', b'{"series": 5}', b"\xff", b'{"t":1}'],
)
def test_a_damaged_line_is_passed_over(folder: RunFolder, line: bytes) -> None:
    folder.traffic()
    for name in ("journal.jsonl", "samples.jsonl"):
        with (folder.dir / name).open("ab") as file:
            file.write(line + b"\n")
    folder.sample(1.0)
    feed = Feed(folder.dir)
    assert not feed.read()
    assert len(feed.ticks) == 1


def test_a_line_that_is_being_written_is_waited_for(folder: RunFolder) -> None:
    feed = Feed(folder.dir)
    feed.read()
    before = len(feed.items)
    folder.traffic()
    raw = (folder.dir / "journal.jsonl").read_bytes()
    (folder.dir / "journal.jsonl").write_bytes(raw[:-20])
    feed.read()
    assert len(feed.items) == before
    (folder.dir / "journal.jsonl").write_bytes(raw)
    feed.read()
    assert len(feed.items) == before + 1


def test_who_has_it_and_the_end_are_in_the_state(folder: RunFolder) -> None:
    feed = Feed(folder.dir)
    folder.journal.write(events.AlertAcknowledged(by="Ada"))
    folder.journal.write(events.OrderGiven(order="hand-over", by="Ada", through="person", to="Bo"))
    folder.journal.write(events.RunEnded(ended="completed", why="", evidence=None))
    feed.read()
    state = feed.state()
    assert (state.taken_by, state.phase, state.mode) == ("Bo", "over", "run")


def test_a_run_that_was_killed_is_over_at_its_last_record(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        controller = process_record(process.pid, "gameday run").as_json()
        folder = RunFolder(tmp_path / "20261130T000000Z-drill-abcd", controller=controller)
        folder.traffic()
        feed = Feed(folder.dir)
        feed.read()
        assert feed.state().phase == "running"
        last = folder.journal.write(events.AlertAcknowledged(by="Ada"))
        process.kill()
        process.wait()
        feed.read()
        feed.read()
        assert feed.state().phase == "over"
        assert feed.state().now == feed.since_began(last.t_ns)


def test_a_page_of_a_served_run_is_told_its_state(served: ConsoleUnderTest, run: RunFolder) -> None:
    _, batch = next(served.browser("observer").batches())
    assert batch["state"]["run"] == run.dir.name
