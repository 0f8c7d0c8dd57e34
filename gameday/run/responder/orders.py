"""Orders of a responder: the same words from a terminal, from a program, and from a recording.

An order says what somebody has decided; what comes of it is told by the journal. Everything in it
has a bound, because a program may say anything.
"""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from gameday.core.errors import UsageError
from gameday.core.messages import Message

Kind = Literal["bot", "none", "person", "command", "replay"]
"""Kinds of responders; whoever gives an order from a terminal is a person."""

OrderName = Literal[
    "ack",
    "declare",
    "severity",
    "act",
    "note",
    "update",
    "hint",
    "mitigated",
    "resolved",
    "hand-over",
    "abort",
]
ORDERS: Final[Sequence[str]] = get_args(OrderName)
SEVERITIES: Final = ("sev1", "sev2", "sev3", "sev4", "sev5")
MOST_TEXT: Final = 1000  # characters: a paragraph; all of an hour's fit into a journal that is read
MOST_NAME: Final = 80
MOST_STEP: Final = 10**9  # as Markdown has it: nine digits
_WITHOUT_PROGRAM: Final[Sequence[Kind]] = ("bot", "none", "person")
REPLAY: Final = "replay:"
_KNOWN: Final = "write bot, none, person, replay:RUN, or a program with its arguments"
_NEEDS_TEXT: Final = frozenset({"declare", "note", "update"})


@dataclass(frozen=True, slots=True)
class IncidentOrder:
    """One order. `text` is what is said with it, `to` who takes over.

    `step` is a step of the playbook, `action` one of the system file; `undo` takes it back.
    `playbook` is that of the step, where several are offered.
    """

    order: OrderName
    text: str = ""
    to: str = ""
    severity: str = ""
    step: int | None = None
    action: str = ""
    undo: bool = False
    playbook: str = ""

    def lacks(self) -> Message | None:
        """Reason why nobody could carry it out, as far as the order alone tells; None without."""
        if len(self.text) > MOST_TEXT or max(len(self.to), len(self.playbook)) > MOST_NAME:
            return Message("order.too_long", most=MOST_TEXT, most_name=MOST_NAME)
        if self.order in _NEEDS_TEXT and not self.text.strip():
            return Message("order.no_text")
        if self.order == "severity" and self.severity not in SEVERITIES:
            return Message("order.no_severity", known=", ".join(SEVERITIES))
        if self.order == "hand-over" and not self.to.strip():
            return Message("order.nobody")
        return self._act_lacks() if self.order == "act" else None

    def _act_lacks(self) -> Message | None:
        if (self.step is None) == (not self.action):
            return Message("order.act_what")
        if self.step is not None and not 0 <= self.step < MOST_STEP:
            return Message("order.no_number")
        return None


def clipped(text: str, most: int) -> str:
    """The text as it can be kept anywhere: no half of a character, and no more than `most`."""
    return text[:most].encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to an order: whether it is carried out, or why not.

    `given` is its number in the journal, None where it was not journaled. `pending`: an
    `order.answered` follows.
    """

    ok: bool
    why: str = ""
    given: int | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """An order of a recorded run, and when it was given, in seconds from the start of traffic."""

    at_s: float
    order: IncidentOrder
    by: str


@dataclass(frozen=True, slots=True)
class Responding:
    """Who responds in a run; the program of a command line, or the orders of a recorded run."""

    kind: Kind = "bot"
    argv: Sequence[str] = ()
    recorded: Sequence[RecordedOrder] = ()


def responding(text: str) -> Responding:
    """The responder that a command line names. Raises UsageError where there is no such program."""
    for kind in _WITHOUT_PROGRAM:
        if text == kind:
            return Responding(kind)
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--responder {text!r}: {error}", help=_KNOWN) from None
    if not argv or shutil.which(argv[0]) is None:
        name = argv[0] if argv else ""
        raise UsageError(f"--responder: no program {name!r} can be run", help=_KNOWN)
    return Responding("command", tuple(argv))
