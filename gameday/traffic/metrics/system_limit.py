"""The system's own limit: from which rate on it did not carry its traffic, if it came to that.

The run is cut into windows of 5 seconds. What was offered in one is what was sent, and what could
not be sent because the system held too many; what the generator itself failed to send was never
offered. A window was carried when the 95th percentile of latency, counted from when each start
was due, stayed below the bound that the experiment sets, and when no more than the allowed share
failed. The limit is the lowest rate from which on more than half of the windows were not carried.
A window in which the traffic already falls, right after one that was not carried, has to work
off what was left behind, and says nothing about its own rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.metrics.generator import FEWEST, WINDOW_S
from gameday.traffic.metrics.records import Starts

UNANSWERED: Final = 0.05  # where the file has no bound: one in 20 is no longer an exception
# Rates this near are the same: a hiccup at 1,000.2/s is none where 1,000/s was carried.
ALIKE: Final = 0.95
_ALL: Final = 0.995  # what is told as 100 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of carried traffic: p95 in ms, and the share that may fail; None where none is set.

    Without a share no more than 5 % may be without a usable answer.
    """

    p95_ms: float | None
    failed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLimit:
    """`per_s` is the limit, None where it was not reached.

    `carried_per_s` is the highest rate that was carried over 5 seconds, 0 when none was, and
    `p95_ms` the latency there; `why` says what was not carried at the limit. `not_carried_s` is
    for how long the system did not carry its traffic, whatever the rate.
    """

    per_s: float | None
    carried_per_s: float
    p95_ms: float | None
    not_carried_s: int
    why: Message | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    per_s: float
    p95_ms: float
    why: Message | None  # None when it was carried


def system_limit(starts: Starts, bounds: Bounds) -> SystemLimit | None:
    """The limit of the system under these starts; None when there is no window to speak of."""
    whole = _windows(starts, bounds)
    windows = _speaking(whole)
    if not windows:
        return None
    high = [one for one in windows if one.why and _mostly_over(one.per_s * ALIKE, windows)]
    over = min(high, key=lambda one: one.per_s, default=None)
    below = [one for one in windows if not one.why and (over is None or one.per_s < over.per_s)]
    best = max(below, key=lambda one: one.per_s, default=None)
    return SystemLimit(
        per_s=None if over is None else round(over.per_s, 1),
        carried_per_s=0.0 if best is None else round(best.per_s, 1),
        p95_ms=None if best is None else round(best.p95_ms, 3),
        not_carried_s=WINDOW_S * sum(bool(one.why) for one in whole),
        why=None if over is None else over.why,
    )


def nothing_came(why: Message | None, carried_per_s: float) -> bool:
    """True for a limit of a system that never gave a usable answer: it is not there.

    A gateway without a service behind it answers 502 at every rate.
    """
    if carried_per_s or why is None or why.id != "limit.failed":
        return False
    share = why.values.get("share")
    return isinstance(share, int | float) and share >= _ALL


def _windows(starts: Starts, bounds: Bounds) -> list[_Window]:
    """Whole windows with enough starts to have a percentile. Starts come in order of due time."""
    outcome, reason, due = starts["outcome"], starts["reason"], starts["intended_ns"]
    offered = (outcome != Outcome.DROPPED) | (reason == Reason.SYSTEM_SATURATED)
    if not offered.any():
        return []
    window = (due - due[0]) // (WINDOW_S * NS)
    last = int(window[-1])
    unanswered = offered & ((outcome == Outcome.UNKNOWN) | (outcome == Outcome.DROPPED))
    failed = unanswered if bounds.failed is None else unanswered | (outcome == Outcome.REFUSED)
    sent = outcome != Outcome.DROPPED
    ended = starts["ended_ns"]
    took_ms = np.where(ended > 0, (ended - due) / 1e6, np.inf)
    edges = np.searchsorted(window, np.arange(last + 1))
    found = []
    for begin, end in pairwise(edges.tolist()):  # the last window is not whole
        count = int(np.count_nonzero(offered[begin:end]))
        if count >= FEWEST:
            times = took_ms[begin:end][sent[begin:end]]
            p95_ms = float(np.percentile(times, 95, method="lower")) if len(times) else np.inf
            share = np.count_nonzero(failed[begin:end]) / count
            found.append(_Window(count / WINDOW_S, p95_ms, _why(p95_ms, share, bounds)))
    return found


def _why(p95_ms: float, failed: float, bounds: Bounds) -> Message | None:
    if failed > (UNANSWERED if bounds.failed is None else bounds.failed):
        return Message("limit.failed", share=failed)
    if bounds.p95_ms is not None and p95_ms > bounds.p95_ms:
        kind = "limit.slow" if p95_ms < np.inf else "limit.endless"
        return Message(kind, p95_ms=p95_ms, allowed_ms=bounds.p95_ms)
    return None


def _speaking(windows: Sequence[_Window]) -> list[_Window]:
    """Without those that only work off what others left behind."""
    kept, peak = [], 0.0
    for one in windows:
        if not one.why:
            peak = 0.0
        elif one.per_s < peak:
            continue
        else:
            peak = one.per_s
        kept.append(one)
    return kept


def _mostly_over(from_per_s: float, windows: Sequence[_Window]) -> bool:
    higher = [bool(one.why) for one in windows if one.per_s >= from_per_s]
    return 2 * sum(higher) > len(higher)
