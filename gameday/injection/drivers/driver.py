"""The signature that every driver has, whatever kind of change it makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gameday.core.messages import Message
from gameday.injection.removal_proof import State
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.undos import Undo

if TYPE_CHECKING:
    from gameday.injection.context import InjectionContext

# Whether it was there (None: cannot tell), how much of it, in which unit, and why.
Dose = tuple[bool | None, float | None, str, Message]
Environment = Mapping[str, str] | None


class Driver:
    """One kind of change: read before it is made, made, measured, taken back, and read back.

    Undoing and looking need only the record, so that another process can do both. An object keeps
    what its run goes on doing for its faults; it belongs to that run.
    """

    undo_s = 60.0

    async def prepare(self, change: Any, context: "InjectionContext") -> Undo:
        """Read what is there, and return how the change will be taken back. Alters nothing."""
        raise TypeError(f"no fault makes such a change: {change!r}")

    async def act(self, change: Any, undo: Any, context: "InjectionContext") -> None:
        """Make the change."""
        raise TypeError(f"no fault makes such a change: {change!r}")

    async def dose(self, record: Any) -> Dose | None:
        """Its own measurement of a change that is over at once; None where only `look` can tell."""
        del record
        return None

    async def undo(self, record: Any, environment: Environment, policy: UndoPolicy) -> None:
        """Take the change back. Doing it twice is harmless."""
        raise NotImplementedError

    async def look(self, record: Any, environment: Environment) -> State:
        """State of the change when read back."""
        raise NotImplementedError
