"""Starts that failed those who made them, as the harm of a score and a draft count them alike.

A start failed where its outcome is one of those that count as failures in that run
(`Effective.failed`), or where it was dropped because the system held too many. What the generator
itself dropped, and what was open when the run ended, says nothing about the system.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gameday.telemetry.failures import FailedOutcome
from gameday.traffic.history import Outcome, Reason, unreached

Mask = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
_OWN: Final = (Reason.LATE, Reason.NO_FILES, Reason.NO_PORTS, Reason.INTERRUPTED)


def says_something(reason: Column) -> Mask:
    """Starts that say something about the system."""
    return ~np.isin(reason, [int(each) for each in _OWN])


def failed(outcome: Column, reason: Column, outcomes: Iterable[FailedOutcome]) -> Mask:
    """Starts that failed, where these outcomes count as failures."""
    named = set(outcomes)
    counted = [Outcome.DROPPED, *(Outcome[name.upper()] for name in named - {"unreached"})]
    found = np.isin(outcome, [int(each) for each in counted])
    if "unreached" in named:
        found |= unreached(outcome, reason)
    return found & says_something(reason)
