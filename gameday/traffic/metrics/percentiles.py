"""k6's trends: which samples a metric has, and what is said of them.

`http_req_duration` counts as k6's does, sending + waiting + receiving, from the send and without
connecting; `http_req_duration_intended` from the time the start was due, so that a stall shows in
every request that had to wait for it. A refused connection is in neither: it would enter as 0
while everything fails.

A request that was open in the end is censored: it took at least as long as anybody looked. Such
samples stand above all others. A percentile that falls among them is "at least" its figure, and
so are the average and the most; `known_to_p` is the percentile up to which figures are exact.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from gameday.traffic.history import STEPS_FAILED, Outcome, Reason
from gameday.traffic.metrics.hdr_histogram import Hdr, SampleStore

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PERCENTILES: Final = (90.0, 95.0, 99.0)  # p(90) and p(95) are k6's, p(99) is ours
INTENDED: Final = "http_req_duration_intended"
ITERATION: Final = "iteration_duration"
CENSORED: Final = ("http_req_duration", INTENDED, "http_req_waiting")
# Up to so many samples percentiles are exact; beyond, within 0.1 %, and the memory stays flat.
EXACT_UP_TO: Final = 2_000_000
_NOWHERE: Final = (
    *(Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED, Reason.INTERRUPTED),
    *STEPS_FAILED,
)
_MS: Final = 1_000_000
_LARGEST_32: Final = 2**32 - 1  # up to here times need half the memory
_FEW: Final = 1024  # below it sorting all costs less than taking a sample first


class Fields(Protocol):
    """Records, or some columns of them."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __len__(self) -> int: ...


class Exact(SampleStore):
    """All samples. What is asked for is selected, as a few figures need no sorting.

    Most phases are 0 for most requests, and zeros are only counted.
    """

    def __init__(self, samples: Times) -> None:
        self.count = len(samples)
        self.sum = int(samples.sum())
        self.min = int(samples.min()) if self.count else 0
        self.max = int(samples.max()) if self.count else 0
        zeros = self.count - int(np.count_nonzero(samples)) if self.min == 0 else 0
        self._zeros = zeros if zeros > self.count / 2 else 0
        kind = np.uint32 if 0 <= self.min and self.max <= _LARGEST_32 else np.int64
        rest = samples[np.flatnonzero(samples)] if self._zeros else samples
        self._rest = rest.astype(kind)
        # The places at which stands what sorting would put there, and one before and behind.
        self._settled = [-1, len(rest)]
        if _sorts_faster(self._rest):
            self._rest.sort()
            self._settled = []

    def nth(self, n: int) -> float:
        place = n - self._zeros
        if place < 0:
            return 0.0
        if self._settled:
            self._settle(place)
        return float(self._rest[place])

    def _settle(self, place: int) -> None:
        """Put there what sorting would: all before are not larger, all behind not smaller."""
        after = bisect_left(self._settled, place)
        if self._settled[after] != place:
            begin = self._settled[after - 1] + 1
            self._rest[begin : self._settled[after]].partition(place - begin)
            self._settled.insert(after, place)


def percentile_ms(samples: Exact, percentile: float) -> float:
    """As `numpy.percentile` has it of the samples in ms, to the last bit."""
    position = percentile / 100 * (samples.count - 1)
    below = int(position)
    first, second = (samples.at(min(n, samples.count - 1)) / 1e6 for n in (below, below + 1))
    part, apart = position - below, second - first
    return first + apart * part if part < 0.5 else second - apart * (1 - part)


