"""Step logs of a run, laid over the table of its attempts.

A history holds the issue alone. Two things beside it matter to a check: what a poll told of an
issue that was accepted (its outcome, its id, and when that was told), and when the first step was
sent that may have reserved something, for from then on the stock may have been less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gameday.spec.system import Requests
from gameday.traffic import step_log
from gameday.traffic.history import Outcome
from gameday.traffic.metrics.records import Starts
from gameday.traffic.step_log import POLL, StepLog

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
_DECIDED: Final = [Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.REFUSED]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Rows of the table of which more is known than its histories say.

    `decided` are rows of accepted issues, in order, beside what they were told.
    """

    decided: Rows
    outcomes: npt.NDArray[np.uint8]
    ended_ns: Times
    issue_ids: npt.NDArray[np.bytes_]
    reserved: Rows
    reserved_ns: Times


def read_logs(folder: Path, names: Mapping[str, str]) -> list[StepLog]:
    """All step logs of a run, under the names that its scenarios have in the file.

    Raises OSError, and ValueError for one that cannot be read.
    """
    found = []
    for path in sorted(folder.glob(f"*{step_log.SUFFIX}")):
        one = step_log.read(path)
        found.append(StepLog(names.get(one.scenario, one.scenario), one.steps, one.records))
    return found


def overlay(starts: Starts, logs: Sequence[StepLog], requests: Requests | None) -> Overlay | None:
    """All that the logs know of the rows of a table; None where there are none."""
    if not logs:
        return None
    holding = _holding(requests)
    decided, reserved = [], []
    for one in logs:
        rows = _Rows.of(starts, one.scenario)
        told = one.of(POLL)
        told = told[np.isin(told["outcome"], _DECIDED)]
        at = rows.at(told["k"])
        at, told = at[at >= 0], told[at >= 0]
        accepted = starts["outcome"][at] == Outcome.ACCEPTED
        decided.append((at[accepted], told[accepted]))
        for name in holding & set(one.steps):
            asked = one.of(name)
            asked = asked[asked["sent_ns"] > 0]
            at = rows.at(asked["k"])
            reserved.append((at[at >= 0], asked["sent_ns"][at >= 0]))
    return _overlay(decided, reserved)


def _holding(requests: Requests | None) -> set[str]:
    """The steps that may reserve something: those of each attempt, but for a GET."""
    if requests is None:
        return set()
    steps = requests.before.items()
    return {name for name, step in steps if step.per == "attempt" and step.method != "GET"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one scenario by the number of their start."""

    ks: Times
    rows: Rows

    @classmethod
    def of(cls, starts: Starts, scenario: str) -> "_Rows":
        if scenario not in starts.names:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.intp))
        mine = np.flatnonzero(starts["scenario"] == starts.names.index(scenario))
        ks = starts["k"][mine].astype(np.int64)
        order = np.argsort(ks, kind="stable")
        return cls(ks[order], mine[order])

    def at(self, ks: npt.NDArray[np.uint32]) -> Rows:
        """The rows of some starts, -1 for those that are in no history."""
        if not len(self.ks):
            return np.full(len(ks), -1, dtype=np.intp)
        wanted = ks.astype(np.int64)
        place = np.minimum(np.searchsorted(self.ks, wanted), len(self.ks) - 1)
        found: Rows = np.where(self.ks[place] == wanted, self.rows[place], -1)
        return found


def _overlay(
    decided: Sequence[tuple[Rows, npt.NDArray[np.void]]],
    reserved: Sequence[tuple[Rows, Times]],
) -> Overlay:
    rows = np.concatenate([at for at, _ in decided])
    told = np.concatenate([each for _, each in decided])
    rows, last = np.unique(rows[::-1], return_index=True)  # the last word counts, were there two
    told = told[::-1][last]
    held = np.concatenate([np.zeros(0, np.intp), *(at for at, _ in reserved)])
    since = np.concatenate([np.zeros(0, np.int64), *(times for _, times in reserved)])
    order = np.argsort(since, kind="stable")
    held, first = np.unique(held[order], return_index=True)
    return Overlay(
        decided=rows,
        outcomes=told["outcome"],
        ended_ns=told["ended_ns"].astype(np.int64),
        issue_ids=told["issue_id"],
        reserved=held,
        reserved_ns=since[order][first].astype(np.int64),
    )
