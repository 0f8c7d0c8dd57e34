"""One scenario's page in the books: its history file, its numbers, and what its starts ask.

Whoever sends starts of a scenario takes their numbers here, before they are sent, so that even a
killed worker loses none. Users are computed in blocks of arrays, ahead of time. Records are
packed as `history.RECORD` lays them out and appended in batches. Worker w of n takes the starts
whose number leaves w when divided by n.
"""

import os
import struct
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gameday.traffic.history import (
    LONGEST_SPAN_MS,
    RECORD,
    HistoryHeader,
    HistoryWriter,
    Outcome,
    Reason,
)
from gameday.traffic.schedule.scenario import Scenario
from gameday.traffic.schedule.users import key, users_of
from gameday.traffic.worker.classify import Reading
from gameday.traffic.worker.config import Config, scenario_name
from gameday.traffic.worker.connection import Connection

BLOCK: Final = 2048  # starts drawn by one call of numpy, which costs as much for one
# Written by struct because it is four times as fast as storing into a numpy record.
_LAYOUT: Final = struct.Struct("<IHBBqqqqqiHHeeeBB36s")
assert _LAYOUT.size == RECORD.itemsize

_pack = _LAYOUT.pack

Start = tuple[int, int, int]
"""Number, user, and when it is due."""


class Renders(Protocol):
    """The bytes of the requests of starts."""

    needs_key: bool

    def render(self, user: int, key: str = "", attempt: int = 1, iteration: int = 0) -> bytes:
        """The request of one start."""
        ...


class Recorder:
    """The history of one scenario in this worker, and the requests of its starts."""

    def __init__(self, config: Config, name: str, scenario: Scenario, request: Renders) -> None:
        self.name = scenario_name(name)
        self.scenario = scenario
        self.most_attempts = 1 + scenario.retries.at_most
        self.dispatched = 0
        self.t0_ns = 0
        self.worker, self.workers = config.worker, config.workers
        self._config = config
        self._render = request.render
        self._needs_key = request.needs_key
        self._records = bytearray()
        self._writer: HistoryWriter | None = None

    def open(self, t0_ns: int) -> None:
        """Begin the file; t = 0 is known now. Raises FileExistsError."""
        self.t0_ns = t0_ns
        config = self._config
        header = HistoryHeader(
            scenario=self.name,
            worker=self.worker,
            workers=self.workers,
            seed=config.seed,
            run=config.run,
            users=config.users,
            coupon=str(config.coupon),
            spec=self.scenario,
            t0_ns=t0_ns,
            pid=os.getpid(),
        )
        path = config.history_dir / f"{self.name}-{self.worker}.bin"
        self._writer = HistoryWriter(path, header)

    def share(self, index: int, until: int) -> npt.NDArray[np.int64]:
        """A block of this worker's numbers below `until`, from its `index`-th on."""
        step = self.workers
        first = self.worker + index * step
        last = min(until, first + BLOCK * step)
        return np.arange(first, max(first, last), step, dtype=np.int64)

    def count(self, until: int) -> int:
        """The number of starts below `until` that are this worker's."""
        return len(range(self.worker, until, self.workers))

    def part(self, rate: float) -> float:
        """The part of a rate that this worker sends."""
        return rate / self.workers

    def users(self, ks: npt.NDArray[np.int64]) -> list[int]:
        """The users of those starts."""
        config, population = self._config, self.scenario.population
        users: list[int] = users_of(config.seed, self.name, ks, config.users, population).tolist()
        return users

    def advance(self, k: int) -> None:
        """Start `k`, and all before it, are about to be sent or dropped."""
        self.dispatched = k + 1
        if self._writer is not None:
            self._writer.advance(self.dispatched)

    def request(self, k: int, user: int, attempt: int) -> bytes:
        """The bytes of one attempt of one start."""
        if self._needs_key:
            return self._render(user, key(self._config.run, self.name, k), attempt, k)
        return self._render(user)

    def record(self, c: Connection, reading: Reading, sent_ns: int, ended_ns: int) -> None:
        """Note how the request on connection `c` ended."""
        received = c.bytes_received
        try:
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
                c.bytes_sent,
                received & 0xFFFF,
                c.connecting_ms,
                c.tls_ms,
                c.sending_ms,
                c.attempt,
                received >> 16,
                reading.issue_id,
            )
        except (struct.error, OverflowError):  # more than a field holds, which is rare
            c.bytes_sent = min(c.bytes_sent, 0xFFFF)
            c.connecting_ms, c.tls_ms, c.sending_ms = (
                min(span_ms, LONGEST_SPAN_MS)
                for span_ms in (c.connecting_ms, c.tls_ms, c.sending_ms)
            )
            self.record(c, reading, sent_ns, ended_ns)

    def dropped(self, start: Start, reason: Reason, at_ns: int) -> None:
        """Note a start that is not sent."""
        self._not_answered(start, Outcome.DROPPED, reason, ended_ns=at_ns)

    def left_open(self, start: Start, sent_ns: int, attempts: int) -> None:
        """Note a start that was interrupted while it waited to ask again."""
        self._not_answered(
            start, Outcome.UNKNOWN, Reason.INTERRUPTED, sent_ns=sent_ns, attempts=attempts
        )

    def _not_answered(
        self,
        start: Start,
        outcome: Outcome,
        reason: Reason,
        *,
        sent_ns: int = 0,
        ended_ns: int = 0,
        attempts: int = 1,
    ) -> None:
        k, user, intended_ns = start
        times = (intended_ns, sent_ns, 0, ended_ns)
        sizes, spans = (-1, 0, 0), (0.0, 0.0, 0.0)
        self._records += _pack(
            *(k, 0, outcome, reason, user), *times, *sizes, *spans, *(attempts, 0, b"")
        )

    def flush(self) -> None:
        if self._records and self._writer is not None:
            self._writer.append(bytes(self._records))
            self._records.clear()

    def close(self) -> None:
        self.flush()
        if self._writer is not None:
            self._writer.close()
