"""The events of responders: what is ordered in an incident, by whom, and what came of it.

A step of the playbook has events of its own (`step.started`, `step.done`), whoever works it. An
action of the system file that is done outside of the playbook has those here, with the readings
of before and after it in place of probes.
"""

from collections.abc import Collection, Sequence

from gameday.evidence.event import Event, event
from gameday.evidence.event_fields import (
    Checked,
    Needed,
    OptionalMessage,
    OptionalText,
    OptionalWord,
    Text,
    Truths,
    Word,
)
from gameday.spec.undos import Undo


@event("order.given")
class OrderGiven(Event):
    """An order is heard. `through` is the kind of responder that it came from, `by` who gave it.

    `step` or `action` is what is to be done, or taken back (`undo`); `playbook` is the step's where
    several are offered.
    """

    order: Needed[Word]
    by: OptionalWord
    through: OptionalWord
    text: OptionalText = None
    to: OptionalText = None
    severity: OptionalWord = None
    step: Checked[int | None] = None
    action: OptionalWord = None
    undo: Checked[bool | None] = None
    playbook: OptionalWord = None


@event("order.answered")
class OrderAnswered(Event):
    """An order has its answer; `given` is the number of its `order.given` in the journal."""

    given: Needed[int]
    order: Word
    status: Needed[Word]
    why: OptionalText = None
    message: OptionalMessage = None


@event("action.started")
class ActionStarted(Event):
    """An action begins that is no step of the playbook, or its undo (`undoing`)."""

    do: Needed[Word]
    by: OptionalWord
    undoing: Checked[bool]
    undo: Checked[Undo | None] = None
    readings: Checked[Truths | None] = None

    def nulls(self) -> Collection[str]:
        return () if self.undoing else ("undo",)


@event("action.done")
class ActionDone(Event):
    """The action is over, or its undo. `readings` are the first that were sampled after it."""

    do: Needed[Word]
    status: Needed[Word]
    took_s: Checked[float | None] = None
    why: OptionalText = None
    undoing: Checked[bool] = False
    message: OptionalMessage = None
    readings: Checked[Truths | None] = None


@event("responder.launched")
class ResponderLaunched(Event):
    """The program that responds was started; whoever finds this can end it."""

    program: Text
    undo: Needed[Sequence[Undo]]


@event("responder.trouble")
class ResponderTrouble(Event):
    """The program that responds did something that is no order; the run goes on."""

    why: Text
    message: OptionalMessage = None


@event("responder.ended")
class ResponderEnded(Event):
    """The program that responds is not heard any more; the run goes on. `orders` it gave."""

    why: Text
    orders: Checked[int | None] = None
    message: OptionalMessage = None
