"""Requests beside the issues, as a result has them: how often each was asked, and what came."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gameday.traffic.history import STEPS_FAILED, Outcome, Reason
from gameday.traffic.metrics.records import Starts
from gameday.traffic.step_log import POLL, StepLog

_TOLD: Final = [Outcome.ISSUED, Outcome.DUPLICATE, Outcome.SOLD_OUT, Outcome.REFUSED]


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideLine:
    """Requests beside the issue: a step before it, or `poll`, the question after it.

    Of a step, `done` and `failed` are answers; of the poll, issues that were decided or were not.
    """

    name: str
    asked: int
    done: int
    failed: int
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Requests beside the issues, and the starts whose issue was never asked for them."""

    never_asked: int
    requests: Sequence[BesideLine]


def beside(logs: Sequence[StepLog], starts: Starts) -> Beside | None:
    """What was asked beside the issues; None of a run without steps."""
    if not logs:
        return None
    never = int(np.isin(starts["reason"], STEPS_FAILED).sum())
    return Beside(never_asked=never, requests=_lines(logs))


def _lines(logs: Sequence[StepLog]) -> list[BesideLine]:
    """Each kind of request, in the order of the steps."""
    names = dict.fromkeys(name for one in logs for name in one.steps)
    found = []
    for name in names:
        rows = np.concatenate([one.of(name) for one in logs])
        rows = rows[(rows["sent_ns"] > 0) & (rows["reason"] != Reason.INTERRUPTED)]
        if len(rows):
            done = rows[np.isin(rows["outcome"], _TOLD if name == POLL else [Outcome.ACCEPTED])]
            took_ms = (done["ended_ns"] - done["sent_ns"]) / 1e6
            p95_ms = float(np.percentile(took_ms, 95)) if len(done) else None
            found.append(
                BesideLine(
                    name=name,
                    asked=int(rows["asked"].sum(dtype=np.int64)),
                    done=len(done),
                    failed=len(rows) - len(done),
                    p95_ms=None if name == POLL else p95_ms,
                )
            )
    return found


def asked_again(starts: Starts) -> int:
    """The number of retries after a timeout: all attempts but the first one of each start."""
    return int(np.maximum(starts["attempts"], 1).sum(dtype=np.int64)) - len(starts)
