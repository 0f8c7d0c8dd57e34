"""The exit code of a run: a fault left behind, a weakness, how it ended, then the verdict."""

from collections.abc import Mapping
from typing import Final

from gameday.core.errors import ExitCode
from gameday.core.stack_registry import is_owned
from gameday.evidence.events import RunRefused
from gameday.evidence.journal import first
from gameday.evidence.model import Evidence
from gameday.judge.verdict import Validity

# Endings that were not planned, each with the exit code that stands for it.
ENDINGS: Final[Mapping[str, ExitCode]] = {
    "not_steady": ExitCode.UNHEALTHY,
    "unhealthy": ExitCode.UNHEALTHY,
    "guard": ExitCode.ABORTED,
    "operator": ExitCode.ABORTED,
    "signal": ExitCode.ABORTED,
    "interrupted": ExitCode.ABORTED,
    "error": ExitCode.BUG,
}


def exit_code(evidence: Evidence, verdict: Validity, stack: str) -> ExitCode:
    """The first that applies, in the order of `ExitCode`; `stack` is where the system ran."""
    if any(fault.left_behind for fault in evidence.timeline.faults):
        return ExitCode.STUCK
    if verdict is Validity.INVALID:
        return ExitCode.INVALID
    ended = ENDINGS.get(evidence.timeline.ended)
    if ended is ExitCode.UNHEALTHY and _was_refused(evidence):
        return ExitCode.USAGE
    if ended is ExitCode.UNHEALTHY and not is_owned(stack):
        return ExitCode.UNKNOWN  # somebody else's stack: not ours to keep healthy
    if ended is not None:
        return ended
    return ExitCode.UNKNOWN if verdict is Validity.UNKNOWN else ExitCode.PASSED


def _was_refused(evidence: Evidence) -> bool:
    """It was bad usage that ended the run, found before anything was touched."""
    refused = first(evidence.journal, RunRefused) is not None
    return refused and evidence.timeline.t0_ns is None
