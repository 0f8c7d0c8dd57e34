"""Everything that was asked and answered, as one table.

One record per dispatched start of every scenario, sorted by the time it was meant to start. A
start that a worker dispatched and never recorded (it was killed) stands here too, as unknown:
its user and its time are pure functions of the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gameday import fold
from gameday.history import RECORD, History, Outcome, Reason

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Attempts:
    """`records` (dtype `RECORD`), and beside each the index of its scenario in `scenarios`."""

    records: npt.NDArray[np.void]
    scenario: npt.NDArray[np.int32]
    scenarios: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def users(self) -> Times:
        return np.ascontiguousarray(self.records["user"])

    @property
    def sent(self) -> Times:
        """When each was sent, or meant to be where it never was."""
        sent = np.ascontiguousarray(self.records["sent_ns"])
        return np.where(sent > 0, sent, self.records["intended_ns"])

    @property
    def ended(self) -> Times:
        """When each was answered; for one that never was, the end of time."""
        ended = np.ascontiguousarray(self.records["ended_ns"])
        return np.where(ended > 0, ended, np.iinfo(np.int64).max)

    def are(self, *outcomes: Outcome) -> Mask:
        """Which of them ended in one of `outcomes`."""
        mask: Mask = np.isin(self.records["outcome"], [int(outcome) for outcome in outcomes])
        return mask

    @property
    def may_have_worked(self) -> Mask:
        """Which of them may have issued a coupon without saying so."""
        return self.are(Outcome.UNKNOWN, Outcome.ACCEPTED)

    @property
    def reached_nobody(self) -> Mask:
        """Which of them certainly never got to the service."""
        never = self.records["reason"] == Reason.CONNECT_REFUSED
        gone: Mask = self.are(Outcome.DROPPED) | (self.are(Outcome.REFUSED) & never)
        return gone

    def describe(self, indices: Indices | Sequence[int], t0_ns: int) -> list[dict[str, Any]]:
        """Those attempts as JSON values, times in seconds from t = 0."""
        return [self._describe(int(index), t0_ns) for index in indices]

    def _describe(self, index: int, t0_ns: int) -> dict[str, Any]:
        record = self.records[index]
        ended_ns = int(record["ended_ns"])
        return {
            "scenario": self.scenarios[self.scenario[index]],
            "k": int(record["k"]),
            "user": int(record["user"]),
            "outcome": Outcome(record["outcome"]).text,
            "sent_at": round((int(self.sent[index]) - t0_ns) / 1e9, 3),
            "ended_at": round((ended_ns - t0_ns) / 1e9, 3) if ended_ns else None,
            "issue_id": bytes(record["issue_id"]).decode(errors="replace"),
        }


def table(histories: Sequence[History]) -> Attempts:
    """All histories of a run as one table, with a record for every dispatched start."""
    scenarios = tuple(sorted({history.scenario for history in histories}))
    parts = [fold.complete(history) for history in histories]
    if not parts:
        return Attempts(np.empty(0, dtype=RECORD), np.empty(0, dtype=np.int32), ())
    records = np.concatenate(parts)
    names = [scenarios.index(history.scenario) for history in histories]
    scenario = np.repeat(np.array(names, dtype=np.int32), [len(part) for part in parts])
    order = np.lexsort((records["k"], scenario, records["intended_ns"]))
    return Attempts(records[order], scenario[order], scenarios)
