"""The events of a journal: one class an event, with its fields in the order of the file.

JSON they are only in the file: `as_json` writes one, `from_json` reads one. The annotation of a
field says what of it is relied on in reading, and what is masked (`event_fields`). What is None and
has that default is left out of the file, unless `nulls` names it. An event that is not known is
`UnknownEvent`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from gameday.core.json_objects import Json
from gameday.core.messages import Message, known
from gameday.evidence.drill_events import (
    DrillDebriefed,
    DrillHint,
    DrillHintPlanned,
    DrillInject,
    DrillInjectPlanned,
    DrillJoined,
    DrillPaused,
    DrillPlanned,
    DrillResumed,
    DrillStarted,
    DrillTruth,
    Sealed,
)
from gameday.evidence.event import EVENTS, E, Event, UnknownEvent, event, fields_of
from gameday.evidence.event_fields import (
    Checked,
    Described,
    Figures,
    Needed,
    OptionalMessage,
    OptionalText,
    OptionalTexts,
    OptionalWord,
    Text,
    Truths,
    Word,
    YesNo,
    masked_value,
)
from gameday.evidence.responder_events import (
    ActionDone,
    ActionStarted,
    OrderAnswered,
    OrderGiven,
    ResponderEnded,
    ResponderLaunched,
    ResponderTrouble,
)
from gameday.spec.undos import Undo

__all__ = [
    "EVENTS",
    "ActionDone",
    "ActionStarted",
    "DrillDebriefed",
    "DrillHint",
    "DrillHintPlanned",
    "DrillInject",
    "DrillInjectPlanned",
    "DrillJoined",
    "DrillPaused",
    "DrillPlanned",
    "DrillResumed",
    "DrillStarted",
    "DrillTruth",
    "E",
    "Event",
    "OrderAnswered",
    "OrderGiven",
    "ResponderEnded",
    "ResponderLaunched",
    "ResponderTrouble",
    "Sealed",
    "UnknownEvent",
    "fields_of",
]
MASKED = "texts"  # what `run.started` says is masked; a journal of before says nothing of it
NEVER_ACTED = frozenset({"not_applicable", "placebo", "needs_person"})  # statuses of steps


@event("run.started")
class RunStarted(Event):
    """The first record. Its `controller` is the process that runs it."""

    run: Checked[Word]
    controller: Checked[Json | None]
    experiment: Word
    stack: Word
    allowed: Checked[Sequence[str]]
    seed: Checked[int | None]
    wall_ns: Checked[int | None]
    boottime_ns: int | None
    boot_id: Word
    inputs: Mapping[str, str]
    gameday: Word
    masked: Word


@event("run.refused")
class RunRefused(Event):
    """Bad usage ended the run."""

    why: Text


@event("run.ended")
class RunEnded(Event):
    """The last record, with the sums of the files of evidence by name."""

    ended: Needed[Word]
    why: Text
    evidence: Checked[Mapping[str, str] | None]


@event("stack.starting")
class StackStarting(Event):
    """A part of the run's own stack is about to be started."""

    name: Needed[Word]
    undo: Needed[Sequence[Undo]]


@event("stack.waiting")
class StackWaiting(Event):
    """How far the start of a stack of several parts is, by their names; told when it changes."""

    well: Needed[Sequence[str]]
    waiting: Needed[Sequence[str]]


@event("stack.ready")
class StackReady(Event):
    """The system answers, at these addresses."""

    took_s: float | None
    addresses: Checked[Json | None]
    binaries: Mapping[str, str]


@event("phase")
class Phase(Event):
    """A part of the run begins, or something went wrong in it.

    `t0_ns` is when the traffic begins, `before_ms` the latency of `service` before the faults;
    `act` is what is done before the run, `campaign` the code that a system made up.
    """

    phase: Checked[Word]
    t0_ns: Checked[int | None] = None
    service: OptionalWord = None
    protocol: OptionalWord = None
    before_ms: float | None = None
    aborted: bool | None = None
    at_most_s: float | None = None
    problem: OptionalText = None
    cure: OptionalText = None
    left: OptionalTexts = None
    act: OptionalText = None
    campaign: OptionalWord = None

    def nulls(self) -> Collection[str]:
        return () if self.service is None else ("before_ms",)


