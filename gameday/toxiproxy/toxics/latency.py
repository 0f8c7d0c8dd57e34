"""Latency: everything arrives, in order, but late."""

from gameday.toxiproxy.toxics.stage import ANY, MS, Chunk, Outlet, Stage, Toxic

JITTER_LIMIT_MS = (1 << 62) - 1


class Latency(Stage):
    """Holds each chunk until `latency` ± `jitter` ms after it was received.

    The jitter is a whole number of ms, uniform in [-jitter, jitter). A chunk never overtakes
    another. Connecting and closing are delayed only by the chunks before them.
    """

    type = "latency"
    fields = {"latency": ANY, "jitter": (-JITTER_LIMIT_MS, JITTER_LIMIT_MS)}  # noqa: RUF012
    capacity = 1024

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._drawn_for: tuple[Chunk, int] | None = None
        self._jitter_ms = 0

    def due_ns(self, head: Chunk) -> int:
        jitter_ms = self["jitter"]
        if jitter_ms <= 0:
            self._jitter_ms = 0
        elif self._drawn_for != (head, jitter_ms):
            self._drawn_for = (head, jitter_ms)
            self._jitter_ms = self.draw_integer(jitter_ms)
        return head.received_ns + (self["latency"] + self._jitter_ms) * MS
