"""A drill as a run sees it: what is hidden, how long faults stay, and what else may be ordered.

The run knows no more of drills than this. An ordinary run has none, and does nothing of it.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gameday.core.messages import Message
from gameday.evidence.journal import Journal
from gameday.evidence.sealed_box import Box
from gameday.run.responder.orders import Heard
from gameday.spec.experiment import Experiment
from gameday.spec.playbook import Playbook

if TYPE_CHECKING:
    from gameday.run.context import Run
    from gameday.run.locks import RunCommand


class DrillHooks(Protocol):
    """What a drill adds to a run. What the run is given is disguised; `real` is not."""

    box: Box
    real: Experiment
    scenarios: Sequence[str]
    """All that the traffic may have; not all of them come."""
    playbooks: Sequence[Playbook]
    """All that are offered; their steps say whose they are."""
    hypotheses: Sequence[str]
    """Offered to the team, in this order."""
    mitigated: asyncio.Event
    """Set once a fault need stay no longer: it was said to be mitigated, and objectives hold."""

    def begin(self, journal: Journal) -> None:
        """Journal what the session is, right after the run's first record."""

    def tasks(self, run: "Run") -> Sequence[Coroutine[Any, Any, None]]:
        """The work that goes on beside the faults."""

    def hint(self, by: str) -> Message:
        """The answer to somebody who asks for a hint."""

    def join(self, by: str, role: str) -> Heard:
        """Note that somebody takes part, in a role of the team."""

    def command(self, command: "RunCommand", by: str) -> Heard | None:
        """Do what the facilitator orders; None for what is no such command."""
