"""Bandwidth: everything arrives, but only so many bytes a second."""

from gameday.toxiproxy.timers import NEVER
from gameday.toxiproxy.toxics.stage import MS, NOT_NEGATIVE, Chunk, Outlet, Stage, Toxic

PIECE_MS = 100
CREDIT_LIMIT_NS = 100 * MS


class Bandwidth(Stage):
    """Lets `rate` kB (1000 bytes) a second through, in pieces of at most 100 ms.

    A piece goes when the line has had the time to carry it. A chunk that was already waiting
    starts where the last one was due, so the timer's error does not add up; what a stall cost
    is not made up for. Rate 0 stalls.
    """

    type = "bandwidth"
    fields = {"rate": NOT_NEGATIVE}  # noqa: RUF012

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._line_free_ns = 0

    def _piece(self, head: Chunk) -> int:
        return min(len(head.data), self["rate"] * PIECE_MS)

    def due_ns(self, head: Chunk) -> int:
        rate = self["rate"]
        if rate == 0:
            return NEVER
        begins_ns = max(self._line_free_ns, head.arrived_ns)
        return begins_ns + self._piece(head) * MS // rate

    def let_go(self, now_ns: int) -> None:
        head = self.queue[0]
        self._line_free_ns = max(self.due_ns(head), now_ns - CREDIT_LIMIT_NS)
        piece = self._piece(head)
        if piece == len(head.data):
            self.queue.popleft()
            self.out.put(head, now_ns)
            return
        self.out.put(Chunk(head.data[:piece], head.received_ns), now_ns)
        head.data = head.data[piece:]
