"""Reset peer: the connection breaks as if a machine had died or a firewall had cut it."""

from gameday.toxiproxy.timers import NEVER
from gameday.toxiproxy.toxics.stage import ANY, MS, Chunk, Outlet, Toxic, ToxicStage


class ResetPeerToxic(ToxicStage):
    """Drops the first chunk and all after it, and `timeout` ms later resets both sockets.

    An idle connection is left alone; its end starts the wait like a chunk does, and nothing but
    the toxic's removal shortens it. The reset goes the way of an end, so the toxics after this
    one may hold it.
    """

    type = "reset_peer"
    fields = {"timeout": ANY}  # noqa: RUF012

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._due_ns = NEVER

    def put(self, chunk: Chunk, now_ns: int) -> None:
        self._begin(now_ns)

    def end(self, now_ns: int) -> None:
        self._begin(now_ns)

    def step(self, now_ns: int) -> bool:
        self.wake_ns = NEVER
        if self.finished or self._due_ns > now_ns:
            self.wake_ns = NEVER if self.finished else self._due_ns
            return False
        self._break(now_ns)
        return True

    def flush(self, now_ns: int) -> None:
        if self._due_ns < NEVER and not self.finished:
            self._break(now_ns)

    def _begin(self, now_ns: int) -> None:
        if self._due_ns == NEVER:
            self._due_ns = now_ns + max(0, self["timeout"]) * MS

    def _break(self, now_ns: int) -> None:
        self.reset()
        self.close(now_ns)
