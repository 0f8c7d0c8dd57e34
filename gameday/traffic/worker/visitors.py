"""What is known of each user of one worker: what steps captured for him, and which were done.

A step that is done once for each user is asked by the first of his starts; those that come
meanwhile wait for its answer. Who was seen first is forgotten first where there are too many, and
then his steps are done again.
"""

from typing import TYPE_CHECKING, Final

from gameday.spec.users import Cell
from gameday.traffic.escapes import Captured

if TYPE_CHECKING:
    from gameday.traffic.worker.errand import Errand

MOST: Final = 1_000_000


class Visitor:
    """One user."""

    __slots__ = ("captured", "done", "waiting")

    def __init__(self) -> None:
        self.captured: dict[str, Cell] = {}
        self.done: set[int] = set()
        self.waiting: dict[int, list[Errand]] = {}


class Visitors:
    """All users that a worker has met."""

    def __init__(self) -> None:
        self._known: dict[int, Visitor] = {}

    def meet(self, user: int) -> Visitor:
        """A user, who may be new."""
        visitor = self._known.get(user)
        if visitor is None:
            if len(self._known) >= MOST:
                self._forget()
            visitor = self._known[user] = Visitor()
        return visitor

    def captured(self, user: int) -> Captured:
        """What was captured for a user once and for all."""
        visitor = self._known.get(user)
        return {} if visitor is None else visitor.captured

    def _forget(self) -> None:
        """Forget who was seen first, but nobody for whom something is under way."""
        first = next((user for user, each in self._known.items() if not each.waiting), None)
        if first is not None:
            del self._known[first]
