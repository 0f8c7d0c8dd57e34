"""The books: every scheduled start is accounted for, once.

A worker advances `dispatched` before it sends, and writes a record when a request is over. So the
starts it had in hand when it was killed are known by number, and by user, as users are a pure
function of the number: they are unknown, since they may have worked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gameday.errors import UnknownError
from gameday.history import RECORD, History, Outcome, Reason
from gameday.workload import Schedule, schedule, users_of

Records = npt.NDArray[np.void]
Figures = npt.NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """Some fields of records, each in one piece: folds are ten times as fast on them."""

    by_name: Mapping[str, Figures]

    def __getitem__(self, name: str) -> Figures:
        return self.by_name[name]

    def __len__(self) -> int:
        return len(next(iter(self.by_name.values())))

    def where(self, kept: Figures | slice) -> "Columns":
        """The rows that a mask, an order or a slice picks."""
        return Columns({name: column[kept] for name, column in self.by_name.items()})

    @cached_property
    def requests(self) -> "Columns":
        """The rows that are no dropped starts."""
        return self.where(self["outcome"] != Outcome.DROPPED)

    @cached_property
    def over(self) -> "Columns":
        """The rows that have a latency."""
        return self.where(timed(self))


def columns(parts: Iterable[Records], names: Iterable[str]) -> Columns:
    """The fields `names` of all parts, one after the other."""
    whole = [np.zeros(0, dtype=RECORD), *parts]
    return Columns({name: np.concatenate([part[name] for part in whole]) for name in names})


class BooksError(UnknownError):
    """A history contradicts itself: a start twice, or one that was never due."""


def schedule_of(history: History) -> Schedule:
    """The schedule a history was written by."""
    return schedule(history.header["spec"])


def _stripe(history: History) -> tuple[int, int]:
    return int(history.header.get("worker", 0)), int(history.header.get("workers", 1))


def dispatched_of(history: History) -> int:
    """How many starts were sent or dropped, or were about to be, by this history's worker."""
    worker, workers = _stripe(history)
    return len(range(worker, history.dispatched, workers))


def complete(history: History) -> Records:
    """The records, and after them one as unknown and interrupted for each start that left none.

    A made-up record has the user and intended time of its start, and 0 for the instants nobody
    noted. Raises BooksError.
    """
    worker, workers = _stripe(history)
    records = history.records
    ks = records["k"].astype(np.int64)
    if len(ks) and int(ks.max()) >= history.dispatched:
        raise BooksError(
            f"the history of {history.scenario!r} tells of start {ks.max()}, "
            f"of {history.dispatched} dispatched"
        )
    if (ks % workers != worker).any():
        raise BooksError(f"the history of {history.scenario!r} tells of another worker's start")
    told = np.zeros(dispatched_of(history), dtype=bool)
    told[ks // workers] = True
    if int(told.sum()) != len(ks):
        raise BooksError(f"the history of {history.scenario!r} tells of a start twice")
    missing = np.flatnonzero(~told) * workers + worker
    if not len(missing):
        return records
    made = _interrupted(history.header, schedule_of(history), missing)
    return np.concatenate([records, made])


def _interrupted(header: Mapping[str, Any], times: Schedule, ks: npt.NDArray[np.int64]) -> Records:
    made = np.zeros(len(ks), dtype=RECORD)
    made["k"] = ks
    made["outcome"] = Outcome.UNKNOWN
    made["reason"] = Reason.INTERRUPTED
    population = header["spec"].get("population")
    made["user"] = users_of(header["seed"], header["scenario"], ks, header["users"], population)
    made["intended_ns"] = times.due_ns(ks) + header["t0_ns"]
    made["remaining"] = -1
    return made


def timed(records: Records | Columns) -> npt.NDArray[np.bool_]:
    """Which records have a latency: those that ended by an answer, a break or the time limit.

    A refused connection has none (it would enter as 0 while everything fails), nor has a dropped
    start or an interrupted request.
    """
    kept: npt.NDArray[np.bool_] = (records["ended_ns"] > 0) & (
        records["outcome"] != Outcome.DROPPED
    )
    for nowhere in (Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED, Reason.INTERRUPTED):
        kept &= records["reason"] != nowhere
    return kept
