"""Answers that gave less than they should: no outcome describes them, or a value was in none.

Both are most often a system file that is not right yet, and both cost verdicts: what is not
described may have issued, and an issue without its id cannot be found in the audit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gameday.evidence import journal
from gameday.evidence.events import AnswerUnmatched
from gameday.evidence.model import Evidence
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.metrics.records import Starts

MOST_EXAMPLES: Final = 3
MOST_STATUSES: Final = 8
_EMPTY: Final = (("issue_id", b""), ("remaining", -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedLine:
    """So many answers of a status that matched no outcome; `said` are beginnings of a few."""

    status: int
    answers: int
    said: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCapturedLine:
    """A value that `capture` names, at its path, and that was in none of so many answers."""

    capture: str
    path: str
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersLine:
    """What answers did not give, the most frequent status first."""

    unmatched: Sequence[UnmatchedLine] = ()
    not_captured: Sequence[NotCapturedLine] = ()


def answers(evidence: Evidence, starts: Starts) -> AnswersLine | None:
    """None of a run whose answers gave all; and of one of before, which kept no examples."""
    unmatched = list(_unmatched(evidence, starts))
    not_captured = list(_not_captured(evidence, starts))
    if not unmatched and not not_captured:
        return None
    return AnswersLine(unmatched=unmatched, not_captured=not_captured)


def _unmatched(evidence: Evidence, starts: Starts) -> Iterator[UnmatchedLine]:
    said: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for record in journal.every(evidence.journal, AnswerUnmatched):
        said[record.event.status].setdefault(record.event.said)
    if not said:
        return
    statuses = starts["status"][starts["reason"] == Reason.UNMATCHED]
    values, counts = np.unique(statuses, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_STATUSES]
    for status, count in zip(values[order].tolist(), counts[order].tolist(), strict=True):
        examples = list(said.get(status, {}))[:MOST_EXAMPLES]
        yield UnmatchedLine(status=status, answers=count, said=examples)


def _not_captured(evidence: Evidence, starts: Starts) -> Iterator[NotCapturedLine]:
    """Values that no answer had which should: of issues, or of what stands for them."""
    issue = evidence.plan.system.requests.issue
    kinds = [Outcome.ISSUED] if issue.poll is not None else [Outcome.ISSUED, Outcome.ACCEPTED]
    meant = np.flatnonzero(np.isin(starts["outcome"], kinds) & (starts["reason"] == Reason.NONE))
    if not len(meant):
        return
    polled = issue.poll.capture if issue.poll is not None else {}
    for name, empty in _EMPTY:
        path = issue.capture.get(name)
        if not isinstance(path, str) or name in polled:
            continue
        if bool((starts.pick(name, meant) == empty).all()):
            yield NotCapturedLine(capture=name, path=path, answers=len(meant))
