"""The verdict of a check: valid, unknown with the reason, or invalid; or it does not apply.

An invalid verdict on what was issued carries a certificate: the few facts that prove it, which
anyone can hold against the evidence without trusting the check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gameday.core.messages import Message, Value
from gameday.spec.system import Semantics

SHOWN = 10  # how many instances of the same thing a verdict shows; its summary has the count


class Validity(StrEnum):
    """The three answers; the worst wins."""

    VALID = "valid"
    UNKNOWN = "unknown"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of the check `name`; `evidence` and `certificate` are JSON values."""

    validity: Validity
    message: Message
    evidence: Sequence[Any] = ()
    certificate: Any = None
    name: str = ""  # filled in by whoever runs the check

    @property
    def summary(self) -> str:
        """The message in English."""
        return self.message.text()


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The check `name` has nothing to judge here; `lacks` is the message in English."""

    name: str
    lacks: str
    message: Message | None = None

    @property
    def is_without_audit(self) -> bool:
        """True if it is about issuance, and the system cannot be asked what it has issued."""
        return self.message is not None and self.message.id == NO_AUDIT


NO_AUDIT: Final = "lacks.audit"
"""The message of a check of issuance where the system cannot be asked what it has issued."""


def lacking(message: str) -> NotApplicable:
    """The check has nothing to judge; the message (its id) says what it would need."""
    needed = Message(message)
    return NotApplicable("", needed.text(), needed)


def valid(message: str, /, **values: Value) -> Verdict:
    """What the check asks is so; the message is given by its id and values."""
    return Verdict(Validity.VALID, Message(message, **values))


def unknown(message: str, /, **values: Value) -> Verdict:
    """Nobody can say whether it is so."""
    return Verdict(Validity.UNKNOWN, Message(message, **values))


def in_units(told: Message, stock: int, semantics: Semantics) -> Message:
    """A message that counts issues; where an issue takes more of the stock than one, how many."""
    if semantics.units == 1:
        return told
    issues = semantics.issues_of(stock)
    units = Message("check.units", stock=stock, units=semantics.units, issues=issues)
    return Message("check.all", parts=[told, units])


def worst(validities: Sequence[Validity]) -> Validity:
    """Invalid before unknown before valid; nothing at all is unknown."""
    if not validities:
        return Validity.UNKNOWN
    order = (Validity.INVALID, Validity.UNKNOWN, Validity.VALID)
    return next(validity for validity in order if validity in validities)


def count(number: int, noun: str) -> Message:
    """`1 row`, `2 rows`."""
    noun = noun if number == 1 else f"{noun}s"
    return Message(f"count.{noun}", n=number)
