"""Everything that was asked and answered, as one table.

One record per dispatched start of every scenario, sorted by the time it was meant to start. A
start that a worker dispatched and never recorded (it was killed) stands here too, as unknown:
its user and its time are pure functions of the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.evidence.rows import User
from gameday.evidence.step_evidence import Overlay, overlay
from gameday.evidence.users import Users
from gameday.spec.system import Requests
from gameday.traffic import metrics
from gameday.traffic.history import STEPS_FAILED, History, Outcome, Reason
from gameday.traffic.step_log import StepLog

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
FOREVER: Final = np.iinfo(np.int64).max


def distinct(users: Times) -> Times:
    """Each of them once, in order. Sorting them is faster than hashing them."""
    ordered = np.sort(users)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def among(users: Times, others: Times) -> Mask:
    """Which of them are among the others."""
    if not len(others):
        return np.zeros(len(users), dtype=bool)
    ordered = np.sort(others)
    at = np.searchsorted(ordered[1:], users, side="right")
    found: Mask = ordered[at] == users
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One attempt as a certificate names it, times in seconds from t = 0; `user` is his id."""

    scenario: str
    k: int
    user: User
    outcome: str
    sent_at: float
    ended_at: float | None
    issue_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedLine(AttemptLine):
    """The same where the history does not have the user by his id, but by `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """The starts of all scenarios, and the questions that checks ask of them.

    Columns are made once and shared: do not change what is returned.
    """

    records: metrics.Starts
    names: Users = field(default_factory=Users)
    beside: Overlay | None = None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def users(self) -> Times:
        return self.records["user"]

    @property
    def sent(self) -> Times:
        """When each was sent, or meant to be where it never was.

        From the first step on that may have reserved something: then it may have taken effect.
        """
        return self.records.derived("sent or meant to be", self._sent)

    def _sent(self, all_: metrics.Starts) -> Times:
        found = np.where(all_["sent_ns"] > 0, all_["sent_ns"], all_["intended_ns"])
        if self.beside is not None:
            rows = self.beside.reserved
            found[rows] = np.minimum(found[rows], self.beside.reserved_ns)
        return found

    @property
    def ended(self) -> Times:
        """When each was answered, or its decision was told; where neither was, the end of time."""
        return self.records.derived("ended or never", self._ended)

    def _ended(self, all_: metrics.Starts) -> Times:
        found = np.where(all_["ended_ns"] > 0, all_["ended_ns"], FOREVER)
        if self.beside is not None:
            found[self.beside.decided] = self.beside.ended_ns
        return found

    @property
    def outcomes(self) -> npt.NDArray[np.uint8]:
        """The outcome of each: that of its answer, or what became of it once it was accepted."""
        if self.beside is None:
            return self.records["outcome"]
        return self.records.derived("decided outcome", self._outcomes)

    def _outcomes(self, all_: metrics.Starts) -> npt.NDArray[np.uint8]:
        found = all_["outcome"].copy()
        if self.beside is not None:
            found[self.beside.decided] = self.beside.outcomes
        return found

    def are(self, *outcomes: Outcome) -> Mask:
        """Which of them ended in one of `outcomes`."""
        mask: Mask = np.zeros(len(self), dtype=bool)
        for outcome in outcomes:
            mask |= self.outcomes == outcome
        return mask

    def of(self, users: Times, rows: Mask) -> Mask:
        """Which of these rows are of one of these users."""
        found: Mask = np.zeros(len(self), dtype=bool)
        at = np.flatnonzero(rows)
        found[at] = among(self.users[at], users)
        return found

    def ids(self, indices: Indices) -> npt.NDArray[np.bytes_]:
        """The issue ids of some rows: as the poll told it, else as the first answer did."""
        found = self.records.pick("issue_id", indices)
        beside = self.beside
        if beside is not None and len(beside.decided):
            at = np.minimum(np.searchsorted(beside.decided, indices), len(beside.decided) - 1)
            known = (beside.decided[at] == indices) & (beside.issue_ids[at] != b"")
            found[known] = beside.issue_ids[at[known]]
        return found

    @property
    def may_have_worked(self) -> Mask:
        """Which of them may have issued a coupon without saying so."""
        return self.are(Outcome.UNKNOWN, Outcome.ACCEPTED)

    @property
    def reached_nobody(self) -> Mask:
        """Which of them certainly never got to the service, as the question for a coupon.

        Nor did one whose step failed: it is refused only where no step may have reserved anything.
        """
        never = np.isin(self.records["reason"], (Reason.CONNECT_REFUSED, *STEPS_FAILED))
        gone: Mask = self.are(Outcome.DROPPED) | (self.are(Outcome.REFUSED) & never)
        return gone

    def describe(self, indices: Indices | Sequence[int], t0_ns: int) -> list[AttemptLine]:
        """Attempts as a certificate names them."""
        return [self._describe(int(index), t0_ns) for index in indices]

    def _describe(self, index: int, t0_ns: int) -> AttemptLine:
        record = self.records.record(index)
        ended_ns = int(self.ended[index])
        [issue_id] = self.ids(np.array([index], dtype=np.intp)).tolist()
        user = int(record["user"])
        number = self.names.in_history(user)
        line = AttemptLine if number is None else partial(IndexedLine, index=number)
        return line(
            scenario=self.records.names[self.records.scenario[index]],
            k=int(record["k"]),
            user=self.names.id_of(user),
            outcome=Outcome(int(self.outcomes[index])).text,
            sent_at=round((int(self.sent[index]) - t0_ns) / 1e9, 3),
            ended_at=round((ended_ns - t0_ns) / 1e9, 3) if ended_ns < FOREVER else None,
            issue_id=issue_id.decode(errors="replace"),
        )


def table(
    histories: Sequence[History],
    names: Users | None = None,
    logs: Sequence[StepLog] = (),
    requests: Requests | None = None,
) -> Attempts:
    """All histories of a run as one table, with a row for every dispatched start.

    `logs` tell of the steps beside the issues, `requests` which of them may reserve something.
    """
    starts = metrics.Starts(histories)
    return Attempts(starts, names or Users(), overlay(starts, logs, requests))
