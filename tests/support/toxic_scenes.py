"""Scenes of toxics in a chain, played on a link with a clock of the test's own, or over sockets.

A scene is data: the toxics, and what is sent, changed and closed when. On the link it comes out to
the millisecond. Over sockets, on any server, it comes out about then: a round says by how much this
machine held the test itself up, for whoever compares the two.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from gameday.core.clock import SystemClock
from gameday.toxiproxy.link import Link
from gameday.toxiproxy.settings import HeldBytes
from gameday.toxiproxy.timers import Alarms, ScheduledCall
from gameday.toxiproxy.toxics import TYPES
from gameday.toxiproxy.toxics.stage import MS, Toxic

CLOCK = SystemClock()
PULSE_MS = 4

Attributes = Mapping[str, int]
Chain = tuple[tuple[str, Attributes], ...]
Action = tuple[Any, ...]
"""`(at_ms, what, …)`: `send` bytes, `close`, `add` type attributes, `update` or `remove` a toxic
by its number in the order of creation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: after how many ms how many bytes in all had arrived; when and how it ended."""

    arrivals: tuple[tuple[int, int], ...]
    end: tuple[int, str] | None = None

    def arrived_ms(self, total: int) -> float:
        """When the byte of that number had arrived."""
        return next((ms for ms, got in self.arrivals if got >= total), float("inf"))

    def differs_by_ms(self, other: "Outcome") -> float:
        """The largest difference in time of anything that is in both; infinite if one lacks any."""
        worst = 0.0
        for total in {got for _, got in (*self.arrivals, *other.arrivals)}:
            both = self.arrived_ms(total), other.arrived_ms(total)
            worst = max(worst, abs(both[0] - both[1]) if max(both) < float("inf") else float("inf"))
        if self.end is None or other.end is None:
            return worst if self.end == other.end else float("inf")
        if self.end[1] != other.end[1]:
            return float("inf")
        return max(worst, abs(self.end[0] - other.end[0]))


@dataclass(frozen=True, slots=True)
class Scene:
    """Toxics, actions in order of time, and how long the outcome is waited for."""

    chain: Chain
    actions: tuple[Action, ...]
    lasts_ms: int = 2500

    def times(self, factor: int) -> "Scene":
        """The same, so many times slower: sizes and times are more, rates are as they were."""
        chain = tuple((kind, _times(attributes, factor)) for kind, attributes in self.chain)
        actions = tuple(_action_times(action, factor) for action in self.actions)
        return Scene(chain, actions, self.lasts_ms * factor)


def _times(attributes: Attributes, factor: int) -> Attributes:
    return {name: value if name == "rate" else value * factor for name, value in attributes.items()}


def _action_times(action: Action, factor: int) -> Action:
    at_ms, what, *arguments = action
    if what == "send":
        return at_ms * factor, what, arguments[0] * factor
    scaled = [_times(each, factor) if isinstance(each, dict) else each for each in arguments]
    return at_ms * factor, what, *scaled


# On a clock of the test's own.


class HandClock:
    """The time is what the test says."""

    def __init__(self) -> None:
        self.ns = 1_000_000 * MS

    def now_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps {seconds} s here")


class HandAlarms(Alarms):
    """Alarms that ring when the test moves the clock there."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self._clock = clock
        self._due: list[ScheduledCall] = []  # type: ignore[assignment]
        self.after: Callable[[], object] = list
        """Called after each alarm that rang."""

    def at(self, due_ns: int, ring: Callable[[], None]) -> ScheduledCall:
        alarm = ScheduledCall(due_ns, ring)
        heappush(self._due, alarm)
        return alarm

    def cancel(self, alarm: ScheduledCall) -> None:
        alarm.ring = None

    def advance_to(self, ns: int) -> None:
        while self._due and self._due[0].due_ns <= ns:
            alarm = heappop(self._due)
            if alarm.ring is not None:
                self._clock.ns = max(self._clock.ns, alarm.due_ns)
                alarm.ring()
                self.after()
        self._clock.ns = ns


