"""An incident by hand: a real HTTP server for its actions, and readings that a test hands over."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gameday.core.clock import SystemClock
from gameday.evidence import journal
from gameday.evidence.events import OrderAnswered, OrderGiven, ResponderStarted
from gameday.evidence.journal import Journal
from gameday.injection.drivers.request import Sender
from gameday.run.readings import Readings
from gameday.run.responder.bot import Bot
from gameday.run.responder.hands import Hands
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import Heard, IncidentOrder
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
async def admin(
    before_answer: Mapping[str, Callable[[], None]] | None = None,
) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes every POST but /missing; its address and what it was asked.

    What is to be done before it answers is asked for by path.
    """
    first = {} if before_answer is None else before_answer
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        asked.append(path)
        if path in first:
            first[path]()
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
    """An incident with its bot, and readings by hand."""

    def __init__(self, folder: Path, url: str, *steps: Step, bot: bool = True) -> None:
        self.clock = SystemClock()
        self.readings = Readings(self.clock)
        self.journal = Journal(folder / "journal.jsonl", self.clock, "m1")
        book = Playbook(FrontMatter(name="slow", alerts=["Slow"]), steps)
        self.hands = Hands(
            book,
            ACTIONS,
            {},
            url,
            Sender(url, {}, {}),
            self.readings,
            self.journal,
            self.clock,
        )
        self.aborted: list[str] = []
        self.incident = Incident(self.hands, self.aborted.append)
        self.incident.responder = Bot(self.incident, book, 0.0) if bot else None

    async def respond(self) -> None:
        """Everything that goes on in a run, until the bot has done."""
        tasks = [asyncio.create_task(each) for each in self.incident.tasks()]
        try:
            await tasks[-1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def by_people(self) -> AsyncIterator[None]:
        """A run in which orders are worked, and readings come all the time."""
        tasks = [asyncio.create_task(each) for each in self.incident.tasks()]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(50):  # as long as a test may take, on a busy machine
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def give(self, order: IncidentOrder, by: str = "ann") -> Heard:
        return self.incident.give(order, by, "person")

    async def answer(self, heard: Heard) -> tuple[str, str]:
        """The status and the reason with which an order was answered in the end."""
        while True:
            for record in journal.read(self.journal.path).records:
                event = record.event
                if isinstance(event, OrderAnswered) and event.given == heard.given:
                    return event.status, event.why or ""
            await asyncio.sleep(0.01)

    def orders(self) -> list[OrderGiven]:
        records = journal.read(self.journal.path).records
        return [r.event for r in records if isinstance(r.event, OrderGiven)]

    def starts(self) -> list[str | None]:
        """The alert of each start, "" for one before any."""
        records = journal.read(self.journal.path).records
        return [r.event.alert for r in records if isinstance(r.event, ResponderStarted)]

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
