"""The parts of every toxic: the record a client asked for, and a stage on each link it affects.

A stage has one chunk in hand, and room for others only where Toxiproxy's has a buffer: what it
cannot take stays with the stage before it. It never waits: `step` is given the time, lets go of
what is due, and leaves in `wake_ns` when it wants to be stepped again. A toxic differs from
another in when a chunk may go (`due_ns`), in what goes (`let_go`), and in when the end of the
stream may follow (`end_due_ns`). A change of toxics interrupts a stage: what it has in hand goes
at once, as in Toxiproxy, and what waits behind that is held by the new attributes.
"""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gameday.toxiproxy.random import draw_integer
from gameday.toxiproxy.timers import NEVER

MS = 1_000_000
US = 1_000
_INT64 = 1 << 63  # Toxiproxy's attributes are Go's int64

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
    """Bytes that were read at once, and when; `arrived_ns` is when they reached this stage.

    Whoever holds a chunk by the time it was received moves `received_ns` on by how long it held it,
    so that the next one holds it, too.
    """

    data: bytes
    received_ns: int
    arrived_ns: int = 0


class Outlet(Protocol):
    """The receiver of a stage's chunks: the next stage, or the link's sink."""

    @property
    def has_room(self) -> bool: ...
    def put(self, chunk: Chunk, now_ns: int) -> None: ...
    def end(self, now_ns: int) -> None: ...
    def reset(self) -> None: ...


class ToxicStage:
    """A toxic at work on one direction of one connection; by itself it passes everything on."""

    type: ClassVar[str] = "noop"
    fields: ClassVar[dict[str, Range]] = {}
    capacity: ClassVar[int] = 1
    held_bytes: int = 0
    """The bytes of a queue with room for many chunks; one chunk alone is not counted."""

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        self.toxic = toxic
        self.out = out
        self.queue: deque[Chunk] = deque()
        self.wake_ns = NEVER
        self.free_ns = now_ns
        """When the chunk before the head went; the head was taken in hand then, or on arrival."""
        self.released = False
        """True if the head goes whatever `due_ns` says: the toxic was changed under it."""
        self.blocked = False
        """True if the head was due and found no room."""
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
        moved, queue = False, self.queue
        self.wake_ns = NEVER
        while queue:
            due_ns = self.due_ns(queue[0])
            if due_ns > now_ns and not self.released:
                self.wake_ns = due_ns
                return moved
            if not self.out.has_room:
                self.blocked = True
                return moved
            if self.released:
                self.pass_on(now_ns)
            else:
                self.let_go(now_ns)
            moved = True
        if self.ended_ns is not None and not self.finished:
            moved |= self._step_end(now_ns, max(self.ended_ns, self.free_ns))
        return moved

    def _step_end(self, now_ns: int, taken_ns: int) -> bool:
        due_ns = self.end_due_ns(taken_ns)
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
        self.pass_on(now_ns)

    def pass_on(self, now_ns: int) -> None:
        """Pass on what is left of the head of the queue, as it is."""
        self.released = self.blocked = False
        self.free_ns = now_ns
        self.out.put(self.queue.popleft(), now_ns)

    def end_due_ns(self, taken_ns: int) -> int:
        """When the end of the stream, whose turn came at `taken_ns`, may follow."""
        return 0

    def interrupt(self, now_ns: int) -> None:
        """Hold the head, or the end, no longer than now: a toxic was changed."""
        if not self.queue:
            self.free_ns = now_ns
        elif self.due_ns(self.queue[0]) > now_ns:
            self.released = True

    def close(self, now_ns: int) -> None:
        """End the stream for what follows, and forget what is still held."""
        self.finished = True
        self.queue.clear()
        self.out.end(now_ns)

    def hand_over(self, now_ns: int) -> None:
        """Pass on what is in hand, whether there is room or not: a toxic is to follow this one."""
        self.interrupt(now_ns)
        if self.released:
            self.pass_on(now_ns)
        elif self.queue:
            self.let_go(now_ns)

    def leave(self, now_ns: int) -> None:
        """Act no more: the toxic was removed."""
        self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        """Pass on all that is held, in order and at once: this link is not affected any more."""
        while self.queue:
            self.pass_on(now_ns)
        if self.ended_ns is not None and not self.finished:
            self.close(now_ns)

    def draw_integer(self, spread: int) -> int:
        """A whole number in [-spread, spread), another one at each call."""
        self._draws += 1
        return draw_integer(self._seed, self._purpose, self._draws, spread)
