"""What every toxic is made of: the record a client asked for, and a stage on each link it affects.

A stage is a queue with a rule for letting go. It never waits: `step` is told the time, lets go of
what is due, and leaves in `wake_ns` when it wants to be stepped again. A toxic differs from
another in when a chunk may go (`due_ns`), in what goes (`let_go`), and in when the end of the
stream may follow (`end_due_ns`). Attributes are read at each step, so an update acts at once.
"""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gameday.toxiproxy.random import draw_integer
from gameday.toxiproxy.timers import NEVER

MS = 1_000_000
US = 1_000
_INT64 = 1 << 63

Range = tuple[int, int]
ANY: Range = (-_INT64, _INT64 - 1)
NOT_NEGATIVE: Range = (0, _INT64 - 1)


@dataclass(slots=True, eq=False)
class Toxic:
    """One toxic of a proxy, as a client asked for it; `stream` is kept as it was written."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]


@dataclass(slots=True, eq=False)
class Chunk:
    """Bytes that were read at once, and when; `arrived_ns` is when they reached this stage."""

    data: bytes
    received_ns: int
    arrived_ns: int = 0


class Outlet(Protocol):
    """What a stage lets go into: the next stage, or the link's sink."""

    @property
    def has_room(self) -> bool: ...
    def put(self, chunk: Chunk, now_ns: int) -> None: ...
    def end(self, now_ns: int) -> None: ...
    def reset(self) -> None: ...


class Stage:
    """A toxic at work on one direction of one connection; by itself it passes everything on."""

    type: ClassVar[str] = "noop"
    fields: ClassVar[dict[str, Range]] = {}
    capacity: ClassVar[int] = 16

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        self.toxic = toxic
        self.out = out
        self.queue: deque[Chunk] = deque()
        self.wake_ns = NEVER
        self.started_ns = now_ns
        self.ended_ns: int | None = None
        self.finished = False
        self._seed = seed
        self._purpose = purpose
        self._draws = 0

    def __getitem__(self, attribute: str) -> int:
        return self.toxic.attributes[attribute]

    @property
    def has_room(self) -> bool:
        return len(self.queue) < self.capacity

    def put(self, chunk: Chunk, now_ns: int) -> None:
        """Take a chunk; a stage that has closed its side takes it and forgets it."""
        if not self.finished:
            chunk.arrived_ns = now_ns
            self.queue.append(chunk)

    def end(self, now_ns: int) -> None:
        """Take note that nothing more will come."""
        if self.ended_ns is None:
            self.ended_ns = now_ns

    def reset(self) -> None:
        self.out.reset()

    def step(self, now_ns: int) -> bool:
        """Let go of everything that is due; true when anything moved."""
        moved = False
        self.wake_ns = NEVER
        while self.queue and self.out.has_room:
            due_ns = self.due_ns(self.queue[0])
            if due_ns > now_ns:
                self.wake_ns = due_ns
                return moved
            self.let_go(now_ns)
            moved = True
        if self.ended_ns is not None and not self.queue and not self.finished:
            moved |= self._step_end(now_ns, self.ended_ns)
        return moved

    def _step_end(self, now_ns: int, ended_ns: int) -> bool:
        due_ns = self.end_due_ns(ended_ns)
        if due_ns > now_ns:
            self.wake_ns = due_ns
            return False
        self.close(now_ns)
        return True

    def due_ns(self, head: Chunk) -> int:
        """When the head of the queue may go."""
        return 0

    def let_go(self, now_ns: int) -> None:
        """Pass on the head of the queue, or a part of it."""
        self.out.put(self.queue.popleft(), now_ns)

    def end_due_ns(self, ended_ns: int) -> int:
        """When the end of the stream, which arrived at `ended_ns`, may follow."""
        return 0

    def close(self, now_ns: int) -> None:
        """End the stream for what follows, and forget what is still held."""
        self.finished = True
        self.queue.clear()
        self.out.end(now_ns)

    def leave(self, now_ns: int) -> None:
        """Pass on all that is held, in order and at once: the toxic was removed."""
        while self.queue:
            self.out.put(self.queue.popleft(), now_ns)
        if self.ended_ns is not None and not self.finished:
            self.close(now_ns)

    def draw_integer(self, spread: int) -> int:
        """A whole number in [-spread, spread), another one at each call."""
        self._draws += 1
        return draw_integer(self._seed, self._purpose, self._draws, spread)
