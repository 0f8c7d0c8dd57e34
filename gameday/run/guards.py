"""Guards that may end a run early, and the gate before the first fault.

Guards are the experiment's stop conditions; they fail closed: no data for 5 s counts as
tripped, unless the file says to ignore that. A child process that dies, or a collector that
falls silent, ends the run as well: without evidence there is nothing to judge.
"""

import shutil
from pathlib import Path

from gameday.core.clock import NS
from gameday.evidence.events import GuardTripped, Phase, WorkerGone
from gameday.evidence.timeline import HAS_ENDED
from gameday.plan.service_checks import own_alerts
from gameday.run.context import Ended, Run
from gameday.spec.experiment import STEADY_S, Guard
from gameday.stacks.supervisor import SERVICE
from gameday.telemetry.catalogue import key
from gameday.telemetry.collector.abort_thresholds import Aborting, aborting
from gameday.telemetry.failures import assumed_objective, steady_state
from gameday.telemetry.samples import Evaluation

BLIND_S = 5.0  # five evaluations: a scrape or two may fail while the service is restarted
SILENT_S = 6.0  # the collector evaluates once a second; longer than BLIND_S, which says more
GATE_S = 0.05  # a fault that is so near to the next sample waits for that as well
UNSTEADY = (
    "too many answers are described by none of the `outcomes`, or never came, or no connection"
    " could be made; `failures: expected` in the experiment lets them be"
)
LOOK_S = 1.0  # a dead child is seen within a second, and looking costs nothing
EXCUSED_LOOKS = 3  # containers are looked at once a second, so the answer is of before
ROOM_BYTES = 1024 * 1024


async def guards(run: Run) -> None:
    """Abort when a guard has been true for its `for`, or blind for 5 s, or a threshold crossed."""
    watched: list[GuardWatch | Aborting] = [
        *(GuardWatch(guard, key("guard", n)) for n, guard in enumerate(run.experiment.abort_if)),
        *aborting(run.experiment, run.t0_ns),
    ]
    seen = 0
    while watched:
        await run.readings.next(SILENT_S)
        for evaluation in run.readings.all[seen:]:
            for watch in watched:
                why = watch.trips(evaluation)
                if why:
                    run.journal.write(GuardTripped(guard=watch.text, why=why))
                    of = evaluation.why_blind if why == "blind" else ""
                    run.abort("guard", f"{watch.text} is {why}{of}")
                    return
        seen = len(run.readings.all)


class GuardWatch:
    """State of one guard: since when it is true, or without data."""

    def __init__(self, guard: Guard, name: str) -> None:
        self.text = guard.expr
        self._guard = guard
        self._name = name
        self._true_since_ns: int | None = None
        self._blind_since_ns: int | None = None

    def trips(self, evaluation: Evaluation) -> str:
        """Why the run must end, `true` or `blind`; empty while it need not."""
        read = evaluation.readings.get(self._name)
        now = evaluation.t_ns
        self._true_since_ns = _since(self._true_since_ns, now, holds=read is True)
        self._blind_since_ns = _since(self._blind_since_ns, now, holds=read is None)
        if _lasted_s(self._true_since_ns, now) >= self._guard.for_.total_seconds():
            return "true"
        if self._guard.blind == "abort" and _lasted_s(self._blind_since_ns, now) >= BLIND_S:
            return "blind"
        return ""


def _since(since_ns: int | None, now_ns: int, *, holds: bool) -> int | None:
    if not holds:
        return None
    return now_ns if since_ns is None else since_ns


def _lasted_s(since_ns: int | None, now_ns: int) -> float:
    return -1.0 if since_ns is None else (now_ns - since_ns) / NS


