"""Timeline of a run from its journal: fault windows, steps, and the run's end.

A fault that was announced (`fault.injecting`) and of which nothing more is journaled may still
be there; only a `fault.removed` that read the state back as gone says otherwise, and it may stand
in the reaper's own file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gameday.core.json_objects import Json
from gameday.core.messages import Message, Value, known
from gameday.evidence import events
from gameday.evidence.event_fields import YesNo
from gameday.evidence.events import E, Event
from gameday.evidence.journal import Record, RecordOf, every, first

NO_END = "the journal has no end"
CUT_OFF = "the run ended during it"
HAS_ENDED = "has ended"  # what the journal says of a part of our own stack, behind its name
# What must have gone well, or rows may still be on their way.
SETTLING = frozenset({"close", "drain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultWindow:
    """One fault as it went; a time is None where it was not reached."""

    id: str
    fault: str = ""
    target: str = ""
    injecting_ns: int | None = None
    injected_ns: int | None = None
    removed_ns: int | None = None
    gone: bool | None = None
    injected: YesNo = "no"
    removed: YesNo = "unknown"
    dose: Json = field(default_factory=dict)
    why: Value = ""

    @property
    def begun(self) -> bool:
        return self.injecting_ns is not None

    @property
    def left_behind(self) -> bool:
        """It was begun, and nobody read its state back as gone."""
        return self.begun and self.gone is not True


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One step of the playbook as it was worked, or its undo (`undoing`)."""

    step: int
    by: str | None = None
    undoing: bool = False
    started_ns: int | None = None
    status: str
    ended_ns: int | None = None
    took_s: float | None = None
    verified: bool | None = None
    why: Message | str = ""
    playbook: str = ""
    """Its playbook, where several were offered."""

    @property
    def name(self) -> str:
        return f"step {self.playbook}:{self.step}" if self.playbook else f"step {self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRun:
    """An action that was done outside of the playbook, or its undo (`undoing`)."""

    do: str
    by: str | None = None
    undoing: bool = False
    has_undo: bool = False
    started_ns: int | None = None
    status: str
    ended_ns: int | None = None
    why: Message | str = ""

    @property
    def name(self) -> str:
        return f"action {self.do}"


Act = StepRun | ActionRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The journal in the order of things. `cut_ns` is when the traffic was stopped early.

    `responder_ns` is when somebody began to answer what was broken.
    """

    t0_ns: int | None
    started: events.RunStarted | None
    first_ns: int | None
    last_ns: int | None
    faults: tuple[FaultWindow, ...]
    steps: tuple[StepRun, ...]
    responder_ns: int | None
    cut_ns: int | None
    unsettled: str
    ended: str
    ended_why: str
    lost: Mapping[str, str]
    """The parts that died on the way, and why."""
    actions: tuple[ActionRun, ...] = ()

    @property
    def acts(self) -> Sequence[Act]:
        """Everything that a responder did, and every undo of it."""
        return (*self.steps, *self.actions)


def timeline(records: Sequence[Record], reaped: Sequence[Record]) -> Timeline:
    """Put the journal's records together; `reaped` are the reaper's own."""
    started = first(records, events.RunStarted)
    faults, steps, actions = _faults([*records, *reaped]), _steps(records), _actions(records)
    ended = first(records, events.RunEnded)
    cut = (record.t_ns for record in records if _cuts(record.event))
    gone = [record.event for record in every(records, events.WorkerGone)]
    return Timeline(
        t0_ns=traffic_begin_ns(records),
        started=started.event if started else None,
        first_ns=started.t_ns if started else None,
        last_ns=records[-1].t_ns if records else None,
        faults=faults,
        steps=steps,
        responder_ns=_responder_ns(records, faults, [*steps, *actions]),
        cut_ns=min(cut, default=None),
        unsettled=_unsettled(records),
        ended=ended.event.ended if ended else "interrupted",
        ended_why=ended.event.why if ended else NO_END,
        lost={event.lost: event.how for event in gone if event.lost},
        actions=actions,
    )


def _responder_ns(
    records: Sequence[Record], faults: Sequence[FaultWindow], acts: Sequence[Act]
) -> int | None:
    """When somebody began to answer what was broken; what was done before it answers nothing.

    Whoever starts on an alert answers that one.
    """
    begun = (fault.injecting_ns for fault in faults)
    since_ns = min((t_ns for t_ns in begun if t_ns is not None), default=0)
    found = [
        record.t_ns
        for record in every(records, events.ResponderStarted)
        if record.event.alert or record.t_ns >= since_ns
    ]
    found += [
        run.started_ns
        for run in acts
        if not run.undoing and run.started_ns is not None and run.started_ns >= since_ns
    ]
    return min(found, default=None)


def traffic_begin_ns(records: Iterable[Record]) -> int | None:
    """T = 0, in ns of the run's clock."""
    begins = (record.event.t0_ns for record in every(records, events.Phase))
    return next((t0_ns for t0_ns in begins if t0_ns is not None), None)


def _cuts(event: Event) -> bool:
    """Tell an event that stops the traffic, if it comes before the end of its schedule."""
    if isinstance(event, events.Phase):
        return event.aborted is True
    return isinstance(
        event, events.GuardTripped | events.OperatorAbort | events.WorkerGone | events.RunEnded
    )


