"""A scenario of virtual users on its way: each asks, waits for the answer, sleeps, asks again.

This is the closed model: start k is the k-th iteration that begins, and it is due when it begins,
so a slow system is asked less. The plan says how many users may go on at each instant. Who is one
too many finishes his iteration within `gracefulRampDown`, at the end within `gracefulStop`, or is
interrupted; who is still finishing when the number rises goes on.

A sleep ends by the clock, not by the event loop's timer: that one counts from the last time the
loop looked at its own clock, in whole milliseconds, and so ends a sleep too early.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from gameday.traffic.schedule.scenario import MOST_STARTS
from gameday.traffic.schedule.virtual_users import VirtualUsers, share_of
from gameday.traffic.worker.client import Sends
from gameday.traffic.worker.recorder import Recorder
from gameday.traffic.worker.vu_pool import Vu

BURST: Final = 64  # answers are read between bursts: their times stay true


class ClosedLoop:
    """The virtual users of one scenario that are this worker's, w of n."""

    def __init__(
        self, recorder: Recorder, plan: VirtualUsers, client: Sends, hurry: Callable[[], None]
    ) -> None:
        self.recorder = recorder
        self.name = recorder.name
        self.ended = False
        self._plan = plan
        self._client = client
        self._hurry = hurry
        self._steps = deque(
            (recorder.t0_ns + step.at_ns, share_of(step.vus, recorder.worker, recorder.workers))
            for step in plan.steps
        )
        self._allowed = 0
        self._vus: list[Vu] = []
        self._ready: deque[Vu] = deque()
        self._asleep: deque[tuple[int, Vu]] = deque()  # all sleep as long: who is first wakes first
        self._leaving: set[Vu] = set()
        self._block: deque[tuple[int, int]] = deque()
        self._begun = 0

    def dispatch(self, now_ns: int) -> int | None:
        """Begin the iterations of who is ready; when there is something to do again."""
        while self._steps and self._steps[0][0] <= now_ns:
            at_ns, allowed = self._steps.popleft()
            self._step(at_ns, allowed, last=not self._steps)
        while self._asleep and self._asleep[0][0] <= now_ns:
            self._ready.append(self._asleep.popleft()[1])
        for _ in range(min(BURST, len(self._ready))):
            vu = self._ready.popleft()
            if vu.number < self._allowed:
                self._begin(vu)
            else:
                self._rest(vu)
        if self._ready:
            return now_ns
        return min((queue[0][0] for queue in (self._steps, self._asleep) if queue), default=None)

    def _step(self, at_ns: int, allowed: int, *, last: bool) -> None:
        """From `at_ns` on `allowed` users may begin iterations."""
        grace_ns = self._plan.graceful_stop_ns if last else self._plan.graceful_ramp_down_ns
        while len(self._vus) < allowed:
            self._vus.append(Vu(len(self._vus)))
        for vu in self._vus[self._allowed : allowed]:
            vu.leave_ns = 0
            self._leaving.discard(vu)
            if not vu.busy:
                vu.busy = True
                self._ready.append(vu)
        for vu in self._vus[allowed : self._allowed]:
            if vu.busy:
                vu.leave_ns = at_ns + grace_ns
                self._leaving.add(vu)
        self._allowed = allowed
        self.ended = last

    def _begin(self, vu: Vu) -> None:
        if not self._block:
            ks = self.recorder.share(self._begun, MOST_STARTS)
            self._begun += len(ks)
            self._block.extend(zip(ks.tolist(), self.recorder.users(ks), strict=True))
        k, user = self._block.popleft()
        self.recorder.advance(k)
        self._client.send_by(vu, self, (k, user, self._client.now()))

    def _rest(self, vu: Vu) -> None:
        vu.busy = False
        self._leaving.discard(vu)

    def over(self, vu: Vu) -> None:
        """His request is over; after his sleep he is ready for the next."""
        if not self._plan.sleep_ns:
            self._ready.append(vu)
            self._hurry()
            return
        self._asleep.append((self._client.now() + self._plan.sleep_ns, vu))
        if len(self._asleep) == 1:  # the alarm does not know of him yet
            self._hurry()

    def end(self) -> None:
        """Begin nothing more; what is open has its time limit."""
        self._steps.clear()
        self._step(self._client.now(), 0, last=True)

    def interrupt_overdue(self, now_ns: int) -> None:
        """End the requests of who should have left by now."""
        late = {vu for vu in self._leaving if vu.leave_ns <= now_ns}
        if late:
            self._leaving -= late
            self._client.interrupt(self, late)

    def never_started(self) -> int:
        """Nobody knows how many there would have been."""
        return 0

    def rate(self, _now_ns: int) -> float:
        """Nothing is due at a rate: who is ready begins."""
        return 0.0

    def most_open(self, _now_ns: int, _before_s: float) -> float:
        """As many requests as users may be open."""
        return len(self._vus)