async def children(run: Run) -> None:
    """Abort when the worker, the collector or the reaper dies, or the collector falls silent.

    One that was killed from outside, that is kept from running, or for which the disk is full,
    interrupts the run; one that ends by itself, or refuses an order, is a bug of ours.
    """
    heard_ns = run.clock.now_ns()
    while True:
        news = await run.readings.next(LOOK_S)
        heard_ns = run.clock.now_ns() if news else heard_ns
        for child in (run.traffic.child, run.collector, run.reaper):
            if child.died:
                outside = await child.was_killed() or _no_room(run.dir)
                ended: Ended = "interrupted" if outside else "error"
                _lost(run, child.name, child.last_words(), child.why())
                run.abort(ended, f"the {child.name} died: {child.why()}")
                return
        if run.traffic.refused and not run.abort.event.is_set():
            why = f"it refused an order: {run.traffic.refused}"
            name = run.traffic.child.name
            _lost(run, name, why, why)
            run.abort("error", f"the {name} {why}")
            return
        if run.clock.now_ns() - heard_ns > SILENT_S * NS:
            why = f"no reading for {SILENT_S:g} s"
            _lost(run, "collector", why, f"it fell silent: {why}")
            run.abort("interrupted", "the collector fell silent")
            return


def _no_room(folder: Path) -> bool:
    """True if the disk is full: then a worker cannot even write down why it ended."""
    return shutil.disk_usage(folder).free < ROOM_BYTES


def _lost(run: Run, which: str, why: str, how: str) -> None:
    """Journal it with its last words, and `how`, in one line, for the verdict."""
    run.journal.write(WorkerGone(which=which, why=why, lost=which, how=how))


async def parts(run: Run) -> None:
    """Abort when a store or the proxy of our own stack ends: that is no weakness of the service.

    The end of the service itself is told, and left to the checks. What a fault has taken down is
    looked at again once that fault is out, and the stack has had the time to look.
    """
    told: set[str] = set()
    excused: dict[str, int] = {}
    while True:
        await run.readings.next(SILENT_S)
        excused = {name: n - 1 for name, n in excused.items() if n > 1}
        excused |= dict.fromkeys(run.injection.stopped_on_purpose, EXCUSED_LOOKS)
        ended = set(run.ended_parts()) - excused.keys()
        told &= ended
        for name in sorted(ended - told):
            told.add(name)
            run.journal.write(Phase(phase="stack", problem=f"{name} {HAS_ENDED}"))
            if name != SERVICE:
                run.abort("unhealthy", f"{name}, a part of the stack, has ended")


def steady(run: Run) -> str:
    """The reason why the state is not steady; "" once objectives hold and no alert fires."""
    now_ns = run.clock.now_ns()
    stretch = run.readings.between(now_ns - STEADY_S * NS, now_ns)  # a look a second
    assumed = assumed_objective(run.experiment)
    for objective in steady_state(run.experiment):
        name = key("objective", objective.name)
        read = [evaluation.readings.get(name) for evaluation in stretch]
        # The assumed one is asked of files that may break something sooner than that.
        if objective != assumed and (len(read) < STEADY_S - 1 or None in read):
            why = next((e.why_blind for e in stretch if e.why_blind), "")
            return f"objective {objective.name!r} has no data for the last {STEADY_S:g} s{why}"
        if False in read:
            at_s = run.seconds(stretch[read.index(False)].t_ns)
            why = f": {UNSTEADY}" if objective == assumed else ""
            return (
                f"objective {objective.name!r} did not hold for the last {STEADY_S:g} s before the"
                f" fault, it was false at {at_s:.1f} s{why}"
            )
    firing = sorted(run.readings.firing() & own_alerts(run.experiment, run.playbook))
    return f"alert {firing[0]} already fires" if firing else ""


async def steady_gate(run: Run) -> None:
    """At the first fault: end the run when the system is not in its steady state."""
    await run.until(min(fault.at.total_seconds() for fault in run.experiment.method))
    await last_look(run)


async def last_look(run: Run) -> None:
    """End the run if the last sample before this instant, or one just before it, was not steady.

    The sample of this second may not have come yet: the fault waits for it. Without one, the
    collector is silent, and what was seen last counts.
    """
    deadline_ns = run.clock.now_ns() + int(SILENT_S * NS)
    while (now_ns := run.clock.now_ns()) < deadline_ns and not run.abort.event.is_set():
        second = (now_ns + int(GATE_S * NS) - run.t0_ns) // NS
        due_ns = run.t0_ns + second * NS
        if any(each.t_ns >= due_ns for each in run.readings.all[-1:]):
            break
        await run.readings.next((deadline_ns - now_ns) / NS)
    wrong = steady(run)
    if wrong:
        run.abort("not_steady", wrong)
