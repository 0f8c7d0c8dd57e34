"""Latency: everything arrives, in order, but late."""

from gameday.toxiproxy.toxics.stage import ANY, MS, Chunk, Outlet, Toxic, ToxicStage

JITTER_LIMIT_MS = (1 << 62) - 1  # twice it, which Go draws below, still fits into an int64


class LatencyToxic(ToxicStage):
    """Holds each chunk until `latency` ± `jitter` ms after it was received.

    The jitter is a whole number of ms, uniform in [-jitter, jitter). A chunk never overtakes
    another. Connecting and closing are delayed only by the chunks before them. Of a chunk that
    waited for its turn only the rest of the time is held, and by that rest (negative, where it
    waited longer) its time moves on for the toxics after this one. These reckon it to have come
    when it was due, so a timer that rang late takes nothing off their time.
    """

    type = "latency"
    fields = {"latency": ANY, "jitter": (-JITTER_LIMIT_MS, JITTER_LIMIT_MS)}  # noqa: RUF012
    capacity = 1 + 1024

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._in_hand: Chunk | None = None
        self._due_ns = 0
        self.held_bytes = 0

    def put(self, chunk: Chunk, now_ns: int) -> None:
        if not self.finished:
            self.held_bytes += len(chunk.data)
        super().put(chunk, now_ns)

    def due_ns(self, head: Chunk) -> int:
        if head is not self._in_hand:
            self._in_hand = head
            attributes = self.toxic.attributes
            delay_ms, jitter_ms = attributes["latency"], attributes["jitter"]
            if jitter_ms > 0:
                delay_ms += self.draw_integer(jitter_ms)
            self._due_ns = head.received_ns + delay_ms * MS
        return self._due_ns

    def let_go(self, now_ns: int) -> None:
        head, due_ns = self.queue.popleft(), self._due_ns
        self.held_bytes -= len(head.data)
        taken_ns = max(self.free_ns, head.arrived_ns)
        head.received_ns += due_ns - taken_ns
        self.free_ns = now_ns if self.blocked else max(due_ns, taken_ns)
        self.blocked = False
        self.out.put(head, self.free_ns)

    def pass_on(self, now_ns: int) -> None:
        self.held_bytes -= len(self.queue[0].data)
        super().pass_on(now_ns)

    def close(self, now_ns: int) -> None:
        self.held_bytes = 0
        super().close(now_ns)
