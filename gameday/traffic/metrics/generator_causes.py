"""Why a generator was late: what its workers and the canary say of those seconds.

That it was late, the history shows. A worker's vital signs name the cause: it waited for a
processor, its control group was throttled, another machine took the processors, it collected
garbage, it had more to do than a core can, or it stood still for no reason of its own. The canary
asks the system from another process meanwhile, and so tells how the system was.

Stalls of the event loop count by themselves too. Virtual users have no due times to be late for,
and of few starts none may fall into a stall; but every answer that came in it was read late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from gameday.core.messages import Message
from gameday.traffic.vitals import HealthSample, Stall, Vitals, WorkerSample

SHARE: Final = 0.05  # a cause that took less of the span explains no lateness
# A stall is explained by a wait of more than this share of it.
SHARE_OF_STALL: Final = 0.7
FULL_CORE: Final = 0.8  # above it starts queue for the worker: lateness grows without bound near 1
SHORTEST_S: Final = 2.0  # a line a second: fewer than two spans of it say little of a share
# A beat is as good as at an instant when it comes so shortly before it.
NEARLY_S: Final = 0.1
FEWEST_CHIRPS: Final = 5  # of fewer samples a p95 is only their maximum


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Some seconds from t = 0 of the run."""

    begin_s: float
    end_s: float

    def __contains__(self, t_s: object) -> bool:
        return isinstance(t_s, int | float) and self.begin_s <= t_s < self.end_s

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s

    @property
    def message(self) -> Message:
        return Message("generator.span", begin_s=self.begin_s, end_s=self.end_s)


def stood_still_ms(vitals: Vitals, span: TimeSpan, allowed_ms: float) -> float:
    """The sum (ms) of the worst worker's stalls, each beyond the allowance."""
    worst = 0.0
    for worker_samples in _by_worker(vitals.worker_samples):
        stalls = [
            stall for sample in worker_samples for stall in sample.stalls if stall.at_s in span
        ]
        worst = max(worst, sum(max(0.0, stall.ms - allowed_ms) for stall in stalls))
    return worst


def core_share(vitals: Vitals, span: TimeSpan) -> float:
    """The share of a core that the busiest worker used, or wanted and waited for.

    0 where it was not seen for long enough.
    """
    found = [0.0]
    for worker_samples in _by_worker(vitals.worker_samples):
        first, last = _ends(worker_samples, span)
        if first is not None and last is not None and last.t_s - first.t_s >= SHORTEST_S:
            wanted_s = last.cpu_s - first.cpu_s + last.waited_s - first.waited_s
            found.append(wanted_s / (last.t_s - first.t_s))
    return max(found)


def causes(vitals: Vitals, span: TimeSpan) -> list[Message]:
    """The causes that the vitals show for a span, the plainest first."""
    told: list[Message] = []
    for worker_samples in _by_worker(vitals.worker_samples):
        for text in _of_worker(worker_samples, span):
            if text not in told:
                told.append(text)
    return told + _of_canary(vitals.health_samples, span)


def _of_worker(worker_samples: Sequence[WorkerSample], span: TimeSpan) -> list[Message]:
    first, last = _ends(worker_samples, span)
    if first is None or last is None:
        return []
    length_s, used_s = last.t_s - first.t_s, last.cpu_s - first.cpu_s
    taken = {
        "cause.throttled": _throttled_s(worker_samples, span),
        "cause.waited": last.waited_s - first.waited_s,
        "cause.stolen": last.stolen_s - first.stolen_s,
        "cause.garbage": last.gc_s - first.gc_s,
    }
    told = [Message(id_, seconds=s) for id_, s in taken.items() if s > SHARE * length_s]
    if used_s > FULL_CORE * length_s:
        told.append(Message("cause.full_core", seconds=used_s))
    for stall, held_s in _stalls(worker_samples, span):
        if stall.ms / 1000 > max(SHARE * length_s, held_s / SHARE_OF_STALL):
            told.append(Message("cause.stall", stall_ms=stall.ms, at_s=stall.at_s))
            break
    whole = "cause.of_worker"
    return [Message(whole, worker=last.who, length_s=length_s, what=each) for each in told]


def _throttled_s(worker_samples: Sequence[WorkerSample], span: TimeSpan) -> float:
    """The sum of what was added from beat to beat: a process may be moved to a group without."""
    around = [
        sample for sample in worker_samples if span.begin_s - 1 <= sample.t_s <= span.end_s + 1
    ]
    added = [sample.throttled_s - before.throttled_s for before, sample in pairwise(around)]
    return sum(max(0.0, one) for one in added)


def _stalls(worker_samples: Sequence[WorkerSample], span: TimeSpan) -> list[tuple[Stall, float]]:
    """The stalls of these seconds, the longest first, and beside each what the kernel explains.

    That is how long the process was ready to run, or throttled, between two beats around it.
    """
    found = []
    for before, sample in pairwise(worker_samples):
        held_s = max(sample.waited_s - before.waited_s, sample.throttled_s - before.throttled_s)
        found += [(stall, held_s) for stall in sample.stalls if stall.at_s in span]
    return sorted(found, key=lambda one: -one[0].ms)


def _of_canary(health_samples: Sequence[HealthSample], span: TimeSpan) -> list[Message]:
    inside = [sample for sample in health_samples if sample.t_s in span]
    if len(inside) < FEWEST_CHIRPS:
        return []
    took = [sample.took_ms for sample in inside if sample.took_ms is not None]
    if len(took) < len(inside) / 2:
        return [Message("cause.canary_silent", answers=len(took), asked=len(inside))]
    lag_ms = float(np.percentile([sample.lag_ms for sample in inside], 95))
    kind = "cause.canary_late" if lag_ms > SHARE * 1000 else "cause.canary"
    return [Message(kind, p95_ms=float(np.percentile(took, 95)), lag_ms=lag_ms)]


def _by_worker(worker_samples: Sequence[WorkerSample]) -> list[list[WorkerSample]]:
    ordered = sorted(worker_samples, key=lambda sample: (sample.who, sample.t_s))
    return [list(group) for _, group in groupby(ordered, key=lambda sample: sample.who)]


def _ends(
    worker_samples: Sequence[WorkerSample], span: TimeSpan
) -> tuple[WorkerSample | None, WorkerSample | None]:
    """The last beat before the span, or the first in it, and the first one after it or the last."""
    before = [sample for sample in worker_samples if sample.t_s <= span.begin_s]
    after = [sample for sample in worker_samples if sample.t_s >= span.end_s - NEARLY_S]
    inside = [
        sample for sample in worker_samples if span.begin_s < sample.t_s < span.end_s - NEARLY_S
    ]
    around = [*before[-1:], *inside, *after[:1]]
    return (around[0], around[-1]) if len(around) > 1 else (None, None)
