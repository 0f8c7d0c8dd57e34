"""A recorded run as the responder: its orders again, at the same instants of the traffic.

What a bot did in it, or people before orders were journaled, is ordered by the same names: an
acknowledgement as `ack`, a step as an act. What was taken back at the end is not replayed: this run
takes back by itself.
"""

from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.json_objects import read_object
from gameday.evidence import events, journal
from gameday.evidence.timeline import traffic_begin_ns
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import IncidentOrder, RecordedOrder

_CURE: Final = "replay another run"


def recorded_orders(run_dir: Path) -> Sequence[RecordedOrder]:
    """The orders of a recorded run, in their order. Raises UsageError where there are none."""
    try:
        records = journal.read(run_dir / "journal.jsonl").records
    except FileNotFoundError:
        records = ()
    t0_ns = traffic_begin_ns(records)
    try:
        found = [] if t0_ns is None else list(_orders(records, t0_ns))
    except ValueError as error:
        raise UsageError(f"{run_dir}: an order that is not known: {error}", help=_CURE) from None
    if not found:
        raise UsageError(f"{run_dir}: nobody has ordered anything in this run", help=_CURE)
    return found


def _orders(records: Sequence[journal.Record], t0_ns: int) -> Iterator[RecordedOrder]:
    people = {record.event.by for record in journal.every(records, events.OrderGiven)}
    for record in records:
        at_s, event = (record.t_ns - t0_ns) / NS, record.event
        order = _order(event, people)
        if order is not None:
            yield RecordedOrder(at_s, order, getattr(event, "by", None) or "somebody")


def _order(event: events.Event, people: Collection[str | None]) -> IncidentOrder | None:
    """What an event orders; None for one that orders nothing, or stands for an order of `people`.

    Raises ValueError for an order that this version does not know.
    """
    match event:
        case events.OrderGiven():
            return read_object(IncidentOrder, event.as_json())
        case events.AlertAcknowledged(by=by) if by not in people:
            return IncidentOrder("ack")
        case events.StepStarted(step=step, by=by, undoing=False, playbook=book) if by not in people:
            return IncidentOrder("act", step=step, playbook=book or "")
        case _:
            return None


@dataclass(slots=True)
class Replay:
    """The orders of a recorded run, given again. `until` waits for an instant of the traffic."""

    incident: Incident
    recorded: Sequence[RecordedOrder]
    until: Callable[[float], Coroutine[Any, Any, None]]

    def stand_back(self) -> None:
        """Go on: what a person did then is done again, whoever else is at work."""

    async def respond(self) -> None:
        """Give each order at its instant."""
        for each in self.recorded:
            await self.until(each.at_s)
            self.incident.give(each.order, each.by, "replay")

    async def finish(self) -> None:
        """Nothing is left of it once it is not waited for."""
