"""Limit data: the connection closes after so many bytes."""

from gameday.toxiproxy.toxics.stage import ANY, Chunk, Outlet, Toxic, ToxicStage


class LimitDataToxic(ToxicStage):
    """Passes exactly `bytes` bytes, counted since it joined the link, then closes."""

    type = "limit_data"
    fields = {"bytes": ANY}  # noqa: RUF012

    def __init__(self, toxic: Toxic, out: Outlet, seed: int, purpose: str, now_ns: int) -> None:
        super().__init__(toxic, out, seed, purpose, now_ns)
        self._passed = 0

    def let_go(self, now_ns: int) -> None:
        head = self.queue.popleft()
        self.free_ns = now_ns
        data = head.data[: max(0, self["bytes"] - self._passed)]
        self._passed += len(data)
        if data:
            self.out.put(Chunk(data, head.received_ns), now_ns)
        if self._passed >= self["bytes"]:
            self.close(now_ns)
