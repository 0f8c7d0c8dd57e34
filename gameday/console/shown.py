"""Records of the journal as a page is told them, and which of them a page is told.

In a drill each record says whom it is for. Whoever works on the incident is told even less: the
orders, what came of them, and what is said to the team. What was broken, how it is seen, and how
it is put back, is for who leads; so are addresses and undo records, which no page needs at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gameday.core.clock import NS
from gameday.core.json_objects import Json
from gameday.evidence import events
from gameday.evidence.journal import Record

WORK: Final[frozenset[str]] = frozenset(
    kind.kind
    for kind in (
        events.ActionDone,
        events.ActionStarted,
        events.AlertAcknowledged,
        events.DrillDebriefed,
        events.DrillHint,
        events.DrillInject,
        events.DrillJoined,
        events.DrillPaused,
        events.DrillResumed,
        events.DrillStarted,
        events.OrderAnswered,
        events.OrderGiven,
        events.ResponderStarted,
        events.RunEnded,
        events.StepDone,
        events.StepStarted,
    )
)
"""Kinds of events that whoever works on the incident is told, until the debrief."""
_NEVER: Final = frozenset(
    {"undo", "controller", "addresses", "binaries", "inputs", "evidence", "key", "changes", "dose"}
    | {"message", "allowed", "boot_id", "boottime_ns"}
)
_MOST_TEXT: Final = 4000


@dataclass(frozen=True, slots=True)
class Item:
    """A record as it is told; `t` is seconds from the first one.

    `secret` is for who leads alone, until the debrief.
    """

    seq: int
    t: float
    kind: str
    data: Json
    secret: bool


def item(record: Record, t_s: float) -> Item:
    """The record as a page may be told it."""
    data = {name: _short(value) for name, value in record.data.items() if name not in _NEVER}
    secret = record.audience != "all" or record.event.kind not in WORK
    return Item(record.seq, t_s, record.event.kind, data, secret)


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, Mapping):
        return {str(name): _short(each) for name, each in list(value.items())[:100]}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value[:100]]
    return value


def seconds_from(t0_ns: int, t_ns: int) -> float:
    """Seconds from an instant, to the millisecond."""
    return round((t_ns - t0_ns) / NS, 3)