class Record:
    """Both ends of a link: the sink has room and records; the source keeps what is not read yet."""

    has_room = True

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._begun_ns = clock.ns
        self.total = 0
        self.arrivals: dict[int, int] = {}
        self.ended: tuple[int, str] | None = None
        self.receiver: Callable[[bytes], object] = len
        self.paused = False
        self._unread = b""

    def _ms(self) -> int:
        return (self._clock.ns - self._begun_ns) // MS

    def write(self, data: bytes) -> None:
        self.total += len(data)
        self.arrivals[self._ms()] = self.total

    def deliver_to(self, receiver: Callable[[bytes], object]) -> None:
        self.receiver = receiver

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def send(self, data: bytes = b"") -> bool:
        """Deliver this and what is unread, if it is read; whether nothing is unread any more."""
        self._unread += data
        if self._unread and not self.paused:
            data, self._unread = self._unread, b""
            self.receiver(data)
        return not self._unread

    def end(self) -> None: ...

    def close(self, *, reset: bool = False) -> None:
        self.ended = (self._ms(), "reset" if reset else "closed")


class HandPlay:
    """One scene on one link."""

    def __init__(self, scene: Scene) -> None:
        self.clock = HandClock()
        self.alarms = HandAlarms(self.clock)
        self.source, self.sink = Record(self.clock), Record(self.clock)
        self.alarms.after = self._read
        self._closed = False
        self.made: list[Toxic] = []
        self.toxics: list[Toxic] = []
        chance = (1, "scene")
        self.link = Link(
            self.source, self.sink, alarms=self.alarms, chance=chance, count=True, held=HeldBytes()
        )
        self.link.on_end = lambda _: self.sink.close()
        self.link.on_reset = lambda _: self.sink.close(reset=True)
        for kind, attributes in scene.chain:
            self._make(kind, attributes)
        self.link.apply(self.toxics)

    def _make(self, kind: str, attributes: Attributes) -> None:
        none = dict.fromkeys(TYPES[kind].fields, 0)
        toxic = Toxic(f"t{len(self.made)}", kind, "upstream", 1, none | dict(attributes))
        self.made.append(toxic)
        self.toxics.append(toxic)

    def _read(self) -> None:
        if self.source.send() and self._closed:
            self.link.source_ended()

    def send(self, size: int) -> None:
        self.source.send(b"x" * size)

    def close(self) -> None:
        self._closed = True
        self._read()

    def add(self, kind: str, attributes: Attributes) -> None:
        self._make(kind, attributes)
        self.link.apply(self.toxics)

    def update(self, number: int, attributes: Attributes) -> None:
        toxic = self.made[number]
        toxic.attributes = {**toxic.attributes, **attributes}
        self.link.apply(self.toxics, toxic)

    def remove(self, number: int) -> None:
        self.toxics.remove(self.made[number])
        self.link.apply(self.toxics)


def play_by_hand(scene: Scene) -> Outcome:
    """What comes out of a link when time passes exactly as the scene says."""
    play = HandPlay(scene)
    begun_ns = play.clock.ns
    for at_ms, what, *arguments in scene.actions:
        play.alarms.advance_to(begun_ns + at_ms * MS)
        getattr(play, what)(*arguments)
        play.alarms.after()
    play.alarms.advance_to(begun_ns + scene.lasts_ms * MS)
    return Outcome(tuple(play.sink.arrivals.items()), play.sink.ended)


# Over sockets.


