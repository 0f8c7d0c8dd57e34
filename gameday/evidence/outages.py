"""The instants that clocks and deadlines count from: breach, recovery, damage.

An objective counts as breached from the first of `BREACH` false evaluations in a row, and the
system as recovered from the first of `RECOVERY` evaluations in a row in which every objective is
true. Only evaluations while there is traffic count: without requests there is no latency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gameday.core.clock import NS
from gameday.evidence.effective import Effective
from gameday.evidence.timeline import Timeline
from gameday.telemetry.catalogue import key
from gameday.telemetry.failures import steady_state
from gameday.telemetry.samples import Evaluation, Truth

BREACH = 2  # one false evaluation may be a scrape that came late
RECOVERY = 5  # evaluations, one a second: the window of the usual objectives
WARM_UP_S = 5  # without faults, the evaluations before this do not count


@dataclass(frozen=True, slots=True)
class Outage:
    """From the breach of `objectives` to the recovery of all, None if there was none in time.

    `last_ns` is the last evaluation that was looked at, `during` names what was going on.
    """

    breached_ns: int
    recovered_ns: int | None
    last_ns: int
    objectives: tuple[str, ...]
    during: tuple[str, ...]

    @property
    def lasted_s(self) -> float:
        """Seconds that it lasted; if it was still on, the least that it lasted."""
        return ((self.recovered_ns or self.last_ns) - self.breached_ns) / NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """All in ns of the run's clock; None is "not reached". `early` came before the first fault.

    `at_best` are the `outages` as they may have been: had every missing reading been true.
    """

    traffic_end_ns: int | None
    first_injecting_ns: int | None
    last_removed_ns: int | None
    early: tuple[Outage, ...]
    outages: tuple[Outage, ...]
    at_best: tuple[Outage, ...]
    wrong_coupon_ns: int | None

    @property
    def breached_ns(self) -> int | None:
        return self.outages[0].breached_ns if self.outages else None

    @property
    def recovered_ns(self) -> int | None:
        return self.outages[0].recovered_ns if self.outages else None

    @property
    def damage_ns(self) -> int | None:
        instants = (self.breached_ns, self.wrong_coupon_ns)
        return min((t for t in instants if t is not None), default=None)


@dataclass(frozen=True, slots=True)
class Watched:
    """The readings of all objectives at each evaluation while there was traffic."""

    times: Sequence[int]
    readings: Sequence[Mapping[str, Truth]]

    def breach(self, start: int) -> tuple[int, tuple[str, ...]] | None:
        """The first index from `start` where an objective is false `BREACH` times, and which."""
        for index in range(start, len(self.times) - BREACH + 1):
            window = self.readings[index : index + BREACH]
            false = tuple(n for n in window[0] if all(r.get(n) is False for r in window))
            if false:
                return index, false
        return None

    def recovery(self, start: int) -> int | None:
        """The first index from `start` where every objective is true `RECOVERY` times."""
        run = 0
        for index in range(start, len(self.times)):
            run = run + 1 if all(v is True for v in self.readings[index].values()) else 0
            if run == RECOVERY:
                return index - RECOVERY + 1
        return None

    def at_best(self) -> "Watched":
        """The same, with every missing reading true."""
        filled = [{name: v is not False for name, v in each.items()} for each in self.readings]
        return Watched(self.times, filled)


def watched(
    evaluations: Sequence[Evaluation], objectives: Sequence[str], span_ns: tuple[int, int]
) -> Watched:
    """The readings of `objectives` within `span_ns`, both ends included."""
    inside = [e for e in evaluations if span_ns[0] <= e.t_ns <= span_ns[1]]
    names = {name: key("objective", name) for name in objectives}
    readings = [{name: e.readings.get(key) for name, key in names.items()} for e in inside]
    return Watched([e.t_ns for e in inside], readings)


def anchors(
    effective: Effective | None,
    line: Timeline,
    evaluations: Sequence[Evaluation],
    wrong_coupon_ns: int | None,
) -> Anchors:
    """Every anchor of a run, by the definitions above."""
    begun = [fault.injecting_ns for fault in line.faults if fault.injecting_ns is not None]
    removed = [fault.removed_ns for fault in line.faults if fault.removed_ns is not None]
    first = min(begun, default=None)
    early: list[Outage] = []
    later: list[Outage] = []
    at_best: list[Outage] = []
    end_ns = _traffic_end_ns(effective, line)
    if effective is not None and line.t0_ns is not None and end_ns is not None:
        names = [objective.name for objective in steady_state(effective.experiment)]
        seen = watched(evaluations, names, (line.t0_ns, end_ns))
        # Without a fault, nothing but the warm-up comes before what counts.
        start_ns = first if first is not None else line.t0_ns + WARM_UP_S * NS
        found = _outages(seen, line)
        early = [outage for outage in found if outage.breached_ns < start_ns]
        later = _outages(seen, line, start_ns)
        at_best = _outages(seen.at_best(), line, start_ns)
    return Anchors(
        traffic_end_ns=end_ns,
        first_injecting_ns=first,
        last_removed_ns=max(removed, default=None),
        early=tuple(early),
        outages=tuple(later),
        at_best=tuple(at_best),
        wrong_coupon_ns=wrong_coupon_ns,
    )


def _traffic_end_ns(effective: Effective | None, line: Timeline) -> int | None:
    if effective is None or line.t0_ns is None:
        return None
    scheduled = line.t0_ns + round(effective.traffic_end_s * NS)
    return scheduled if line.cut_ns is None else min(scheduled, line.cut_ns)


def _outages(seen: Watched, line: Timeline, start_ns: int = 0) -> list[Outage]:
    found = []
    index = next((i for i, t in enumerate(seen.times) if t >= start_ns), len(seen.times))
    while (breach := seen.breach(index)) is not None:
        at, objectives = breach
        recovery = seen.recovery(at + 1)
        ended_ns = None if recovery is None else seen.times[recovery]
        during = going_on(line, seen.times[at])
        found.append(Outage(seen.times[at], ended_ns, seen.times[-1], objectives, during))
        if recovery is None:
            break
        index = recovery + RECOVERY
    return found


def going_on(line: Timeline, t_ns: int) -> tuple[str, ...]:
    """The faults that were in and the steps and actions that were being worked at `t_ns`."""
    faults = [
        f"fault {fault.id}"
        for fault in line.faults
        if (fault.injecting_ns or t_ns + 1) <= t_ns and (fault.removed_ns or t_ns) >= t_ns
    ]
    acts = [
        f"{'undo of ' if act.undoing else ''}{act.name}"
        for act in line.acts
        if (act.started_ns or t_ns + 1) <= t_ns <= (act.ended_ns or t_ns)
    ]
    return (*faults, *acts)
