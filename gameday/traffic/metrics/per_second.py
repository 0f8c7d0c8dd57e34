"""The traffic second by second, for charts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gameday.core.clock import NS
from gameday.traffic.history import Outcome
from gameday.traffic.metrics.accounting import Records
from gameday.traffic.metrics.trends import is_timed

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Seconds:
    """One row a second from t = 0: column i covers i to i + 1 seconds.

    `rate` is by outcome, of what ended in the second (a dropped start ends when it is dropped);
    the percentiles, in milliseconds from the intended time, are of what was meant to start in it,
    NaN where nothing was; `open` is at the end of the second.
    """

    t: Column
    rate: dict[str, Column]
    p50: Column
    p95: Column
    p99: Column
    open: Column


def per_second(records: Records, t0_ns: int) -> Seconds:
    """Fold records (of any scenarios together) by second."""
    ended = records[records["ended_ns"] > 0]
    end_second = (ended["ended_ns"] - t0_ns) // NS
    start_second = (records["intended_ns"] - t0_ns) // NS
    most = max(end_second.max(initial=0), start_second.max(initial=0))
    length = int(most) + 1 if len(records) else 0
    rate = {}
    for outcome in Outcome:
        seconds = end_second[ended["outcome"] == outcome].clip(0)
        rate[outcome.text] = np.bincount(seconds, minlength=length).astype(float)
    p50, p95, p99 = _percentiles(records, t0_ns, length)
    seconds = np.arange(length, dtype=float)
    return Seconds(seconds, rate, p50, p95, p99, _open(records, t0_ns, length))


def _percentiles(records: Records, t0_ns: int, length: int) -> Column:
    """Rows p50, p95, p99; a column a second."""
    over = records[is_timed(records)]
    over = over[np.argsort(over["intended_ns"], kind="stable")]
    took_ms = (over["ended_ns"] - over["intended_ns"]) / 1e6
    edges = np.searchsorted(over["intended_ns"], t0_ns + np.arange(length + 1, dtype=np.int64) * NS)
    found = np.full((3, length), np.nan)
    for second in range(length):
        part = took_ms[edges[second] : edges[second + 1]]
        if len(part):
            found[:, second] = np.percentile(part, (50, 95, 99))
    return found


def _open(records: Records, t0_ns: int, length: int) -> Column:
    """Requests open at the end of each second; an interrupted one stays open."""
    sent = records[records["sent_ns"] > 0]
    ends = t0_ns + np.arange(1, length + 1, dtype=np.int64) * NS
    begun = np.searchsorted(np.sort(sent["sent_ns"]), ends)
    over = np.searchsorted(np.sort(sent["ended_ns"][sent["ended_ns"] > 0]), ends)
    return (begun - over).astype(float)