async def ask(port: int, method: str, path: str, body: object = None) -> Any:
    """What the API on `port` answers to one request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer, _, text = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    assert answer.split()[1].startswith(b"2"), (method, path, body, answer, text)
    return json.loads(text) if text else None


@dataclass
class SocketPlay:
    """One scene on one connection through a proxy of its own."""

    api: int
    name: str
    stream: str
    scene: Scene
    made: int = 0
    late_ms: float = 0.0
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    end: tuple[int, str] | None = None
    begun_ns: int = 0

    def _ms(self) -> int:
        return (CLOCK.now_ns() - self.begun_ns) // MS

    @asynccontextmanager
    async def set_up(self) -> AsyncIterator[tuple[int, socket.socket]]:
        """The proxy with its toxics: its port, and its upstream."""
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            upstream.settimeout(0)
            port = await self._proxy(upstream.getsockname()[1])
            for kind, attributes in self.scene.chain:
                await self.add(kind, attributes)
            yield port, upstream
            await self._ask("DELETE", "")

    async def play(self, port: int, upstream: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.settimeout(0)
            await loop.sock_connect(client, ("127.0.0.1", port))
            server, _ = await loop.sock_accept(upstream)
            with server:
                server.settimeout(0)
                ends = (client, server) if self.stream == "upstream" else (server, client)
                await self._through(*ends)

    async def _through(self, source: socket.socket, sink: socket.socket) -> None:
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reading = asyncio.create_task(self._read(sink))
        self.begun_ns = CLOCK.now_ns()
        for at_ms, what, *arguments in self.scene.actions:
            await self._wait_until(at_ms)
            with suppress(OSError):  # a toxic has closed it already
                await self._act(source, what, arguments)
            self.late_ms = max(self.late_ms, self._ms() - at_ms)
        await self._wait_until(self.scene.lasts_ms)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading

    async def _act(self, source: socket.socket, what: str, arguments: Sequence[Any]) -> None:
        if what == "send":
            await asyncio.get_running_loop().sock_sendall(source, b"x" * arguments[0])
        elif what == "close":
            source.shutdown(socket.SHUT_WR)
        else:
            await getattr(self, what)(*arguments)

    async def _wait_until(self, at_ms: int) -> None:
        await asyncio.sleep(max(0, at_ms - self._ms()) / 1000)

    async def _read(self, sink: socket.socket) -> None:
        total = 0
        try:
            while data := await asyncio.get_running_loop().sock_recv(sink, 65536):
                total += len(data)
                self.arrivals.append((self._ms(), total))
            self.end = (self._ms(), "closed")
        except ConnectionResetError:
            self.end = (self._ms(), "reset")

    async def _ask(self, method: str, path: str, body: object = None) -> None:
        await ask(self.api, method, f"/proxies/{self.name}{path}", body)

    async def _proxy(self, upstream_port: int) -> int:
        upstream = f"127.0.0.1:{upstream_port}"
        body = {"name": self.name, "listen": "127.0.0.1:0", "upstream": upstream}
        made = await ask(self.api, "POST", "/proxies", body)
        return int(made["listen"].rpartition(":")[2])

    async def add(self, kind: str, attributes: Attributes) -> None:
        body = {"type": kind, "name": f"t{self.made}", "stream": self.stream}
        self.made += 1
        await self._ask("POST", "/toxics", body | {"attributes": dict(attributes)})

    async def update(self, number: int, attributes: Attributes) -> None:
        await self._ask("POST", f"/toxics/t{number}", {"attributes": dict(attributes)})

    async def remove(self, number: int) -> None:
        await self._ask("DELETE", f"/toxics/t{number}")


@dataclass
class Round:
    """What scenes came to over sockets, and by how much the test was late with each."""

    outcomes: list[Outcome]
    late_ms: list[float]


async def lateness_ms(lasts_ms: int) -> float:
    """The longest time that this process, wanting to run every few ms, did not get to."""
    worst_ns, until_ns = 0, CLOCK.now_ns() + lasts_ms * MS
    while (before_ns := CLOCK.now_ns()) < until_ns:
        await asyncio.sleep(PULSE_MS / 1000)
        worst_ns = max(worst_ns, CLOCK.now_ns() - before_ns - PULSE_MS * MS)
    return worst_ns / MS


async def play_over_sockets(port: int, scenes: Sequence[tuple[str, Scene]]) -> Round:
    """Play each `(stream, scene)` at once on the server whose API is at `port`."""
    plays = [
        SocketPlay(port, f"p{number}", stream, scene)
        for number, (stream, scene) in enumerate(scenes)
    ]
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(play.set_up()) for play in plays]
        pulse = asyncio.create_task(lateness_ms(max(scene.lasts_ms for _, scene in scenes)))
        await asyncio.gather(*(play.play(*pair) for play, pair in zip(plays, pairs, strict=True)))
        late_ms = await pulse
    outcomes = [Outcome(tuple(play.arrivals), play.end) for play in plays]
    return Round(outcomes, [max(late_ms, play.late_ms) for play in plays])
