"""Starts that failed those who made them, by their outcome and its reason."""

import numpy as np
import pytest

from gameday.evidence.failed import failed
from gameday.telemetry.failures import FailedOutcome
from gameday.traffic.history import Outcome, Reason

STARTS = [
    (Outcome.ISSUED, Reason.NONE),
    (Outcome.REFUSED, Reason.NONE),  # by an answer that the system file names
    (Outcome.REFUSED, Reason.CONNECT_REFUSED),
    (Outcome.REFUSED, Reason.CONNECT_FAILED),
    (Outcome.REFUSED, Reason.TIMEOUT),
    (Outcome.UNKNOWN, Reason.TIMEOUT),
    (Outcome.UNKNOWN, Reason.INTERRUPTED),
    (Outcome.DROPPED, Reason.SYSTEM_SATURATED),
    (Outcome.DROPPED, Reason.LATE),
    (Outcome.REFUSED, Reason.STEP_UNANSWERED),  # the login is down
    (Outcome.REFUSED, Reason.STEP_FAILED),  # the login says no
    (Outcome.UNKNOWN, Reason.STEP_UNANSWERED),  # what was reserved before it may be held
]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["unknown"], [5, 7, 11]),  # as a run of before records it
        (["refused", "unknown"], [1, 2, 3, 4, 5, 7, 9, 10, 11]),
        (["unknown", "unreached"], [2, 3, 4, 5, 7, 9, 11]),
        (["refused", "unknown", "unreached"], [1, 2, 3, 4, 5, 7, 9, 10, 11]),
    ],
)
def test_a_refusal_fails_where_nobody_answered(
    outcomes: list[FailedOutcome], expected: list[int]
) -> None:
    outcome, reason = (np.array(column, dtype=np.uint8) for column in zip(*STARTS, strict=True))
    assert np.flatnonzero(failed(outcome, reason, outcomes)).tolist() == expected