def _unsettled(records: Iterable[Record]) -> str:
    """Which of closing and draining did not go well, "" when both did."""
    phases = [r.event for r in every(records, events.Phase) if r.event.problem]
    return "; ".join(f"{p.phase}: {p.problem}" for p in phases if p.phase in SETTLING)


def _faults(records: Sequence[Record]) -> tuple[FaultWindow, ...]:
    """One window per fault that was tried, in that order."""
    tried = (
        r.event for r in records if isinstance(r.event, events.FaultInjecting | events.FaultDosed)
    )
    ids = dict.fromkeys(event.id for event in tried)
    of_faults = list(every(records, events.FaultEvent))
    return tuple(_fault(id_, [r for r in of_faults if r.event.id == id_]) for id_ in ids)


def _fault(id_: str, records: Sequence[Record]) -> FaultWindow:
    injecting = _last(records, events.FaultInjecting)
    injected, dosed = _last(records, events.FaultInjected), _last(records, events.FaultDosed)
    removed, proven = _removal(records), _last(records, events.FaultProven)
    verdicts = [each.event for each in (dosed, proven) if each is not None]
    return FaultWindow(
        id=id_,
        fault=injecting.event.fault if injecting else "",
        target=injecting.event.target if injecting else "",
        injecting_ns=injecting.t_ns if injecting else None,
        injected_ns=injected.t_ns if injected else None,
        removed_ns=removed.t_ns if removed else None,
        gone=removed.event.gone if removed else None,
        injected=dosed.event.injected if dosed else "unknown",
        removed=_removed(removed, proven),
        dose=dosed.event.dose or {} if dosed else {},
        why=_reasons(verdicts),
    )


def _reasons(verdicts: Sequence[events.FaultDosed | events.FaultProven]) -> Value:
    """Why the verdicts are as they are; as one text where no sentence has an id."""
    whys = [known(each.message, each.why) for each in verdicts if each.why]
    texts = [each for each in whys if isinstance(each, str)]
    return "; ".join(texts) if len(texts) == len(whys) else whys


def _last(records: Sequence[Record], kind: type[E]) -> RecordOf[E] | None:
    return first(reversed(records), kind)


def _removal(records: Sequence[Record]) -> RecordOf[events.FaultRemoved] | None:
    """The first removal that was read back as gone, else the last one that was tried."""
    removals = list(every(records, events.FaultRemoved))
    return next((r for r in removals if r.event.gone), removals[-1] if removals else None)


def _removed(
    removal: RecordOf[events.FaultRemoved] | None, proven: RecordOf[events.FaultProven] | None
) -> YesNo:
    gone = removal.event.gone if removal else None
    if gone is False:
        return "no"
    return "unknown" if gone is None or proven is None else proven.event.removed


def _steps(records: Sequence[Record]) -> tuple[StepRun, ...]:
    """Every step and every undo of one, as often as they were worked, in their order.

    One that was begun again before it ended, as an undo that was cut off is, is one from its first
    beginning on.
    """
    runs: list[StepRun] = []
    latest: dict[tuple[str, int, bool], int] = {}
    for record in records:
        event = record.event
        if not isinstance(event, events.StepStarted | events.StepDone):
            continue
        book = event.playbook or ""
        key = book, event.step, event.undoing
        begun = isinstance(event, events.StepStarted)
        if key not in latest or (begun and runs[latest[key]].ended_ns is not None):
            latest[key] = len(runs)
            fresh = StepRun(step=event.step, undoing=event.undoing, status="", playbook=book)
            runs.append(fresh)
        runs[latest[key]] = _step(runs[latest[key]], event, record.t_ns)
    return tuple(runs)


def _step(run: StepRun, event: events.StepStarted | events.StepDone, t_ns: int) -> StepRun:
    """A step with one more thing that is known of it."""
    if isinstance(event, events.StepDone):
        return replace(
            run,
            status=event.status,
            ended_ns=t_ns,
            took_s=event.took_s,
            verified=event.verified,
            why=known(event.message, event.why or ""),
        )
    started_ns = t_ns if run.started_ns is None else run.started_ns
    return replace(run, by=event.by, started_ns=started_ns, status="interrupted", why=CUT_OFF)


def _actions(records: Sequence[Record]) -> tuple[ActionRun, ...]:
    """Every action outside of the playbook and every undo of one, in their order."""
    runs: list[ActionRun] = []
    for record in records:
        event = record.event
        if isinstance(event, events.ActionStarted):
            begun = ActionRun(
                do=event.do,
                by=event.by,
                undoing=event.undoing,
                has_undo=event.undo is not None,
                started_ns=record.t_ns,
                status="interrupted",
                why=CUT_OFF,
            )
            runs.append(begun)
        elif isinstance(event, events.ActionDone):
            same = (n for n, run in enumerate(runs) if (run.do, run.undoing) == _key(event))
            last = max(same, default=None)
            if last is None or runs[last].ended_ns is not None:
                continue  # nobody saw it begin
            runs[last] = replace(
                runs[last],
                status=event.status,
                ended_ns=record.t_ns,
                why=known(event.message, event.why or ""),
            )
    return tuple(runs)


def _key(event: events.ActionDone) -> tuple[str, bool]:
    return event.do, event.undoing
