"""The books: every scheduled start is accounted for, once.

A worker advances `dispatched` before it sends, and writes a record when a request is over. So the
starts it had in hand when it was killed are known by number, and by user, as users are a pure
function of the number: they are unknown, since they may have worked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gameday.core.errors import UnknownError
from gameday.traffic.history import RECORD, History, HistoryHeader, Outcome, Reason
from gameday.traffic.schedule.users import users_of

Records = npt.NDArray[np.void]
Figures = npt.NDArray[Any]
MOST_IN_HAND: Final = 1_000_000  # of a worker that was killed; it has some 10,000 at most
_PIECE: Final = 2048  # records, 200 KB
_NOBODY: Final = np.zeros(0, dtype=RECORD)


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


def columns(parts: Iterable[Records], names: Iterable[str]) -> Columns:
    """The fields `names` of all parts, one after the other.

    They are taken out of a piece of the records at a time, all while it is near the processor.
    """
    whole = list(parts)
    count = sum(len(part) for part in whole)
    made = {name: np.empty(count, dtype=RECORD[name]) for name in names}
    begin = 0
    for part in whole:
        for at in range(0, len(part), _PIECE):
            piece = part[at : at + _PIECE]
            end = begin + len(piece)
            for name, column in made.items():
                column[begin:end] = piece[name]
            begin = end
    return Columns(made)


class AccountingError(UnknownError):
    """A history contradicts itself: a start twice, or one that was never due."""


def dispatched_of(history: History) -> int:
    """The number of starts that this history's worker sent or dropped, or was about to."""
    return len(range(history.header.worker, history.dispatched, history.header.workers))


def complete(history: History) -> Records:
    """The records, and after them one as unknown and interrupted for each start that left none.

    A made-up record has the user and intended time of its start, and 0 for the instants nobody
    noted. Raises AccountingError.
    """
    made = unrecorded(history, np.ascontiguousarray(history.records["k"]))
    return np.concatenate([history.records, made]) if len(made) else history.records


def unrecorded(history: History, ks: npt.NDArray[np.uint32]) -> Records:
    """The records that `complete` adds to a history with these numbers. Raises AccountingError."""
    worker, workers = history.header.worker, history.header.workers
    if len(ks) and int(ks.max()) >= history.dispatched:
        raise AccountingError(
            f"the history of {history.scenario!r} tells of start {ks.max()}, "
            f"of {history.dispatched} dispatched"
        )
    turns = ks // np.uint32(workers)
    if (turns * np.uint32(workers) + np.uint32(worker) != ks).any():
        raise AccountingError(
            f"the history of {history.scenario!r} tells of another worker's start"
        )
    count = dispatched_of(history)
    if count - len(ks) > MOST_IN_HAND:
        raise AccountingError(
            f"the history of {history.scenario!r} tells of {len(ks)} of {count} starts: "
            f"no worker leaves more than {MOST_IN_HAND} without a record"
        )
    told = np.zeros(count, dtype=bool)
    told[turns] = True
    if np.count_nonzero(told) != len(ks):
        raise AccountingError(f"the history of {history.scenario!r} tells of a start twice")
    missing = np.flatnonzero(~told) * workers + worker
    if not len(missing):
        return _NOBODY
    return _interrupted(history.header, missing)


def _interrupted(header: HistoryHeader, ks: npt.NDArray[np.int64]) -> Records:
    made = np.zeros(len(ks), dtype=RECORD)
    made["k"] = ks
    made["outcome"] = Outcome.UNKNOWN
    made["reason"] = Reason.INTERRUPTED
    population = header.spec.population
    made["user"] = users_of(header.seed, header.scenario, ks, header.users, population)
    made["intended_ns"] = header.spec.due_ns(ks) + header.t0_ns
    made["remaining"] = -1
    return made