@event("answer.unmatched")
class AnswerUnmatched(Event):
    """An example of an answer that no outcome of the system file describes; its beginning."""

    status: Needed[int]
    said: Text


@dataclass(frozen=True, slots=True)
class FaultEvent(Event):
    """Something of the fault `id`."""

    id: Needed[Word]


@event("fault.injecting")
class FaultInjecting(FaultEvent):
    """A fault is about to be made; whoever finds this can undo it."""

    fault: Checked[Word]
    target: Checked[Word]
    changes: Sequence[Json]
    undo: Needed[Sequence[Undo]]


@event("fault.injected")
class FaultInjected(FaultEvent):
    """The fault is made."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A witness's look at a fault; `ok` is None when it cannot tell, `measured` without a figure.

    The witness is P (gameday's probe), S (the service's own metric) or T (the traffic). `shown` is
    False for a P that only read back what was asked for. `message` is the sentence of `why`; older
    runs have none.
    """

    witness: str
    ok: bool | None = None
    asked: float | None = None
    measured: float | None = None
    unit: str = ""
    n: int = 0
    why: str = ""
    shown: bool = True
    message: Message | None = None

    def __post_init__(self) -> None:
        if not self.why:
            object.__setattr__(self, "why", str(known(self.message, "")))

    @property
    def reason(self) -> Message | str:
        """`why` as it goes into another sentence."""
        return self.why if self.message is None else self.message

    def as_json(self) -> object:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        message = fields.pop("message")
        return fields if message is None else {**fields, "message": message.as_json()}


@event("fault.probed")
class FaultProbed(FaultEvent):
    """An observation as it is made; or the `problem` because of which there is none."""

    witness: Word
    ok: bool | None = None
    asked: float | None = None
    measured: float | None = None
    unit: OptionalWord = None
    n: int | None = None
    why: OptionalText = None
    shown: bool | None = None
    message: OptionalMessage = None
    problem: OptionalText = None

    @classmethod
    def of(cls, id_: str, seen: Observation) -> "FaultProbed":
        """The event of an observation."""
        return cls(id=id_, **{name: getattr(seen, name) for name in seen.__dataclass_fields__})

    def nulls(self) -> Collection[str]:
        return ("ok", "asked", "measured") if self.problem is None else ()


@event("fault.dosed")
class FaultDosed(FaultEvent):
    """The verdict of the witnesses."""

    injected: Needed[YesNo]
    dose: Checked[Figures]
    why: Text
    message: OptionalMessage = None


@event("fault.removing")
class FaultRemoving(FaultEvent):
    """The fault is about to be taken out."""


@event("fault.escalated")
class FaultEscalated(FaultEvent):
    """A step beyond the fault itself is about to be taken, as its removal is stuck."""

    step: Word
    why: Text
    undo: Needed[Sequence[Undo]]


@event("fault.removed")
class FaultRemoved(FaultEvent):
    """The fault was taken out. `gone`: it reads back as gone, None: that could not be read."""

    gone: Checked[bool | None]
    why: OptionalText = None


@event("fault.proven")
class FaultProven(FaultEvent):
    """The proof, or not, that things are as they were before the fault."""

    removed: Needed[YesNo]
    why: Text
    message: OptionalMessage = None


@event("responder.started")
class ResponderStarted(Event):
    """Somebody takes up the incident: `by` is the kind of responder.

    `alert` is "" where none of the playbook had fired yet; `delay_s` counts from that.
    """

    alert: Word
    by: OptionalWord
    delay_s: float | None


@event("alert.acknowledged")
class AlertAcknowledged(Event):
    """Somebody has taken the incident. `through` is the kind of responder, `by` a free name."""

    by: OptionalWord
    through: OptionalWord = None


