"""Names of faults, checks and alerts as the sections write them."""

from collections.abc import Iterable
from typing import Final

from gameday.judge.result import FaultLine
from gameday.report.markdown import Markup, code

CLOCKS: Final = ("detected", "acknowledged", "mitigated", "recovered")


def names(found: Iterable[str]) -> Markup:
    """Names as code, with commas."""
    return Markup(", ".join(code(name) for name in found))


def describe_fault(fault: FaultLine) -> Markup:
    """A fault and what it hits, in a few words."""
    target = fault.target
    return Markup(code(fault.fault) + (f" → {code(target)}" if target else ""))
