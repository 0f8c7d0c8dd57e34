"""Extra traffic: a scenario of its own, switched on and off in the traffic workers.

A worker ends when its controller does, so that another process has nothing left to undo.
"""

from gameday.injection.context import InjectionContext
from gameday.injection.removal_proof import State
from gameday.spec.changes import ExtraTraffic
from gameday.spec.undos import TrafficUndo


async def prepare(change: ExtraTraffic, context: InjectionContext) -> TrafficUndo:
    """Nothing to read: the scenario is new."""
    del context
    return TrafficUndo(scenario=change.scenario)


async def act(change: ExtraTraffic, undo: TrafficUndo, context: InjectionContext) -> None:
    """Begin the scenario."""
    del undo
    await context.traffic().on(change)


async def switch_off(record: TrafficUndo, context: InjectionContext) -> None:
    """End the scenario now; inside the run that started it."""
    await context.traffic().off(record.scenario)


async def look(record: TrafficUndo) -> State:
    """Outside the run: gone with its worker."""
    del record
    return State(gone=True, why="its worker has ended with the controller")
