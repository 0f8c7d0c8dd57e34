"""Timeout: nothing arrives, and after a while the connection closes."""

from gameday.toxiproxy.timers import NEVER
from gameday.toxiproxy.toxics.stage import ANY, MS, Chunk, Outlet, Toxic, ToxicStage


class TimeoutToxic(ToxicStage):
    """Drops everything, and closes after `timeout` ms without a new chunk; 0 is never.

    Bytes were lost, so removing it closes the connection rather than go on with a hole in it.
    """

    type = "timeout"
    fields = {"timeout": ANY}  # noqa: RUF012

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._quiet_since_ns = now_ns

    def put(self, chunk: Chunk, now_ns: int) -> None:
        self._quiet_since_ns = now_ns

    def step(self, now_ns: int) -> bool:
        self.wake_ns = NEVER
        if self.finished:
            return False
        timeout_ms = self["timeout"]
        due_ns = self._quiet_since_ns + timeout_ms * MS if timeout_ms > 0 else NEVER
        if self.ended_ns is None and due_ns > now_ns:
            self.wake_ns = due_ns
            return False
        self.close(now_ns)
        return True

    def interrupt(self, now_ns: int) -> None:
        self._quiet_since_ns = now_ns

    def leave(self, now_ns: int) -> None:
        if not self.finished:
            self.close(now_ns)
