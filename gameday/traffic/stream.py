"""One scenario on its way: which start is due next, and the records of those that ended.

Due times and users are computed in blocks of arrays, ahead of time. Records are packed as
`history.RECORD` lays them out and appended in batches. Worker w of n takes every n-th start.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from gameday.history import RECORD, HistoryWriter, Outcome, Reason
from gameday.traffic.answers import Reading
from gameday.traffic.config import Config, scenario_name
from gameday.traffic.connection import Connection
from gameday.workload import Schedule, key, schedule, users_of

BLOCK = 2048
BURST = 64
# Written by struct because it is four times as fast as storing into a numpy record.
_LAYOUT: Final = struct.Struct("<IHBBqqqqqiHHeeeBB36s")
assert _LAYOUT.size == RECORD.itemsize

_pack = _LAYOUT.pack


class Stream:
    """A scenario that this worker sends its share of."""

    def __init__(self, config: Config, name: str, spec: Mapping[str, Any], t0_ns: int) -> None:
        self.name = scenario_name(name)
        self.schedule: Schedule = schedule(spec)
        self.t0_ns = t0_ns
        self.ended = False
        self._config = config
        header = {
            "scenario": name,
            "worker": config.worker,
            "workers": config.workers,
            "seed": config.seed,
            "run": config.run,
            "users": config.users,
            "coupon": config.coupon,
            "spec": dict(spec),
            "t0_ns": t0_ns,
            "clock": "monotonic",
            "pid": os.getpid(),
        }
        path = config.history_dir / f"{name}-{config.worker}.bin"
        self._writer = HistoryWriter(path, header)
        self._records = bytearray()
        self._dispatched = 0
        self._next_block = 0
        self._ks: list[int] = []
        self._dues: list[int] = []
        self._users: list[int] = []
        self._at = 0
        self._load()

    def _load(self) -> None:
        """The next block of starts, the first of this worker's share being `_next_block`."""
        config, step = self._config, self._config.workers
        first = config.worker + self._next_block * step
        last = min(self.schedule.count, first + BLOCK * step)
        ks = np.arange(first, max(first, last), step, dtype=np.int64)
        self._next_block += len(ks)
        self._at = 0
        self._ks = ks.tolist()
        if not self._ks:
            self.ended = True
            return
        self._dues = (self.schedule.due_ns(ks) + self.t0_ns).tolist()
        self._users = users_of(config.seed, self.name, ks, config.users).tolist()

    @property
    def next_due_ns(self) -> int | None:
        """When the next start is due; None after the last."""
        return None if self.ended else self._dues[self._at]

    def due(self, now_ns: int) -> Iterator[tuple[int, int, int]]:
        """Starts due by `now_ns` as (k, user, intended time), counted as dispatched first.

        At most BURST of them: a worker that is late reads answers between bursts, so that their
        connections are free again and not each start needs a new one.
        """
        if self.ended:
            return iter(())
        until = min(bisect_right(self._dues, now_ns, lo=self._at), self._at + BURST)
        if until == self._at:
            return iter(())
        starts = list(
            zip(
                self._ks[self._at : until],
                self._users[self._at : until],
                self._dues[self._at : until],
                strict=True,
            )
        )
        self._dispatched = self._ks[until - 1] + 1
        self._writer.advance(self._dispatched)
        self._at = until
        if until == len(self._ks):
            self._load()
        return iter(starts)

    def key(self, k: int) -> str:
        return key(self._config.run, self.name, k)

    def end(self) -> None:
        """Start nothing more."""
        self.ended = True

    def never_started(self) -> int:
        """How many of this worker's starts were never due; 0 where there is no last one."""
        if self.schedule.end_s == float("inf"):
            return 0
        share = range(self._config.worker, self.schedule.count, self._config.workers)
        begun = range(self._config.worker, self._dispatched, self._config.workers)
        return len(share) - len(begun)

    def rate_near(self, now_ns: int, before_s: float) -> float:
        """The highest rate of the last `before_s` seconds and of the next tenth, this share."""
        if self.ended and self.schedule.end_s == float("inf"):
            return 0.0
        now_s = (now_ns - self.t0_ns) / 1e9
        return self.schedule.highest_rate(now_s - before_s, now_s + 0.1) / self._config.workers

    def record(self, connection: Connection, reading: Reading, sent_ns: int, ended_ns: int) -> None:
        """Note how the request on `connection` ended."""
        c = connection
        self._records += _pack(
            c.k,
            c.status,
            reading.outcome,
            reading.reason,
            c.user,
            c.intended_ns,
            sent_ns,
            c.first_byte_ns,
            ended_ns,
            reading.remaining,
            min(c.bytes_sent, 65535),
            c.bytes_received & 0xFFFF,
            0.0,
            0.0,
            0.0,
            1,
            c.bytes_received >> 16,
            reading.issue_id,
        )

    def dropped(self, start: tuple[int, int, int], reason: Reason, at_ns: int) -> None:
        """Note a start that is not sent."""
        k, user, intended_ns = start
        self._records += _pack(
            k,
            0,
            Outcome.DROPPED,
            reason,
            user,
            intended_ns,
            0,
            0,
            at_ns,
            -1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            b"",
        )

    def flush(self) -> None:
        if self._records:
            self._writer.append(bytes(self._records))
            self._records.clear()

    def close(self) -> None:
        self.flush()
        self._writer.close()
