"""The truth about a session, for who leads it: what is broken, when, and what would be right.

Of a drill the journal says it (`drill.planned` and what follows it); of another run its inputs do.
Windows are what is planned; those that came about stand in the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.console.feed import Feed
from gameday.core.units import seconds


@dataclass(frozen=True, slots=True)
class FaultPlanned:
    """A fault as it is planned, in seconds from the start of the traffic."""

    id: str
    fault: str
    target: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Truth:
    """Experiment, title and hypothesis as its file has them, and the faults of it."""

    experiment: str = ""
    title: str = ""
    hypothesis: str = ""
    playbook: str = ""
    seed: int | None = None
    responder: str = ""
    faults: Sequence[FaultPlanned] = ()


def truth(feed: Feed) -> Truth:
    """All that the inputs of a run say about it; nothing where they cannot be read."""
    effective = feed.effective
    if effective is None:
        return Truth()
    experiment = effective.experiment
    return Truth(
        experiment=experiment.name,
        title=experiment.title or "",
        hypothesis=experiment.hypothesis or "",
        playbook=effective.playbook.head.name if effective.playbook else "",
        seed=effective.seed,
        responder=effective.responder,
        faults=[
            FaultPlanned(
                id=fault.id or "",
                fault=str(fault.fault),
                target=str(getattr(fault, "target", "") or ""),
                at=seconds(fault.at),
                until=seconds(fault.at + fault.duration),
            )
            for fault in experiment.method
        ],
    )
