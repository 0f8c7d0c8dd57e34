"""The follower of a run: it reads the files that the run writes, and announces what they say.

The controller knows nothing of it, so nothing here can hold a run up or break it. It begins with
the run, and ends when it is told to, after a last look. Of a drill it reads only what a trainee
may read, and says no more than that it has begun, and that it was ended early.
"""

import threading
from pathlib import Path
from typing import Final

from gameday.core.clock import NS
from gameday.core.files.tail import Tail
from gameday.evidence import events
from gameday.evidence.journal import Record, parse
from gameday.report.notify.delivery import Outbox
from gameday.report.notify.notice import RunTitle, alerts_fire, run_aborted, run_started
from gameday.telemetry.samples import LiveEvaluation, evaluation_of

MOST_ALERTS: Final = 5  # messages of a run; an alert storm is no reason to flood a channel
LOOK_S: Final = 0.5  # people read messages in seconds, and a run is not to notice the reading
JOIN_S: Final = 3.0  # for the last look


class RunFollower:
    """Announces the beginning of a run, each alert when it first fires, and an early end."""

    def __init__(self, run_dir: Path, of: RunTitle, outbox: Outbox) -> None:
        self._of = of
        self._outbox = outbox
        self._journal = Tail(run_dir / "journal.jsonl")
        self._samples = Tail(run_dir / "samples.jsonl")
        self._t0_ns = 0
        self._known: set[str] | None = None
        """Alerts that were told of, and those of the first evaluation: they are not of this run."""
        self._alerted = 0
        self._aborted = False
        self._ended, self._why = "", ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="notify run", daemon=True)

    def start(self) -> None:
        self._outbox.put(run_started(self._of))
        self._thread.start()

    def finish(self, within_s: float) -> None:
        """Take a last look; what is to be told then has `within_s`, for which nobody waits here."""
        self._over.set()
        self._thread.join(JOIN_S)
        self._outbox.finish(within_s)

    def _follow(self) -> None:
        while True:
            last = self._over.is_set()
            try:
                self.look()
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                return  # a file that cannot be read tells nothing more; judging says so
            if last:
                return
            self._over.wait(LOOK_S)

    def look(self) -> None:
        """Take in what was written since the last look. Raises OSError and ValueError."""
        for line in self._journal.lines():
            self._take_record(parse(line, checked=True)[0])
        if self._alerted >= MOST_ALERTS or self._of.is_drill:
            return
        for line in self._samples.lines():
            if (seen := evaluation_of(line)) is not None:
                self._take_evaluation(seen)

    def _take_record(self, record: Record) -> None:
        match record.event:
            case events.Phase(t0_ns=int(t0_ns)):
                self._t0_ns = t0_ns
            case events.Phase(phase="ending", aborted=True):
                self._abort()
            case events.GuardTripped(guard=guard, why=why):
                self._because("guard", f"{why}: {guard}")
            case events.OperatorAbort(why=why):
                self._because("operator", why)
            case events.RunEnded(ended=ended, why=why) if ended != "completed":
                self._because(ended, why)
                self._abort()

    def _because(self, ended: str, why: str) -> None:
        """Keep the first reason, as the run does."""
        if not self._ended:
            self._ended, self._why = ended, why

    def _abort(self) -> None:
        if not self._aborted:
            self._aborted = True
            self._outbox.put(run_aborted(self._of, self._ended or "other", self._why))

    def _take_evaluation(self, seen: LiveEvaluation) -> None:
        if seen.alerts_problem or self._alerted >= MOST_ALERTS:
            return
        firing = dict.fromkeys(each.name for each in seen.alerts if each.state == "firing")
        if self._known is None:
            self._known = {*firing}
        new = [name for name in firing if name not in self._known]
        if new:
            self._known.update(new)
            self._alerted += 1
            at_s = (seen.t_ns - self._t0_ns) / NS if self._t0_ns else None
            self._outbox.put(alerts_fire(self._of, new, at_s))
