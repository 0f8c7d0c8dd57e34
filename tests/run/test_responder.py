"""The bot works a playbook against a real HTTP server and readings that a test hands it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import Sender
from gameday.run import responder
from gameday.run.readings import Readings
from gameday.run.responder import Bot, Hands
from gameday.spec.playbook import FrontMatter, Playbook, Step, StepBlock
from gameday.spec.request import Request

ACTIONS = {
    "switch": Request(post="/switch"),
    "back": Request(post="/back"),
    "broken": Request(post="/missing"),
    "locked": Request.model_validate(
        {"post": "/switch", "headers": {"Authorization": {"env": "GAMEDAY_NO_SUCH"}}}
    ),
}


def step(number: int, **block: Any) -> Step:
    return Step(number, f"step {number}", StepBlock.model_validate(block), number)


@asynccontextmanager
async def admin() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes every POST but /missing; its address and what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        asked.append(path)
        status = "404 Not Found" if path == "/missing" else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        server.close()
        await server.wait_closed()


class Drill:
    """A bot with its surroundings, and readings by hand."""

    def __init__(self, folder: Path, url: str, *steps: Step) -> None:
        self.clock = SystemClock()
        self.readings = Readings(self.clock)
        self.journal = Journal(folder / "journal.jsonl", self.clock, "m1")
        book = Playbook(FrontMatter(name="slow", alerts=["Slow"]), steps)
        hands = Hands(
            book,
            ACTIONS,
            {},
            url,
            Sender(url, {}, {}),
            self.readings,
            self.journal,
            self.clock,
        )
        self.bot = Bot(hands, 0.0)

    def read(
        self, alert: str = "firing", sampled_ns: int | None = None, **readings: bool | None
    ) -> None:
        labels = {"alertname": "Slow"}
        now = self.clock.now_ns()
        named = {name.replace("_", ":"): value for name, value in readings.items()}
        line: dict[str, Any] = {
            "t": now,
            "sampled": sampled_ns,
            "readings": named,
            "alerts": [{"labels": labels, "state": alert, "active_at": now}],
            "traffic": {"by_outcome": {}, "p95_ms": None},
        }
        self.readings.hear(json.dumps(line).encode())

    def events(self) -> list[tuple[str, Any]]:
        records = journal.read(self.journal.path).records
        return [(r.event.kind, r.data.get("status")) for r in records]

    def statuses(self) -> list[str]:
        return [status for event, status in self.events() if event == "step.done"]


async def feed(drill: Drill, **readings: Any) -> None:
    """The same reading again and again, as a collector would send it."""
    while True:
        drill.read(**readings)
        await asyncio.sleep(0.02)


async def respond(drill: Drill, **readings: Any) -> None:
    feeding = asyncio.create_task(feed(drill, **readings))
    async with asyncio.timeout(10):
        await drill.bot.respond()
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)


async def test_no_alert_no_responder(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch"))
        responding = asyncio.create_task(drill.bot.respond())
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
            await asyncio.gather(turn(), drill.bot.respond())
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
        await drill.bot.take_back()
        await drill.bot.take_back()
    assert asked == ["/switch", "/back", "/switch", "/back"]


async def test_no_step_follows_once_the_steps_are_taken_back(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        first = step(1, do="switch", undo="back", after="x == 1")
        drill = Drill(tmp_path, url, first, step(2, do="switch"))
        drill.read(step_1_after=False)
        responding = asyncio.create_task(drill.bot.respond())
        while not asked:
            await asyncio.sleep(0.01)
        taking_back = asyncio.create_task(drill.bot.take_back())
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
        await drill.bot.take_back()
        await respond(drill)
        await drill.bot.take_back()
    assert asked == ["/switch", "/back"]


@pytest.mark.parametrize("lag_s", [0.0, 0.5])
async def test_a_probe_is_of_after_the_step_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag_s: float
) -> None:
    monkeypatch.setattr(responder, "NO_DATA_S", 0.3)
    async with admin() as (url, asked):
        second = step(2, do="back", before="x == 1")
        drill = Drill(tmp_path, url, step(1, do="switch"), second)
        begun_ns = drill.clock.now_ns()
        drill.read(sampled_ns=begun_ns - round(lag_s * NS), step_2_before=False)
        responding = asyncio.create_task(drill.bot.respond())
        while not asked:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while not responding.done():
                sampled_ns = drill.clock.now_ns() - round(lag_s * NS)
                drill.read(sampled_ns=sampled_ns, step_2_before=sampled_ns > begun_ns)
                await asyncio.sleep(0.02)
    assert drill.statuses() == ["done", "done"]
    assert asked == ["/switch", "/back"]


async def test_an_undo_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    async with admin() as (url, asked):
        drill = Drill(tmp_path, url, step(1, do="switch", undo="back", after="x == 1"))
        drill.read(step_1_after=False)
        responding = asyncio.create_task(drill.bot.respond())
        while not asked:
            await asyncio.sleep(0.01)
        drill.read(step_1_after=True)
        await responding
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await drill.bot.take_back()
        await drill.bot.take_back(at_most_s=0.2)
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
        drill.bot.take("ann")
        await respond(drill)
    assert [event for event, _ in drill.events()] == ["alert.acknowledged", "responder.started"]
    assert asked == []
