"""The traffic in short stretches, by what was sent in each: how long it took, how much failed.

A time counts from the send, so what the generator itself was late by is not in it. The
generator's lag stands beside it all the same: a machine that holds the generator up holds up the
service and the reading of its answers as well, and what the lag explains is nobody's dose.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gameday.injection.verify.traffic_needed import FEWEST
from gameday.traffic.history import History, Outcome, Reason
from gameday.traffic.metrics.accounting import Columns, columns, complete
from gameday.traffic.metrics.percentiles import is_timed

OPEN_NS = 200_000_000  # a request that young may simply not have been answered yet
_FIELDS = ("outcome", "reason", "intended_ns", "sent_ns", "ended_ns")
_OURS = (Reason.NO_FILES, Reason.NO_PORTS, Reason.LATE, Reason.NO_VUS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Traffic sent from `begin_ns` to `end_ns`: p95 of the time it took, failed share, lag.

    None where less than `FEWEST` were sent. The lag is the worst of the stretch. `over_ns` is when
    the request at the p95 was over, for one that is still open the instant of the reading.

    `told` are the shares of what people were told, of those who were told something. `taken` is the
    most that can have been issued by its end, in all of the run.
    """

    begin_ns: int
    end_ns: int
    n: int
    took_s: float | None
    failed: float | None
    lag_s: float
    over_ns: int | None = None
    told: "Told | None" = None
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """The shares of what people were told in a stretch."""

    issued: float = 0.0
    accepted: float = 0.0
    sold_out: float = 0.0


def stretches(
    histories: Iterable[History], begin_ns: int, end_ns: int, now_ns: int, width_s: float
) -> list[Stretch]:
    """The traffic between two instants, cut into stretches of `width_s`; a short rest is left out.

    A request that is open at `now_ns` took at least until then.
    """
    starts = columns([complete(history) for history in histories], _FIELDS)
    sent_ns = np.where(starts["sent_ns"] > 0, starts["sent_ns"], starts["intended_ns"])
    order = np.argsort(sent_ns, kind="stable")
    starts, sent_ns = starts.where(order), sent_ns[order]
    width_ns = round(width_s * 1e9)
    edges = np.arange(begin_ns, end_ns + 1, width_ns, dtype=np.int64)
    at = np.searchsorted(sent_ns, edges)
    taken = np.concatenate([[0], np.cumsum(_may_have_taken(starts))])
    return [
        _stretch(
            starts.where(slice(int(a), int(b))),
            (int(edge), int(edge) + width_ns),
            now_ns,
            int(taken[int(b)]),
        )
        for edge, a, b in zip(edges, at, at[1:], strict=False)
    ]


def _may_have_taken(starts: Columns) -> "np.ndarray[Any, Any]":
    """True for each start that may have taken some of the stock."""
    certain = np.isin(starts["outcome"], (Outcome.SOLD_OUT, Outcome.REFUSED, Outcome.DUPLICATE))
    unsent = starts["outcome"] == Outcome.DROPPED
    whole: np.ndarray[Any, Any] = ~certain & ~unsent
    return whole


def _stretch(starts: Columns, span: tuple[int, int], now_ns: int, taken: int) -> Stretch:
    unsent = (starts["outcome"] == Outcome.DROPPED) & np.isin(starts["reason"], _OURS)
    open_ = (starts["reason"] == Reason.INTERRUPTED) & (starts["ended_ns"] == 0)
    fresh = open_ & (starts["intended_ns"] > now_ns - OPEN_NS)
    asked = starts.where(~unsent & ~fresh)
    count = len(asked)
    lag_s = _lag_s(starts)
    if count < FEWEST:
        return Stretch(*span, count, None, None, lag_s, taken=taken)
    failed = np.isin(asked["outcome"], (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.DROPPED))
    # An open request has not failed; that it takes long is told by its time.
    failed &= asked["reason"] != Reason.INTERRUPTED
    took_s, over_ns = _slow_one(asked, now_ns)
    told = _shares(asked["outcome"])
    return Stretch(*span, count, took_s, float(failed.mean()), lag_s, over_ns, told, taken)


_ANSWERS = (Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.ACCEPTED, Outcome.REFUSED)


def _shares(outcomes: "np.ndarray[Any, Any]") -> Told | None:
    """The shares of what was told; None where too few were told anything."""
    count = int(np.isin(outcomes, _ANSWERS).sum())
    if count < FEWEST:
        return None
    named = (Outcome.ISSUED, Outcome.ACCEPTED, Outcome.SOLD_OUT)
    issued, accepted, sold_out = (float((outcomes == each).sum()) / count for each in named)
    return Told(issued, accepted, sold_out)


def _slow_one(asked: Columns, now_ns: int) -> tuple[float | None, int | None]:
    """The time (s) of the request at the p95, and when it was over.

    The p95 is taken low: among few, the one slowest request is not it.
    """
    over = asked.where(is_timed(asked) & (asked["sent_ns"] > 0))
    open_ = asked.where((asked["reason"] == Reason.INTERRUPTED) & (asked["ended_ns"] == 0))
    took_ns = np.concatenate(
        [over["ended_ns"] - over["sent_ns"], now_ns - open_["intended_ns"]]
    ).astype(np.int64)
    if len(took_ns) < FEWEST:
        return None, None
    over_ns = np.concatenate([over["ended_ns"], np.full(len(open_), now_ns)])
    at = int(np.argsort(took_ns, kind="stable")[int(0.95 * (len(took_ns) - 1))])
    return float(took_ns[at]) / 1e9, int(over_ns[at])


def _lag_s(starts: Columns) -> float:
    sent = starts.where(starts["sent_ns"] > 0)
    lag_ns = sent["sent_ns"] - sent["intended_ns"]
    return float(lag_ns.max(initial=0)) / 1e9


def worst_lag_s(seen: Sequence[Stretch], begin_ns: int, end_ns: int) -> float:
    """The generator's worst lag in the stretches that touch this one."""
    touching = [s.lag_s for s in seen if s.begin_ns < end_ns and begin_ns < s.end_ns]
    return max(touching, default=0.0)
