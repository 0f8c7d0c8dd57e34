"""A lane: requests on their way to one store, gathered into batches on a few connections.

Requests that arrive while a batch is on its way travel together in the next one. When the store
is fast a lane sends at most one batch per `pace_s` beside the first; when it is slow, batches
leave on every free connection and grow instead of queueing. Waiting is bounded, and a request
always learns which of two things happened: it certainly had no effect (Unavailable), or nobody
can know (Lost). Connections are opened at the start and repaired in the background: no request
ever shakes hands.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

C = TypeVar("C")
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)


class Unavailable(Exception):
    """The store could not be asked, or refused: certainly no effect."""


class Lost(Exception):
    """The store was asked and its answer is lost: nobody can know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Generic[C]):
    """A lane's access to its store: open, close, and which errors mean broken or merely refused."""

    name: str
    open: Callable[[], Awaitable[C]]
    close: Callable[[C], Coroutine[None, None, None]]
    alive: Callable[[C], bool]
    refusals: tuple[type[Exception], ...]
    broken: tuple[type[Exception], ...]
    observe: Callable[[float, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Limits of a lane: connections, batch size, seconds between batches, to wait and to answer."""

    connections: int
    batch: int = 256
    every_s: float = 0.003
    wait_s: float = 1.0
    answer_s: float = 1.0
    backlog: int = 20_000


@dataclass(slots=True)
class _Waiting(Generic[K, T, R]):
    key: K
    item: T
    since: float
    done: asyncio.Future[R]


class Lane(Generic[C, K, T, R]):
    """Batches of `T` under a key `K`, each sent by `send` on one connection `C`."""

    def __init__(
        self,
        store: Store[C],
        pace: Pace,
        send: Callable[[C, K, Sequence[T]], Awaitable[Sequence[R]]],
    ) -> None:
        self.store, self.pace = store, pace
        self._send = send
        self._broken: tuple[type[Exception], ...] = (TimeoutError, *store.broken)
        self._no_connection: tuple[type[Exception], ...] = (
            OSError,
            *self._broken,
            *store.refusals,
        )
        self._free: list[C] = []
        self._queue: deque[_Waiting[K, T, R]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._repair: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._last = 0.0
        self.live = 0
        self.in_use = 0

    async def start(self) -> None:
        """Open every connection; raises what the store raises when it is not there."""
        opened = await asyncio.gather(*(self.store.open() for _ in range(self.pace.connections)))
        self._free.extend(opened)
        self.live = len(opened)
        self._repair = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Wait for batches under way, then close."""
        if self._repair:
            self._repair.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.pace.answer_s)
        for connection in self._free:
            await self.store.close(connection)
        self._free.clear()

    def resize(self, connections: int) -> None:
        """Want so many connections from now on; they are opened and closed in the background."""
        self.pace = replace(self.pace, connections=connections)

    def submit(self, key: K, item: T) -> asyncio.Future[R]:
        """A future of what the store says about `item`; it may raise Unavailable or Lost."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        if not self.live or len(self._queue) >= self.pace.backlog:
            done.set_exception(Unavailable(self.store.name))
            return done
        self._queue.append(_Waiting(key, item, loop.time(), done))
        self._schedule(loop)
        return done

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None or not self._queue:
            return
        if self._free:
            due = self._last + self.pace.every_s
            if self.in_use and due > loop.time():
                self._timer = loop.call_at(due, self._flush)
            else:
                self._timer = loop.call_soon(self._flush)
        else:
            # All connections are busy: only look after those who have waited long enough.
            self._timer = loop.call_later(0.05, self._flush)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        self._give_up(loop.time() - self.pace.wait_s)
        if self._queue and self._free:
            batches: dict[K, list[_Waiting[K, T, R]]] = {}
            for _ in range(min(len(self._queue), self.pace.batch)):
                waiting = self._queue.popleft()
                batches.setdefault(waiting.key, []).append(waiting)
            self._last = loop.time()
            for key, batch in batches.items():
                connection = self._take()
                if connection is None:
                    self._queue.extendleft(reversed(batch))
                    continue
                self.in_use += 1
                self._spawn(self._carry(connection, key, batch))
        self._schedule(loop)

    def _take(self) -> C | None:
        """A free connection that the other side has not closed."""
        while self._free:
            connection = self._free.pop()
            if self.store.alive(connection):
                return connection
            self.live -= 1
            self._spawn(self.store.close(connection))
        return None

    def _prune(self) -> None:
        """Drop idle connections that the other side has closed, and those that are too many."""
        for connection in [c for c in self._free if not self.store.alive(c)]:
            self._drop(connection)
        while self._free and self.live > self.pace.connections:
            self._drop(self._free[0])

    def _drop(self, connection: C) -> None:
        self._free.remove(connection)
        self.live -= 1
        self._spawn(self.store.close(connection))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self, oldest: float) -> None:
        while self._queue and (self._queue[0].since < oldest or not self.live):
            waiting = self._queue.popleft()
            if not waiting.done.done():
                waiting.done.set_exception(Unavailable(self.store.name))

    async def _carry(self, connection: C, key: K, batch: list[_Waiting[K, T, R]]) -> None:
        error: Exception | None = None
        answers: Sequence[R] = ()
        healthy = True
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.pace.answer_s):
                answers = await self._send(connection, key, [waiting.item for waiting in batch])
        except self.store.refusals as refusal:
            error = Unavailable(f"{self.store.name}: {refusal}")
            log.warning("%s refused a batch: %s", self.store.name, refusal)
        except self._broken as failure:
            healthy = False
            error = Lost(f"{self.store.name}: {failure!r}")
            log.warning("%s: answer lost: %r", self.store.name, failure)
        self.store.observe(time.perf_counter() - began, error is None)
        await self._give_back(connection, healthy=healthy)
        for i, waiting in enumerate(batch):
            if waiting.done.done():
                continue
            if error is not None:
                waiting.done.set_exception(error)
            else:
                waiting.done.set_result(answers[i])

    async def _give_back(self, connection: C, *, healthy: bool) -> None:
        self.in_use -= 1
        if healthy:
            self._free.append(connection)
        else:
            self.live -= 1
            await self.store.close(connection)
        if self._queue and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._schedule(asyncio.get_running_loop())

    async def _keep_open(self) -> None:
        """Keep as many as are wanted: one knocks, and when it is let in the others follow."""
        while True:
            await asyncio.sleep(0.1)
            self._prune()
            missing = self.pace.connections - self.live
            if missing <= 0:
                continue
            wanted = min(missing, 8) if self.live else 1
            opened = await asyncio.gather(*(self._try_open() for _ in range(wanted)))
            fresh = [connection for connection in opened if connection is not None]
            self._free.extend(fresh)
            self.live += len(fresh)
            self._schedule(asyncio.get_running_loop())

    async def _try_open(self) -> C | None:
        try:
            async with asyncio.timeout(4.0):
                return await self.store.open()
        except self._no_connection as failure:
            log.info("%s: cannot connect: %r", self.store.name, failure)
            return None


AnyLane = Lane[Any, Any, Any, Any]  # whatever it carries: its connections can be counted and set
