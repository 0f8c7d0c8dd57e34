"""Slow close: the bytes arrive in time, the end of the stream late."""

from gameday.toxiproxy.toxics.stage import ANY, MS, ToxicStage


class SlowCloseToxic(ToxicStage):
    """Holds the end of the stream back for `delay` ms."""

    type = "slow_close"
    fields = {"delay": ANY}  # noqa: RUF012

    def end_due_ns(self, taken_ns: int) -> int:
        return taken_ns + self["delay"] * MS
