"""Policy of an undo: how far it may go beyond the change itself, and who hears of that."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gameday.spec.undos import Undo

# What is tried next, why, and how it would be undone, should this process end meanwhile.
OnEscalation = Callable[[str, str, Sequence[Undo]], Awaitable[None]]

REFUSED_S = 3.0  # a server that is restarted listens again within three seconds


async def nobody(step: str, why: str, undos: Sequence[Undo]) -> None:
    """Nobody has to hear of it."""
    del step, why, undos


@dataclass(frozen=True, slots=True)
class UndoPolicy:
    """`on_escalation` hears of every step before it is taken, where `escalate` allows any.

    `refused_s`: how long to wait for a server that refuses connections and is not known to have
    ended: it may only be cut off.
    """

    on_escalation: OnEscalation = nobody
    escalate: bool = True
    refused_s: float = REFUSED_S
