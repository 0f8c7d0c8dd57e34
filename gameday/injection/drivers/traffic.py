"""Extra traffic: a scenario of its own, switched on and off in the traffic workers.

A worker ends when its controller does, so that another process has nothing left to undo.
"""

from gameday.injection.context import InjectionContext
from gameday.injection.proof import State
from gameday.spec.changes import ExtraTraffic, Undo


async def prepare(change: ExtraTraffic, context: InjectionContext) -> Undo:
    """Nothing to read: the scenario is new."""
    del context
    return Undo("traffic", {"scenario": change.scenario})


async def act(change: ExtraTraffic, undo: Undo, context: InjectionContext) -> None:
    """Begin the scenario."""
    del undo
    await context.traffic().on(change)


async def switch_off(record: Undo, context: InjectionContext) -> None:
    """End the scenario now; inside the run that started it."""
    await context.traffic().off(record.data["scenario"])


async def undo(record: Undo) -> None:
    """Outside the run: the worker that carried it ended with its controller."""
    del record


async def look(record: Undo) -> State:
    """Outside the run: gone with its worker."""
    del record
    return State(gone=True, why="its worker has ended with the controller")
