"""One direction of a connection: from the source, through the stages of its toxics, to the sink.

Without toxics the source's bytes go straight into the sink's socket: no queue, no task, no clock.
With toxics each read becomes chunks that move from stage to stage. `run` steps the stages, last
first so that there is room, until nothing moves, and sets an alarm for the earliest that wants
to be woken. The first stage's room decides whether the source is read at all, so a slow sink or a
narrow toxic stops the sender, and memory stays bounded: of one link by its stages' room, of all
together by `HELD_BYTES_MAX`. A chunk counts as received when Toxiproxy
would have read it, not when the system handed it over together with those before it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gameday.toxiproxy.random import draw
from gameday.toxiproxy.settings import HELD_BYTES_LEFT, HELD_BYTES_MAX, HeldBytes
from gameday.toxiproxy.timers import NEVER, Alarms, ScheduledCall
from gameday.toxiproxy.toxics import TYPES
from gameday.toxiproxy.toxics.stage import Chunk, Outlet, Toxic, ToxicStage

CHUNK_BYTES = 32 * 1024  # the buffer of Go's io.Copy, which Toxiproxy reads with
CHUNKS_AHEAD = 2
"""The chunks that wait for the first toxic: Toxiproxy's reader has one, a hidden noop another."""


class LinkEnd(Protocol):
    """A socket of the connection, as a link sees it."""

    @property
    def has_room(self) -> bool: ...
    @property
    def write(self) -> Callable[[bytes], None]: ...
    def deliver_to(self, receiver: Callable[[bytes], object]) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def end(self) -> None: ...
    def close(self, *, reset: bool = False) -> None: ...


def discard(data: bytes) -> None:
    """Drop bytes that nobody waits for any more."""


