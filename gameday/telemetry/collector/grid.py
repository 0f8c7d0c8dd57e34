"""The instants of measurement: start + k · period, exactly, whatever happens in between.

A tick that comes late does not push the later ones: its instant is left out and the next one
is kept. So timestamps never drift, and a rate over a window has the same samples as it would
have in Prometheus, which scrapes on a grid as well.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """The instants; `start_ns` is the first."""

    start_ns: int
    period_ns: int

    def next_after(self, last_ns: int | None, now_ns: int) -> int:
        """The first instant after `last_ns` that `now_ns` is late for by at most half a period."""
        earliest = now_ns - self.period_ns // 2
        if last_ns is not None:
            earliest = max(earliest, last_ns + 1)
        steps = max(0, -((self.start_ns - earliest) // self.period_ns))
        return self.start_ns + steps * self.period_ns
