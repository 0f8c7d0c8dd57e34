"""The books: every scheduled start is accounted for, once.

A worker advances `dispatched` before it sends, and writes a record when a request is over. So the
starts it had in hand when it was killed are known by number, and by user, as users are a pure
function of the number: they are unknown, since they may have worked.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gameday.errors import UnknownError
from gameday.history import RECORD, History, Outcome, Reason
from gameday.workload import Schedule, schedule, users_of

Records = npt.NDArray[np.void]
Figures = npt.NDArray[Any]


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


def share_of(history: History, count: int) -> int:
    """How many of the scenario's `count` starts were this history's worker's."""
    worker, workers = _stripe(history)
    return len(range(worker, count, workers))


def complete(history: History) -> Records:
    """The records, and one as unknown and interrupted for each start that left none.

    Sorted by k. A made-up record has the user and intended time of its start, and 0 for the
    instants nobody noted. Raises BooksError.
    """
    worker, workers = _stripe(history)
    records = history.records[np.argsort(history.records["k"], kind="stable")]
    ks = records["k"].astype(np.int64)
    if len(ks) and ((np.diff(ks) == 0).any() or (ks % workers != worker).any()):
        raise BooksError(f"the history of {history.scenario!r} tells of a start twice")
    if len(ks) and ks[-1] >= history.dispatched:
        raise BooksError(
            f"the history of {history.scenario!r} tells of start {ks[-1]}, "
            f"of {history.dispatched} dispatched"
        )
    missing = np.setdiff1d(np.arange(worker, history.dispatched, workers), ks, assume_unique=True)
    if not len(missing):
        return records
    whole = np.concatenate([records, _interrupted(history.header, schedule_of(history), missing)])
    return whole[np.argsort(whole["k"], kind="stable")]


def _interrupted(header: Mapping[str, Any], times: Schedule, ks: npt.NDArray[np.int64]) -> Records:
    made = np.zeros(len(ks), dtype=RECORD)
    made["k"] = ks
    made["outcome"] = Outcome.UNKNOWN
    made["reason"] = Reason.INTERRUPTED
    made["user"] = users_of(header["seed"], header["scenario"], ks, header["users"])
    made["intended_ns"] = times.due_ns(ks) + header["t0_ns"]
    made["remaining"] = -1
    return made


def timed(records: Records) -> npt.NDArray[np.bool_]:
    """Which records have a latency: those that ended by an answer, a break or the time limit.

    A refused connection has none (it would enter as 0 while everything fails), nor has a dropped
    start or an interrupted request.
    """
    nowhere = (Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED, Reason.INTERRUPTED)
    over = (records["ended_ns"] > 0) & (records["outcome"] != Outcome.DROPPED)
    kept: npt.NDArray[np.bool_] = over & ~np.isin(records["reason"], nowhere)
    return kept
