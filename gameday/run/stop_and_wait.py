"""Ending a run from another terminal: give the order, then watch until its faults are out.

The order itself takes no time. What happens then is read from the run's own files, where the
controller and the reaper write what they have read back; so a controller that does not answer any
more is no reason not to know: its reaper takes the faults out when the lease runs out.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError, UnknownError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.secrets.signing import read_key
from gameday.evidence import journal, provenance
from gameday.evidence.events import OperatorStop, ReaperClaimed, Sealed
from gameday.evidence.sealed_box import Box
from gameday.injection.drivers import Drivers
from gameday.injection.heal import Left, left_behind
from gameday.run import locks
from gameday.run.locks import UnderWay

LOOK_S = 0.05  # so that `gameday stop` returns when a person would say at once
HEARD_S = 3.0  # for the order to show in the journal; a full disk keeps it out
LIMIT_S = 90.0  # a removal that escalates takes its time
SEALED = "whatever its sealed journal announced"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Outcome of the removal for one run. `left` names faults that are not seen to be out."""

    run: str
    after_s: float
    left: tuple[str, ...]
    silent: bool
    """The controller did not answer."""


async def stop(
    run: UnderWay, by: str, clock: Clock, environment: Mapping[str, str], box: Box | None = None
) -> Stopped:
    """Order a run to end, and wait for its faults to be out, but not for its audit.

    `environment` has the secrets that a look at a store may need; `box` opens what a drill has
    sealed, of which nobody else can tell before its debrief.
    """
    begun_ns = clock.now_ns()
    heard = run.has_controller and await _order(run, by)
    deadline_ns = begun_ns + round(LIMIT_S * NS)
    while True:
        over = await asyncio.to_thread(_is_over, run)  # before the reading: nothing comes after it
        records = await asyncio.to_thread(_records, run, box)
        patience = clock.now_ns() - begun_ns > HEARD_S * NS
        sealed = any(isinstance(record.event, Sealed) for record in records)
        told = any(isinstance(record.event, OperatorStop | ReaperClaimed) for record in records)
        left = [each for each in left_behind(records) if each.owner == "fault"]
        if not (left or sealed) and (told or over or (heard and patience)):
            break
        if over or clock.now_ns() > deadline_ns:
            left = [each for each in left if not await _reads_as_gone(each, environment)]
            break
        await clock.sleep(LOOK_S)
    names = tuple(dict.fromkeys(each.name for each in left))
    if sealed:  # a drill that ended without its debrief: nobody can tell
        names = (*names, SEALED)
    return Stopped(run.run, (clock.now_ns() - begun_ns) / NS, names, silent=not heard)


async def _order(run: UnderWay, by: str) -> bool:
    """Send the order; True if it was heard."""
    try:
        return (await locks.send_order(run, locks.RunCommand("stop", by))).ok
    except UsageError:
        return False


def _is_over(run: UnderWay) -> bool:
    """Neither a controller nor a reaper of it is at work."""
    return run.run not in {each.run for each in locks.running()}


def _records(run: UnderWay, box: Box | None) -> Sequence[journal.Record]:
    """Records that the controller and the reaper of the run have signed; no others count.

    Raises UnknownError where that is nothing, as with a key that was lost while the run went on.
    """
    read = provenance.read(run.dir, read_key(state_dir()), box=box)
    if read.foreign and not read.journal:
        raise UnknownError(
            f"run {run.run}: its journal is {read.why_foreign}: whether its faults are out is not"
            " known",
            help=f"when it has ended: gameday heal --trust {run.dir}",
        )
    return [*read.journal, *read.later]


async def _reads_as_gone(left: Left, environment: Mapping[str, str]) -> bool:
    """Look at the thing itself, where the journal does not say that it is gone."""
    try:
        return not left.masked and await Drivers().read_back(left.undo, environment) is True
    except GamedayError:
        return False