class Link:
    """The bytes from `source` to `sink`. `on_end` and `on_reset` tell the connection."""

    def __init__(
        self,
        source: LinkEnd,
        sink: LinkEnd,
        *,
        alarms: Alarms,
        chance: tuple[int, str],
        count: bool,
        held: HeldBytes,
    ) -> None:
        self.source = source
        self.sink = sink
        self.received_bytes = 0
        self.sent_bytes = 0
        self.done = False
        self.on_end: Callable[[Link], None] = _nobody
        self.on_reset: Callable[[Link], None] = _nobody
        self._clock = alarms.clock
        self._alarms = alarms
        self._seed, self._purpose = chance
        self._count = count
        self._held = held
        self._held_bytes = 0
        self._toxics: list[Toxic] = []
        self._stages: list[ToxicStage] = []
        self._unread: deque[bytes] = deque()
        self._fed_ns = 0
        self.free_ns = 0  # as of a stage that holds nothing
        self._resets = False
        self._ended = False
        self._alarm: ScheduledCall | None = None
        self._alarm_ns = NEVER

    # What the source and the sink tell.

    def feed(self, data: bytes) -> None:
        """Bytes were read from the source, which is read only while the first stage has room."""
        now_ns = self._clock.now_ns()
        self.received_bytes += len(data)
        if len(data) <= CHUNK_BYTES and not self._unread:
            (self._stages[0] if self._stages else self).put(Chunk(data, now_ns), now_ns)
        else:
            self._fed_ns = now_ns
            for start in range(0, len(data), CHUNK_BYTES):
                self._unread.append(data[start : start + CHUNK_BYTES])
        self._run(now_ns)

    def source_ended(self) -> None:
        """Nothing more will be read; what is queued still goes out."""
        if self._ended or self.done:
            return
        self._ended = True
        self._run(self._clock.now_ns())

    def source_reset(self) -> None:
        """The source's socket is broken: once what is queued has gone out, so is the sink's."""
        self._resets = True
        self.source_ended()

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
        if not self.done:
            self.sent_bytes += len(chunk.data)
            self.sink.write(chunk.data)

    def end(self, now_ns: int) -> None:
        if self.done:
            return
        self._finish()
        if self._resets:
            self.on_reset(self)
        else:
            self.on_end(self)

    def reset(self) -> None:
        """The end that follows is a reset."""
        self._resets = True

    # Toxics.

    def apply(self, toxics: Sequence[Toxic], updated: Toxic | None = None) -> None:
        """Make the stages those of `toxics`, in their order, losing no byte on the way.

        As in Toxiproxy a toxic that is `updated`, the one before a removed toxic and the last one
        before an added toxic are interrupted; what that last one has in hand passes the new one by.
        """
        if self.done:
            return
        now_ns = self._clock.now_ns()
        for toxic in [toxic for toxic in self._toxics if toxic not in toxics]:
            self._remove(toxic, now_ns)
        if updated is not None and (stage := self._stage_of(updated)):
            stage.interrupt(now_ns)
        if len(self._toxics) < len(toxics) and (stage := self._stage_before(len(self._toxics))):
            stage.hand_over(now_ns)
        self._toxics = list(toxics)
        self._arrange(now_ns)
        if not self.done:
            self.source.deliver_to(self._receiver())
            self._run(now_ns)

    def _remove(self, toxic: Toxic, now_ns: int) -> None:
        index = self._toxics.index(toxic)
        if before := self._stage_before(index):
            before.interrupt(now_ns)
        del self._toxics[index]
        if stage := self._stage_of(toxic):
            self._take_out(stage)
            stage.leave(now_ns)

    def _take_out(self, stage: ToxicStage) -> None:
        index = self._stages.index(stage)
        del self._stages[index]
        if index:
            self._stages[index - 1].out = stage.out

    def _arrange(self, now_ns: int) -> None:
        """Give each toxic that affects this link a stage, and no other one."""
        affecting = [toxic for toxic in self._toxics if self._affected_by(toxic)]
        for stage in [stage for stage in self._stages if stage.toxic not in affecting]:
            self._take_out(stage)
            stage.flush(now_ns)
        self._stages = [self._stage_of(toxic) or self._stage(toxic, now_ns) for toxic in affecting]
        out: Outlet = self
        for stage in reversed(self._stages):
            stage.out, out = out, stage

    def _stage_of(self, toxic: Toxic) -> ToxicStage | None:
        return next((stage for stage in self._stages if stage.toxic is toxic), None)

    def _stage_before(self, index: int) -> ToxicStage | None:
        return self._stage_of(self._toxics[index - 1]) if index else None

    def _affected_by(self, toxic: Toxic) -> bool:
        """Drawn once per connection, stream and toxic: the same answer at each call."""
        if toxic.toxicity >= 1:
            return True
        return draw(self._seed, f"{self._purpose}/{toxic.name}", 0) < toxic.toxicity

    def _stage(self, toxic: Toxic, now_ns: int) -> ToxicStage:
        purpose = f"{self._purpose}/{toxic.name}"
        return TYPES[toxic.type](toxic, self, self._seed, purpose, now_ns)

    def _receiver(self) -> Callable[[bytes], object]:
        return self.feed if self._stages or self._count else self.sink.write

    # Moving.

    def _run(self, now_ns: int) -> None:
        stages = self._stages
        moved = True
        while moved and not self.done:
            moved = self._read(now_ns) if self._unread or self._ended else False
            for stage in reversed(stages):
                moved |= stage.step(now_ns)
            if len(stages) < 2 and not self._unread:
                break  # one alone has done all it could
        if not self.done:
            self._wait(stages)

    def _read(self, now_ns: int) -> bool:
        """Give the first stage what has come, as far as it takes it; whether there was any.

        It counts as read when the stage let go of the chunk that made room, however late that was
        noticed.
        """
        first, moved = self._stages[0] if self._stages else self, False
        while self._unread and (first is self or self._has_room()):
            read_ns = max(first.free_ns, self._fed_ns)
            first.put(Chunk(self._unread.popleft(), read_ns), read_ns)
            moved = True
        if self._ended and not self._unread:
            first.end(now_ns)
        return moved

    def _wait(self, stages: list[ToxicStage]) -> None:
        """Be woken when a stage wants it, and read the source while there is room."""
        held_bytes = 0
        for stage in stages:
            held_bytes += stage.held_bytes
            if stage.wake_ns < self._alarm_ns:
                self._wake_at(stage.wake_ns)
        self._hold(held_bytes)
        if not self._ended and self._has_room():
            self.source.resume()
        elif not self._ended:
            self.source.pause()

    def _has_room(self) -> bool:
        if not self._stages:
            return self.has_room
        if self._held.total > HELD_BYTES_MAX:
            # By now, not as of the last count: what is due goes out, and then the next is read.
            held_bytes = sum(stage.held_bytes for stage in self._stages)
            if held_bytes > HELD_BYTES_LEFT:
                return False
        first = self._stages[0]
        return len(first.queue) < first.capacity + CHUNKS_AHEAD

    def _hold(self, held_bytes: int) -> None:
        self._held.total += held_bytes - self._held_bytes
        self._held_bytes = held_bytes

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
        self._hold(0)
        self._unread.clear()
        self.source.deliver_to(discard)


def _nobody(link: Link) -> None:
    raise RuntimeError(f"{link} ended before its connection was opened")
