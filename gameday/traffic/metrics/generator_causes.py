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

from gameday.traffic.vitals import Beat, Chirp, Stall, Vitals

SHARE: Final = 0.05
# A stall is explained by a wait of more than this share of it.
SHARE_OF_STALL: Final = 0.7
FULL_CORE: Final = 0.8
SHORTEST_S: Final = 2.0
# A beat is as good as at an instant when it comes so shortly before it.
NEARLY_S: Final = 0.1
FEWEST_CHIRPS: Final = 5


@dataclass(frozen=True, slots=True)
class Span:
    """Some seconds from t = 0 of the run."""

    begin_s: float
    end_s: float

    def __contains__(self, t_s: object) -> bool:
        return isinstance(t_s, int | float) and self.begin_s <= t_s < self.end_s

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s

    def __str__(self) -> str:
        return f"from {self.begin_s:g} s to {self.end_s:g} s"


def stood_still_ms(vitals: Vitals, span: Span, allowed_ms: float) -> float:
    """The sum (ms) of the worst worker's stalls, each beyond the allowance."""
    worst = 0.0
    for beats in _by_worker(vitals.beats):
        stalls = [stall for beat in beats for stall in beat.stalls if stall.at_s in span]
        worst = max(worst, sum(max(0.0, stall.ms - allowed_ms) for stall in stalls))
    return worst


def core_share(vitals: Vitals, span: Span) -> float:
    """The share of a core that the busiest worker used, or wanted and waited for.

    0 where it was not seen for long enough.
    """
    found = [0.0]
    for beats in _by_worker(vitals.beats):
        first, last = _ends(beats, span)
        if first is not None and last is not None and last.t_s - first.t_s >= SHORTEST_S:
            wanted_s = last.cpu_s - first.cpu_s + last.waited_s - first.waited_s
            found.append(wanted_s / (last.t_s - first.t_s))
    return max(found)


def causes(vitals: Vitals, span: Span) -> list[str]:
    """The causes that the vitals show for a span, the plainest first."""
    told: list[str] = []
    for beats in _by_worker(vitals.beats):
        for text in _of_worker(beats, span):
            if text not in told:
                told.append(text)
    return told + _of_canary(vitals.chirps, span)


def _of_worker(beats: Sequence[Beat], span: Span) -> list[str]:
    first, last = _ends(beats, span)
    if first is None or last is None:
        return []
    length_s, used_s = last.t_s - first.t_s, last.cpu_s - first.cpu_s
    taken = {
        "its control group was throttled for {:.2f} s": _throttled_s(beats, span),
        "it waited {:.2f} s for a processor": last.waited_s - first.waited_s,
        "other machines took {:.2f} s of the processors": last.stolen_s - first.stolen_s,
        "it collected garbage for {:.2f} s": last.gc_s - first.gc_s,
    }
    told = [text.format(value) for text, value in taken.items() if value > SHARE * length_s]
    if used_s > FULL_CORE * length_s:
        told.append(f"it used {used_s:.2f} s of a core, more workers are needed")
    for stall, held_s in _stalls(beats, span):
        if stall.ms / 1000 > max(SHARE * length_s, held_s / SHARE_OF_STALL):
            told.append(f"it stood still for {stall.ms:.0f} ms at {stall.at_s:.1f} s")
            break
    return [f"{last.who}, of {length_s:.1f} s: {text}" for text in told]


def _throttled_s(beats: Sequence[Beat], span: Span) -> float:
    """The sum of what was added from beat to beat: a process may be moved to a group without."""
    around = [beat for beat in beats if span.begin_s - 1 <= beat.t_s <= span.end_s + 1]
    added = [beat.throttled_s - before.throttled_s for before, beat in pairwise(around)]
    return sum(max(0.0, one) for one in added)


def _stalls(beats: Sequence[Beat], span: Span) -> list[tuple[Stall, float]]:
    """The stalls of these seconds, the longest first, and beside each what the kernel explains.

    That is how long the process was ready to run, or throttled, between two beats around it.
    """
    found = []
    for before, beat in pairwise(beats):
        held_s = max(beat.waited_s - before.waited_s, beat.throttled_s - before.throttled_s)
        found += [(stall, held_s) for stall in beat.stalls if stall.at_s in span]
    return sorted(found, key=lambda one: -one[0].ms)


def _of_canary(chirps: Sequence[Chirp], span: Span) -> list[str]:
    inside = [chirp for chirp in chirps if chirp.t_s in span]
    if len(inside) < FEWEST_CHIRPS:
        return []
    took = [chirp.took_ms for chirp in inside if chirp.took_ms is not None]
    if len(took) < len(inside) / 2:
        return [f"the canary got {len(took)} answers of {len(inside)} meanwhile"]
    lag_ms = float(np.percentile([chirp.lag_ms for chirp in inside], 95))
    late = f", itself {lag_ms:.0f} ms late" if lag_ms > SHARE * 1000 else ""
    return [f"the canary was answered in {np.percentile(took, 95):.1f} ms (p95) meanwhile{late}"]


def _by_worker(beats: Sequence[Beat]) -> list[list[Beat]]:
    ordered = sorted(beats, key=lambda beat: (beat.who, beat.t_s))
    return [list(group) for _, group in groupby(ordered, key=lambda beat: beat.who)]


def _ends(beats: Sequence[Beat], span: Span) -> tuple[Beat | None, Beat | None]:
    """The last beat before the span, or the first in it, and the first one after it or the last."""
    before = [beat for beat in beats if beat.t_s <= span.begin_s]
    after = [beat for beat in beats if beat.t_s >= span.end_s - NEARLY_S]
    inside = [beat for beat in beats if span.begin_s < beat.t_s < span.end_s - NEARLY_S]
    around = [*before[-1:], *inside, *after[:1]]
    return (around[0], around[-1]) if len(around) > 1 else (None, None)
