"""A console over a run directory that a test writes: real uvicorn, a real control socket."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gameday.console.access import ConsoleRole, new_token
from gameday.console.server import ConsoleServer, ConsoleSettings
from gameday.console.settings import ListenSettings
from gameday.core.clock import NS, SystemClock
from gameday.core.network import event_loop
from gameday.evidence import events
from gameday.evidence.journal import Journal
from gameday.evidence.sealed_box import Box
from gameday.run import locks
from gameday.run.locks import Reply, RunCommand

LONGEST_S = 20.0
CSRF = "X-Gameday-CSRF"


class RunFolder:
    """A run directory under way: its journal and its samples are appended to."""

    def __init__(
        self, folder: Path, box: Box | None = None, controller: Mapping[str, Any] | None = None
    ) -> None:
        self.dir = folder
        (folder / "logs").mkdir(parents=True)
        (folder / "inputs").mkdir()
        self.clock = SystemClock()
        self.journal = Journal(folder / "journal.jsonl", self.clock, "m1")
        self.journal.box = box
        self.began_ns = self.journal.write(
            events.RunStarted(
                run=folder.name,
                controller=controller,
                experiment="redis-slow",
                stack="embedded",
                allowed=[],
                seed=7,
                wall_ns=1_796_000_000 * NS,
                boottime_ns=None,
                boot_id="b",
                inputs={},
                gameday="0",
                masked="texts",
            )
        ).t_ns

    def traffic(self) -> None:
        """The traffic begins, now."""
        self.journal.write(events.Phase(phase="traffic", t0_ns=self.clock.now_ns()))

    def sample(self, at_s: float, *alerts: Mapping[str, str], issued: float = 0.0) -> None:
        """A scrape and an evaluation, so many seconds after the first record."""
        t_ns = self.began_ns + int(at_s * NS)
        lines: list[Mapping[str, Any]] = [
            {"series": [[0, {"__name__": "k6_http_reqs_total", "outcome": "issued"}]]},
            {"series": [[1, {"__name__": "gameday_fault", "fault": "network.latency"}]]},
            {"t": t_ns, "values": [[0, issued], [1, 1.0]], "up": {}},
            {
                "t": t_ns,
                "readings": {},
                "figures": {"dependency:redis": 0.3},
                "alerts": [
                    {"labels": labels, "state": "firing", "active_at": t_ns} for labels in alerts
                ],
            },
        ]
        with (self.dir / "samples.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


class Browser:
    """A client that has opened a session as a page does, or none (`role` None)."""

    def __init__(self, base: str, token: str | None, *, verify: Any = True) -> None:
        self.base = base
        self.http = httpx.Client(base_url=base, verify=verify, timeout=10, trust_env=False)
        self.csrf = ""
        if token is not None:
            answer = self.http.post("/session", json={"token": token}, headers={"Origin": base})
            assert answer.status_code == 200, answer.text
            self.csrf = answer.json()["csrf"]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """A request as the page makes it."""
        sent = {"Origin": self.base, CSRF: self.csrf, **headers}
        if method == "GET":
            with self.http.stream(method, path, headers=sent) as answer:
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    return answer  # it never ends
                answer.read()
                return answer
        return self.http.request(method, path, json=body, headers=sent)

    def batches(self, cursor: str = "", **headers: str) -> Iterator[tuple[str, Any]]:
        """The events of the stream: the id and the data of each."""
        path = f"/api/stream?from={cursor}" if cursor else "/api/stream"
        with self.http.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200
            id_ = ""
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    id_ = line[4:]
                elif line.startswith("data: "):
                    yield id_, json.loads(line[6:])


class ConsoleUnderTest:
    """A console that listens, its tokens, and what was ordered through its run's socket."""

    def __init__(self, server: ConsoleServer, tokens: Mapping[ConsoleRole, str], base: str) -> None:
        self.server = server
        self.tokens = tokens
        self.base = base
        self._browsers: list[Browser] = []

    def browser(self, role: ConsoleRole | str | None, **how: Any) -> Browser:
        """A browser with a session of that role."""
        token = None if role is None else self.tokens[ConsoleRole(role)]
        return self.opened(Browser(self.base, token, **how))

    def opened(self, browser: Browser) -> Browser:
        """The same, to be closed in the end."""
        self._browsers.append(browser)
        return browser

    def close(self) -> None:
        """Close every browser."""
        for each in self._browsers:
            each.http.close()


@contextmanager
def console(
    run_dir: Path, box: Box | None = None, listen: ListenSettings | None = None
) -> Iterator[ConsoleUnderTest]:
    """A console of that run directory, in a thread of this process."""
    tokens = {role: new_token() for role in ConsoleRole}
    server = ConsoleServer(
        ConsoleSettings(
            run_dir=run_dir,
            listen=listen or ListenSettings(port=0),
            tokens=tokens,
            box=box,
            lingers=False,
        )
    )
    ready = threading.Event()
    thread = threading.Thread(
        target=lambda: event_loop.run(server.serve(lambda _links: ready.set()))
    )
    thread.start()
    try:
        assert ready.wait(LONGEST_S)
        base = server.links.links["trainee"].partition("/#")[0]
        found = ConsoleUnderTest(server, tokens, base)
        try:
            yield found
        finally:
            found.close()
    finally:
        server.close()
        thread.join(LONGEST_S)
        assert not thread.is_alive()


@contextmanager
def control_socket(run_dir: Path, reply: Reply | None = None) -> Iterator[list[RunCommand]]:
    """The control socket of a run that hears everything; what was said to it."""
    heard: list[RunCommand] = []

    def answer(command: RunCommand) -> Reply:
        heard.append(command)
        return reply or Reply(ok=True, run=run_dir.name, given=len(heard))

    presence = locks.Presence(run_dir.name, run_dir.parent).take()
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        server = await locks.serve(presence.socket, answer)
        ready.set()
        while not over.is_set():
            await asyncio.sleep(0.02)
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(LONGEST_S)
    try:
        yield heard
    finally:
        over.set()
        thread.join(LONGEST_S)
        presence.drop()