def _sorts_faster(samples: npt.NDArray[np.generic]) -> bool:
    """Few samples, or few different ones, among which selecting goes astray."""
    if len(samples) < _FEW:
        return True
    some = samples[:: len(samples) // _FEW]
    return len(set(some.tolist())) < len(some) / 2


def store(samples: Times) -> SampleStore:
    """The samples, held exactly while they are few."""
    if len(samples) <= EXACT_UP_TO:
        return Exact(samples)
    found = Hdr()
    found.add(samples)
    return found


def is_timed(rows: Fields) -> Mask:
    """Which rows have a latency: those that ended by an answer, a break or the time limit.

    A refused connection has none (it would enter as 0 while everything fails), nor has a dropped
    start or an interrupted request.
    """
    kept: Mask = (np.asarray(rows["ended_ns"]) > 0) & (rows["outcome"] != Outcome.DROPPED)
    reason = np.asarray(rows["reason"])
    for nowhere in _NOWHERE:
        kept &= reason != nowhere
    return kept


def has_sample(name: str, rows: Fields, has_ended: Mask) -> Mask:
    """Which rows have a sample of a trend; `has_ended` is what `is_timed` says of them."""
    if name == ITERATION:  # whole ones, also where nobody answered
        over: Mask = (np.asarray(rows["ended_ns"]) > 0) & (rows["outcome"] != Outcome.DROPPED)
        over &= np.asarray(rows["reason"]) != Reason.INTERRUPTED
        return over
    kept = has_ended
    if name != INTENDED:
        kept = kept & (np.asarray(rows["sent_ns"]) > 0)
    if name == "http_req_receiving":
        kept = kept & (np.asarray(rows["first_byte_ns"]) > 0)
    return kept


def blocked_ns(rows: Fields) -> Times:
    """The time (ns) that each row took to get a connection."""
    return _ns(rows["connecting_ms"]) + _ns(rows["tls_ms"])


def spans(name: str, rows: Fields, blocked: Times) -> Times:
    """A trend's time of each row in ns, meaningless for rows without a sample.

    `blocked` is what `blocked_ns` says. The pause that belongs to an iteration is not in it.
    """
    if name == INTENDED:
        return np.asarray(rows["ended_ns"] - rows["intended_ns"])
    if name == ITERATION:
        sent = np.asarray(rows["sent_ns"])
        return np.asarray(rows["ended_ns"] - np.where(sent > 0, sent, rows["intended_ns"]))
    if name == "http_req_connecting":
        return _ns(rows["connecting_ms"])
    if name == "http_req_tls_handshaking":
        return _ns(rows["tls_ms"])
    if name == "http_req_blocked":
        return blocked
    return _from_the_send(name, rows, blocked)


def _from_the_send(name: str, rows: Fields, blocked: Times) -> Times:
    """The parts of k6's duration, and the whole: what is left once there was a connection."""
    ended: Times = np.asarray(rows["ended_ns"])
    first = np.asarray(rows["first_byte_ns"])
    begun: Times = np.asarray(rows["sent_ns"]) + blocked
    if name == "http_req_duration":
        duration: Times = np.maximum(ended - begun, 0)
        return duration
    answered: Times = np.where(first > 0, first, ended)
    if name == "http_req_receiving":
        receiving: Times = ended - answered
        return receiving
    until_first: Times = np.maximum(answered - begun, 0)
    sending: Times = np.minimum(_ns(rows["sending_ms"]), until_first)
    if name == "http_req_waiting":
        sending = until_first - sending
    return sending


def _ns(ms: npt.NDArray[np.float16]) -> Times:
    """Half floats are slow to reckon with, and there are few of them: all are reckoned once."""
    found: Times = _all_ns()[np.ascontiguousarray(ms).view(np.uint16)]
    return found


@cache
def _all_ns() -> Times:
    """Every half float as a span in ns; what is no number, or endless, is no time at all."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    found: Times = np.rint(np.where(np.isfinite(halves), halves, 0) * _MS).astype(np.int64)
    return found


def open_in_the_end(name: str, rows: Fields, seen_ns: int) -> Times:
    """The time (ns) that requests without an answer had taken when they were last seen.

    Of one whose worker was killed it is not known when it was sent: from the send, it took 0 ns
    or more.
    """
    if name not in CENSORED:
        return np.zeros(0, dtype=np.int64)
    kept = np.asarray(rows["reason"]) == Reason.INTERRUPTED
    if name == "http_req_waiting":
        kept = kept & (np.asarray(rows["first_byte_ns"]) == 0)
    at = np.flatnonzero(kept)
    ended, sent = np.asarray(rows["ended_ns"])[at], np.asarray(rows["sent_ns"])[at]
    until = np.where(ended > 0, ended, seen_ns)
    if name == INTENDED:
        sent = np.asarray(rows["intended_ns"])[at]
    return np.where(sent > 0, np.maximum(until - sent, 0), 0)


def figures(
    real: SampleStore, open_ns: Times, percentiles: Sequence[float]
) -> Mapping[str, float] | None:
    """k6's statistics in ms; None when there is nothing to tell from.

    A percentile is at position p/100 · (n - 1) of the samples in order, between two in
    proportion, as k6 and numpy have it.
    """
    count = real.count + len(open_ns)
    if not count:
        return None
    total = real.sum + int(open_ns.sum())
    found = {
        "avg": total / count / _MS,
        "min": (real.min if real.count else int(open_ns.min())) / _MS,
        "med": _percentile(real, open_ns, 50) / _MS,
        "max": max(real.max if real.count else 0, int(open_ns.max(initial=0))) / _MS,
        "count": count,
    }
    for percentile in percentiles:
        found[f"p({percentile:g})"] = _percentile(real, open_ns, percentile) / _MS
    if len(open_ns):
        found["censored"] = len(open_ns)
        found["known_to_p"] = 100.0 * (real.count - 1) / (count - 1) if count > 1 else -1.0
    return found


def _percentile(real: SampleStore, open_ns: Times, percentile: float) -> float:
    """The figure; among the censored, the least it can be."""
    count = real.count + len(open_ns)
    position = percentile / 100 * (count - 1)
    if position <= real.count - 1:
        return real.at(position)
    # The least it can be: what it would be if none had taken longer than it was seen to.
    rank, waited = int(position), np.sort(open_ns)
    least = float(waited[max(0, rank - real.count)]) if rank >= real.count else 0.0
    if not real.count:
        return least
    shorter = int(np.searchsorted(waited, real.max, side="left"))
    return max(least, real.at(max(0, min(rank - shorter, real.count - 1))))