@event("step.started")
class StepStarted(Event):
    """A step of the playbook begins, or its undo (`undoing`). `readings` are of its probes.

    `playbook` is named where several are offered.
    """

    step: Needed[int]
    text: Text
    do: OptionalWord
    by: OptionalWord
    undoing: Checked[bool]
    through: OptionalWord = None
    undo: Checked[Undo | None] = None
    readings: Checked[Truths | None] = None
    playbook: OptionalWord = None

    def nulls(self) -> Collection[str]:
        return () if self.undoing else ("undo",)


@event("step.done")
class StepDone(Event):
    """The step is over. Whoever undoes it from outside of the run knows no more than that.

    `readings` are those of its probes that were sampled after it acted.
    """

    step: Needed[int]
    status: Needed[Word]
    took_s: Checked[float | None] = None
    verified: Checked[bool | None] = None
    why: OptionalText = None
    undoing: Checked[bool] = False
    refuses: bool | None = None
    message: OptionalMessage = None
    readings: Checked[Truths | None] = None
    playbook: OptionalWord = None

    @property
    def may_have_acted(self) -> bool:
        """False if the step was over before its action, so that there is nothing to take back."""
        blind = self.message is not None and self.message.id == "step.no_data_before"
        return not blind and self.status not in NEVER_ACTED

    def nulls(self) -> Collection[str]:
        return () if self.took_s is None else ("verified",)


@event("autoscaler.scaling")
class AutoscalerScaling(Event):
    """The number of replicas is about to be altered, for a load; `undo` brings back the first."""

    replicas: Needed[int]
    before: Needed[int]
    load: Checked[float | None]
    undo: Checked[Undo | None] = None


@event("autoscaler.scaled")
class AutoscalerScaled(Event):
    """So many replicas serve now; or not, for the reason `why`. `back`: as many as at first."""

    replicas: Needed[int]
    took_s: Checked[float | None] = None
    why: OptionalText = None
    back: Checked[bool] = False


@event("guard.tripped")
class GuardTripped(Event):
    """A guard of the experiment ends the run."""

    guard: Word
    why: Word


@event("worker.gone")
class WorkerGone(Event):
    """A child process died: its last words, and in one line `how`, for the verdict."""

    which: Word
    why: Text
    lost: Word
    how: Text


@event("operator.stop")
class OperatorStop(Event):
    """`gameday stop` was heard."""

    by: Word


@event("operator.abort")
class OperatorAbort(Event):
    """A person, or a signal, ends the run."""

    why: Text


@event("audit.read")
class AuditRead(Event):
    """The stores were read."""

    rows: int | None
    cut: Word
    problem: Text


@event("reaper.claimed")
class ReaperClaimed(Event):
    """The reaper undoes the run from here on."""

    why: Text


@event("reaper.failed")
class ReaperFailed(Event):
    """Something could not be undone, so far."""

    what: Word
    why: Text


@event("reaper.ended")
class ReaperEnded(Event):
    """The reaper's last attempt is over; `left` is what it could not undo."""

    left: Sequence[str]


@event("part.ended")
class PartEnded(Event):
    """A part of the stack was ended by the reaper."""

    name: Word


def from_json(kind: Any, data: Json) -> Event:
    """An event as it stands in a file. Raises ValueError, TypeError for one that cannot be."""
    if not isinstance(kind, str):
        raise TypeError(f"the event {kind!r} is no text")
    cls = EVENTS.get(kind)
    if cls is None:
        return UnknownEvent(kind, data)
    return cls(**{e.name: _read(e, kind, data.get(e.name, MISSING)) for e in fields_of(kind)})


def _read(field: Described, kind: str, value: object) -> Any:
    name, form, default, marks = field
    there = value is not MISSING
    if there and form.fits(value):
        return form.read(value)
    if "needed" in marks or (there and "checked" in marks):
        raise ValueError(f"{kind}: {name!r} is not what it should be")
    return form.empty if default is MISSING else default


def masked(event: Event, hide: Callable[[str], str]) -> Json:
    """The fields of an event as they are written: what is text or not known through `hide`."""
    marks = {each.name: each.marks for each in fields_of(event.kind)}
    return {
        name: masked_value(value, marks.get(name, ("text",)), hide)
        for name, value in event.as_json().items()
    }
