"""Bandwidth: everything arrives, but only so many bytes a second."""

from gameday.toxiproxy.timers import NEVER
from gameday.toxiproxy.toxics.stage import MS, NOT_NEGATIVE, Chunk, ToxicStage

PIECE_MS = 100  # Toxiproxy lets go of what fits into 100 ms
CREDIT_LIMIT_NS = PIECE_MS * MS  # a timer that is later than a whole piece was a stall


class BandwidthToxic(ToxicStage):
    """Lets `rate` kB (1000 bytes) a second through, in pieces of at most 100 ms.

    A piece goes when the line has had the time to carry it. A chunk that was already waiting
    starts where the last one was due, so the timer's error does not add up; what a stall or a
    narrower place further on cost is not made up for. Rate 0 stalls.
    """

    type = "bandwidth"
    fields = {"rate": NOT_NEGATIVE}  # noqa: RUF012

    def _piece(self, head: Chunk) -> int:
        return min(len(head.data), self["rate"] * PIECE_MS)

    def due_ns(self, head: Chunk) -> int:
        rate = self["rate"]
        if rate == 0:
            return NEVER
        return max(self.free_ns, head.arrived_ns) + self._piece(head) * MS // rate

    def let_go(self, now_ns: int) -> None:
        head = self.queue[0]
        free_ns = now_ns if self.blocked else max(self.due_ns(head), now_ns - CREDIT_LIMIT_NS)
        piece = self._piece(head)
        if piece == len(head.data):
            self.pass_on(now_ns)
        else:
            self.blocked = False
            self.out.put(Chunk(head.data[:piece], head.received_ns), now_ns)
            head.data = head.data[piece:]
        self.free_ns = free_ns

    def interrupt(self, now_ns: int) -> None:
        self.free_ns = now_ns
        self.released = bool(self.queue)
