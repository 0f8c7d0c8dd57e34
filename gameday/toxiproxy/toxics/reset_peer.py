"""Reset peer: the connection breaks as if a machine had died or a firewall had cut it."""

from gameday.toxiproxy.timers import NEVER
from gameday.toxiproxy.toxics.stage import ANY, MS, Chunk, Outlet, Stage, Toxic


class ResetPeer(Stage):
    """Drops the first chunk and all after it, and `timeout` ms later resets both sockets.

    An idle connection is left alone; its end starts the wait like a chunk does.
    """

    type = "reset_peer"
    fields = {"timeout": ANY}  # noqa: RUF012

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._began_ns: int | None = None

    def put(self, chunk: Chunk, now_ns: int) -> None:
        if self._began_ns is None:
            self._began_ns = now_ns

    def end(self, now_ns: int) -> None:
        super().end(now_ns)
        if self._began_ns is None:
            self._began_ns = now_ns

    def step(self, now_ns: int) -> bool:
        self.wake_ns = NEVER
        if self._began_ns is None or self.finished:
            return False
        due_ns = self._began_ns + max(0, self["timeout"]) * MS
        if due_ns > now_ns:
            self.wake_ns = due_ns
            return False
        self._break()
        return True

    def leave(self, now_ns: int) -> None:
        if self._began_ns is not None and not self.finished:
            self._break()

    def _break(self) -> None:
        self.finished = True
        self.reset()
