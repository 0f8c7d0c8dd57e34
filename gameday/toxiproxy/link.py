"""One direction of a connection: from the source, through the stages of its toxics, to the sink.

Without toxics the source's bytes go straight into the sink's socket: no queue, no task, no clock.
With toxics each read becomes chunks that move from stage to stage. `run` steps the stages, last
first so that there is room, until nothing moves, and sets an alarm for the earliest that wants
to be woken. The first stage's room decides whether the source is read at all, so a slow sink or a
narrow toxic stops the sender and memory stays bounded.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from gameday.toxiproxy.random import draw
from gameday.toxiproxy.timers import NEVER, Alarm, Alarms
from gameday.toxiproxy.toxics import TYPES
from gameday.toxiproxy.toxics.stage import Chunk, Outlet, Stage, Toxic

CHUNK_BYTES = 32 * 1024


class End(Protocol):
    """A socket of the connection, as a link sees it."""

    @property
    def has_room(self) -> bool: ...
    @property
    def write(self) -> Callable[[bytes], None]: ...
    def deliver_to(self, receiver: Callable[[bytes], object]) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def end(self) -> None: ...
    def close(self) -> None: ...


def discard(data: bytes) -> None:
    """Where bytes go that nobody waits for any more."""


class Link:
    """The bytes from `source` to `sink`. `on_end` and `on_reset` tell the connection."""

    def __init__(
        self,
        source: End,
        sink: End,
        *,
        alarms: Alarms,
        chance: tuple[int, str],
        count: bool,
    ) -> None:
        self.source = source
        self.sink = sink
        self.received_bytes = 0
        self.sent_bytes = 0
        self.done = False
        self.on_end: Callable[[Link], None] = _nobody
        self.on_reset: Callable[[], None] = _nothing
        self._clock = alarms.clock
        self._alarms = alarms
        self._seed, self._purpose = chance
        self._count = count
        self._stages: list[Stage] = []
        self._ended = False
        self._alarm: Alarm | None = None
        self._alarm_ns = NEVER

    # What the source and the sink tell.

    def feed(self, data: bytes) -> None:
        """Bytes were read from the source."""
        now_ns = self._clock.now_ns()
        self.received_bytes += len(data)
        first = self._first()
        if len(data) <= CHUNK_BYTES:
            first.put(Chunk(data, now_ns), now_ns)
        else:
            for start in range(0, len(data), CHUNK_BYTES):
                first.put(Chunk(data[start : start + CHUNK_BYTES], now_ns), now_ns)
        self._run(now_ns)

    def source_ended(self) -> None:
        """Nothing more will be read; what is queued still goes out."""
        if self._ended or self.done:
            return
        self._ended = True
        now_ns = self._clock.now_ns()
        self._first().end(now_ns)
        self._run(now_ns)

    def sink_lost(self) -> None:
        """Nothing can be written any more."""
        self._finish()
        self.source.resume()

    def run(self) -> None:
        """Let everything move that can: the sink has room again, or a toxic was changed."""
        self._run(self._clock.now_ns())

    def stop(self) -> None:
        """The connection is gone."""
        self._finish()

    # What the last stage lets go into.

    @property
    def has_room(self) -> bool:
        return self.sink.has_room

    def put(self, chunk: Chunk, now_ns: int) -> None:
        self.sent_bytes += len(chunk.data)
        self.sink.write(chunk.data)

    def end(self, now_ns: int) -> None:
        if not self.done:
            self._finish()
            self.on_end(self)

    def reset(self) -> None:
        self._finish()
        self.on_reset()

    # Toxics.

    def apply(self, toxics: Sequence[Toxic]) -> None:
        """Make the stages those of `toxics`, in their order, losing no byte on the way."""
        if self.done:
            return
        now_ns = self._clock.now_ns()
        wanted = [toxic for toxic in toxics if self._affected_by(toxic)]
        kept = self._remove_others(wanted, now_ns)
        if self.done:
            return
        self._stages = [kept.get(id(toxic)) or self._stage(toxic, now_ns) for toxic in wanted]
        out: Outlet = self
        for stage in reversed(self._stages):
            stage.out, out = out, stage
        self.source.deliver_to(self._receiver())
        self._run(now_ns)

    def _remove_others(self, wanted: list[Toxic], now_ns: int) -> dict[int, Stage]:
        kept: dict[int, Stage] = {}
        out: Outlet = self
        for stage in reversed(self._stages):
            stage.out = out
            if stage.toxic in wanted:
                kept[id(stage.toxic)] = out = stage
            else:
                stage.leave(now_ns)
        return kept

    def _affected_by(self, toxic: Toxic) -> bool:
        """Drawn once per connection, stream and toxic: the same answer at each call."""
        if toxic.toxicity >= 1:
            return True
        return draw(self._seed, f"{self._purpose}/{toxic.name}", 0) < toxic.toxicity

    def _stage(self, toxic: Toxic, now_ns: int) -> Stage:
        purpose = f"{self._purpose}/{toxic.name}"
        return TYPES[toxic.type](toxic, self, self._seed, purpose, now_ns)

    def _receiver(self) -> Callable[[bytes], object]:
        return self.feed if self._stages or self._count else self.sink.write

    def _first(self) -> "Stage | Link":
        return self._stages[0] if self._stages else self

    # Moving.

    def _run(self, now_ns: int) -> None:
        moved = True
        while moved and not self.done:
            moved = False
            for stage in reversed(self._stages):
                moved |= stage.step(now_ns)
            moved = moved and len(self._stages) > 1  # one alone has done all it could
        if self.done:
            return
        for stage in self._stages:
            if stage.wake_ns < self._alarm_ns:
                self._wake_at(stage.wake_ns)
        if self._ended:
            return
        if self._first().has_room:
            self.source.resume()
        else:
            self.source.pause()

    def _wake_at(self, due_ns: int) -> None:
        """Be woken at `due_ns` at the latest: too early finds nothing due and asks again."""
        self._cancel_alarm()
        self._alarm_ns = due_ns
        self._alarm = self._alarms.at(due_ns, self._woken)

    def _woken(self) -> None:
        self._alarm = None
        self._alarm_ns = NEVER
        self.run()

    def _cancel_alarm(self) -> None:
        self._alarm_ns = NEVER
        if self._alarm is not None:
            self._alarms.cancel(self._alarm)
            self._alarm = None

    def _finish(self) -> None:
        self.done = True
        self._cancel_alarm()
        self._stages = []
        self.source.deliver_to(discard)


def _nobody(link: Link) -> None:
    raise RuntimeError(f"{link} ended before its connection was opened")


def _nothing() -> None:
    raise RuntimeError("a link was reset before its connection was opened")
