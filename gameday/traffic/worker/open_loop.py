"""A scenario of a set rate on its way: which start is due next.

The open model: a start is due when its schedule says, whether or not the system keeps up. Due
times and users are computed in blocks of arrays, ahead of time. A start is dropped only at the
limit of open requests (as `system-saturated`, since it is the system that has not answered, or as
`late` when the worker itself was behind and its own burst met the limit), or when the scenario
has a limit of virtual users and none of them is free.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final

from gameday.core.clock import NS
from gameday.traffic.history import Reason
from gameday.traffic.worker.client import Sends
from gameday.traffic.worker.recorder import Recorder, Start
from gameday.traffic.worker.vu_pool import Pool, Vu

BURST: Final = 64  # answers are read between bursts: their times stay true
LATE_NS: Final = NS // 10  # twice the lag that a run allows: then the reason for a drop is ours


class OpenLoop:
    """The starts of one scenario that are this worker's."""

    def __init__(self, recorder: Recorder, client: Sends, pool: Pool | None) -> None:
        self.recorder = recorder
        self.name = recorder.name
        self.scenario = scenario = recorder.scenario
        self.ended = False
        self.pool = pool
        self._client = client
        self._end_ns = recorder.t0_ns + scenario.end_s * NS + scenario.graceful_stop_ns
        self._next_block = 0
        self._ks: list[int] = []
        self._dues: list[int] = []
        self._users: list[int] = []
        self._at = 0
        self._load()

    def _load(self) -> None:
        """The next block of this worker's starts."""
        ks = self.recorder.share(self._next_block, self.scenario.count)
        self._next_block += len(ks)
        self._at = 0
        self._ks = ks.tolist()
        if not self._ks:
            self.ended = True
            return
        self._dues = (self.scenario.due_ns(ks) + self.recorder.t0_ns).tolist()
        self._users = self.recorder.users(ks)

    def dispatch(self, now_ns: int) -> int | None:
        """Send what is due by `now_ns`; when the next start is due, None after the last."""
        if self.ended:
            return None
        if self._dues[self._at] <= now_ns:
            if self.pool is None:
                self._send(self._due(now_ns), now_ns)
            else:
                self._send_by(self.pool, self._due(now_ns), now_ns)
        return self._next_due_ns()

    def _next_due_ns(self) -> int | None:
        return None if self.ended else self._dues[self._at]

    def _due(self, now_ns: int) -> Sequence[Start]:
        """Starts due by `now_ns`, counted as dispatched first.

        At most BURST of them: a worker that is late reads answers between bursts, so that their
        connections are free again and not each start needs a new one.
        """
        at = self._at
        until = min(bisect_right(self._dues, now_ns, lo=at), at + BURST)
        ks = self._ks[at:until]
        starts = list(zip(ks, self._users[at:until], self._dues[at:until], strict=True))
        self.recorder.advance(ks[-1])
        self._at = until
        if until == len(self._ks):
            self._load()
        return starts

    def _send(self, starts: Sequence[Start], now_ns: int) -> None:
        room = max(0, self._client.most_open - len(self._client.open))
        self._client.send(self, starts[:room])
        for start in starts[room:]:
            late = now_ns - start[2] > LATE_NS
            self.recorder.dropped(start, Reason.LATE if late else Reason.SYSTEM_SATURATED, now_ns)

    def _send_by(self, pool: Pool, starts: Iterable[Start], now_ns: int) -> None:
        for start in starts:
            vu = pool.take(now_ns)
            if vu is None:
                self.recorder.dropped(start, Reason.NO_VUS, now_ns)
            else:
                self._client.send_by(vu, self, start)

    def over(self, vu: Vu) -> None:
        """The iteration of a virtual user is over, but for its sleep."""
        if self.pool is not None:
            self.pool.over(vu, self._client.now())

    def end(self) -> None:
        """Start nothing more."""
        self.ended = True

    def interrupt_overdue(self, now_ns: int) -> None:
        """End what is still open when the scenario's time and its grace are over."""
        if now_ns >= self._end_ns:
            self._client.interrupt(self)

    def never_started(self) -> int:
        """The number of this worker's starts that were never due; 0 where there is no last one."""
        if self.scenario.end_s == float("inf"):
            return 0
        return self.recorder.count(self.scenario.count) - self.recorder.count(
            self.recorder.dispatched
        )

    def rate(self, now_ns: int) -> float:
        """Starts a second of this worker, about now."""
        if self.ended:
            return 0.0
        now_s = (now_ns - self.recorder.t0_ns) / NS
        return self.recorder.part(self.scenario.highest_rate(now_s, now_s + 0.1))

    def most_open(self, now_ns: int, before_s: float) -> float:
        """The limit of open requests: by the highest rate of the last `before_s` seconds.

        And of the next tenth of one, and as many as are due at once. Who asks again may take so
        many times as long. Virtual users limit themselves.
        """
        if self.pool is not None:
            return self.pool.made
        if self.ended and self.scenario.end_s == float("inf"):
            return 0.0
        again = self.scenario.retries
        before_s += again.at_most * (before_s + again.backoff_s)
        now_s = (now_ns - self.recorder.t0_ns) / NS
        rate = self.scenario.highest_rate(now_s - before_s, now_s + 0.1)
        together = ceil(self.recorder.part(self.scenario.at_once - 1))
        return 1.1 * self.recorder.part(rate) * before_s + together
