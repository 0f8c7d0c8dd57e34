"""The verdict of a check: valid, unknown with the reason, or invalid; or it does not apply.

An invalid verdict on what was issued carries a certificate: the few facts that prove it, which
anyone can hold against the evidence without trusting the check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SHOWN = 10  # how many instances of the same thing a verdict shows; its summary has the count


class Validity(StrEnum):
    """The three answers; the worst wins."""

    VALID = "valid"
    UNKNOWN = "unknown"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of the check `name`; `evidence` and `certificate` are JSON values."""

    name: str
    validity: Validity
    summary: str
    evidence: Sequence[Any] = ()
    certificate: Any = None


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The check `name` has nothing to judge here; `lacks` says what it would need."""

    name: str
    lacks: str


def worst(validities: Sequence[Validity]) -> Validity:
    """Invalid before unknown before valid; nothing at all is unknown."""
    if not validities:
        return Validity.UNKNOWN
    order = (Validity.INVALID, Validity.UNKNOWN, Validity.VALID)
    return next(validity for validity in order if validity in validities)


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
