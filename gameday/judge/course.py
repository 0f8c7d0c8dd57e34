"""The course of an incident as a score needs it: who did what when, and what was so meanwhile.

Made of the evidence of a live run, of a replay or of a tabletop, and by the simulation of bots,
which scores with the same functions. All times are seconds from t = 0, the start of the traffic
(of the session, where there is none). What a mode cannot know is None; `score` says why.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.evidence import events
from gameday.evidence.journal import Record, RecordOf, every, first
from gameday.evidence.model import Evidence
from gameday.judge.harm import HarmRecord, harm_of
from gameday.spec.playbook import StepBlock
from gameday.telemetry.failures import steady_state

Mode = Literal["run", "live", "replay", "tabletop"]
Truths = Mapping[str, bool | None]
RUN: Final = "run"
NOBODY: Final = frozenset({"", "bot", "none", "person", "command", "replay", "gameday"})
"""Kinds of responders, which are nobody's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """An order as it was given; `seq` is its number in the journal."""

    seq: int
    at_s: float
    order: str
    by: str = ""
    text: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActSeen:
    """A step of the playbook, or an action beside it (`step` is None), as it was worked.

    `taken_back`: the run undid it by itself, and nobody had ordered it.
    """

    seq: int
    do: str
    begun_s: float
    ended_s: float | None
    status: str
    step: int | None = None
    undoing: bool = False
    taken_back: bool = False
    verified: bool | None = None
    by: str = ""
    before: Truths = field(default_factory=dict)
    after: Truths = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAct:
    """A step of the playbook that a responder is to work; `needed` is False where it never was."""

    number: int
    do: str = ""
    optional: bool = False
    has_state: bool = False
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectivesSeen:
    """One evaluation: whether every objective held, None where that is not known."""

    at_s: float
    well: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One session, or one run, from its fault to its end.

    `why_no_harm` says why `harm` is None. An ordinary run has no plan, so nobody says which
    hypothesis is right, how bad it is, or how often to tell those who wait.
    """

    run: str
    scenario: str
    mode: Mode
    seed: int | None
    ended: str
    end_s: float
    fault_at_s: float | None
    paged_at_s: float | None = None
    damage_at_s: float | None = None
    recovered_at_s: float | None = None
    acknowledged: tuple[int, float] | None = None
    mitigated_claim: tuple[int, float] | None = None
    orders: Sequence[OrderSeen] = ()
    acts: Sequence[ActSeen] = ()
    planned: Sequence[PlannedAct] = ()
    never: Sequence[str] = ()
    has_playbook: bool = False
    hints: Sequence[tuple[int, float]] = ()
    right: Sequence[str] = ()
    decoys: Sequence[str] = ()
    offered: Sequence[str] = ()
    severity: str | None = None
    updates_every_s: float | None = None
    looked: Sequence[ObjectivesSeen] = ()
    objectives: int = 0
    people: Sequence[tuple[str, str]] = ()
    harm: HarmRecord | None = None
    why_no_harm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The truth of a session, as its plan says it."""

    right: Sequence[str] = ()
    decoys: Sequence[str] = ()
    severity: str | None = None
    updates_every_s: float | None = None


def course_of(evidence: Evidence) -> Course:
    """The course of a run directory."""
    records = evidence.journal
    started, planned = first(records, events.DrillStarted), first(records, events.DrillPlanned)
    t0_ns = _origin_ns(evidence)
    fault_at_s = _fault_at_s(evidence, t0_ns, planned)
    mode = _mode(started)
    harm, why = _harm(evidence, mode, fault_at_s)
    plan = _plan(started, planned)
    looked = _looked(evidence, t0_ns)
    since = [r for r in records if fault_at_s is None or _s(r.t_ns, t0_ns) >= fault_at_s]
    ack = _acknowledgement(since)
    claim = next((r for r in _orders(since) if r.event.order == "mitigated"), None)
    effective = evidence.effective
    return Course(
        run=evidence.name,
        scenario=_scenario(evidence, planned),
        mode=mode,
        seed=planned.event.seed if planned else (effective.seed if effective else None),
        ended=evidence.timeline.ended,
        end_s=_end_s(evidence, t0_ns),
        fault_at_s=fault_at_s,
        paged_at_s=_paged_at_s(evidence, t0_ns, fault_at_s),
        damage_at_s=_at(evidence.anchors.damage_ns, t0_ns),
        recovered_at_s=_recovered_at_s(evidence, t0_ns),
        acknowledged=None if ack is None else (ack.seq, _s(ack.t_ns, t0_ns)),
        mitigated_claim=None if claim is None else (claim.seq, _s(claim.t_ns, t0_ns)),
        orders=[_order(r, t0_ns) for r in _orders(records)],
        acts=[_with_readings(act, evidence, t0_ns) for act in _acts(evidence, t0_ns)],
        planned=_planned(evidence),
        never=_never(evidence),
        has_playbook=effective is not None and effective.playbook is not None,
        hints=[(r.seq, float(r.event.cost)) for r in every(records, events.DrillHint)],
        right=plan.right,
        decoys=plan.decoys,
        offered=tuple(started.event.hypotheses) if started else (),
        severity=plan.severity,
        updates_every_s=plan.updates_every_s,
        looked=looked,
        objectives=len(steady_state(effective.experiment)) if effective else 0,
        people=_people(records),
        harm=harm,
        why_no_harm=why,
    )


def _mode(started: RecordOf[events.DrillStarted] | None) -> Mode:
    modes: Mapping[str, Mode] = {"live": "live", "replay": "replay", "tabletop": "tabletop"}
    return RUN if started is None else modes.get(started.event.mode, "live")


def _origin_ns(evidence: Evidence) -> int:
    """T = 0: the start of the traffic, else the session's, else the first record."""
    started = first(evidence.journal, events.DrillStarted)
    begins = (
        evidence.timeline.t0_ns,
        started.t_ns if started else None,
        evidence.timeline.first_ns,
    )
    return next((t_ns for t_ns in begins if t_ns is not None), 0)


def _s(t_ns: int, t0_ns: int) -> float:
    return round((t_ns - t0_ns) / NS, 3)


def _at(t_ns: int | None, t0_ns: int) -> float | None:
    return None if t_ns is None else _s(t_ns, t0_ns)


def _end_s(evidence: Evidence, t0_ns: int) -> float:
    """The end of the traffic; of the session, where there was none."""
    end_ns = evidence.anchors.traffic_end_ns
    ended = first(evidence.journal, events.RunEnded)
    if end_ns is None and ended is not None:
        end_ns = ended.t_ns
    return _s(end_ns or evidence.timeline.last_ns or t0_ns, t0_ns)


def _truth_ns(records: Iterable[Record], what: str) -> int | None:
    told = (r.t_ns for r in every(records, events.DrillTruth) if r.event.what == what)
    return next(told, None)


def _fault_at_s(
    evidence: Evidence, t0_ns: int, planned: RecordOf[events.DrillPlanned] | None
) -> float | None:
    """When the fault came, or was said to come; None where none did."""
    seen = evidence.anchors.first_injecting_ns or _truth_ns(evidence.journal, "injected")
    if seen is not None:
        return _s(seen, t0_ns)
    if planned is None or planned.event.fault_at_s is None:
        return None
    at_s = float(planned.event.fault_at_s)
    return at_s if at_s <= _end_s(evidence, t0_ns) else None


def _acknowledgement(since: Sequence[Record]) -> Record | None:
    """Who took it first, from the fault on.

    Only the first that anybody takes is journaled as that; one of before the fault was of nothing.
    """
    orders = (r for r in _orders(since) if r.event.order in ("ack", "act"))
    return first(since, events.AlertAcknowledged) or next(orders, None)


def _recovered_at_s(evidence: Evidence, t0_ns: int) -> float | None:
    told = _truth_ns(evidence.journal, "recovered")
    return _at(evidence.anchors.recovered_ns if told is None else told, t0_ns)


def _paged_at_s(evidence: Evidence, t0_ns: int, fault_at_s: float | None) -> float | None:
    """When the first alert fired, from the fault on."""
    for each in evidence.evaluations:
        at_s = _s(each.t_ns, t0_ns)
        if at_s >= (fault_at_s or 0.0) and any(a.state == "firing" for a in each.alerts):
            return at_s
    return None


def _harm(
    evidence: Evidence, mode: Mode, fault_at_s: float | None
) -> tuple[HarmRecord | None, str]:
    """The harm, or why there is none to be told (an id of a sentence)."""
    if mode in ("replay", "tabletop"):
        return None, f"score.why.{mode}"
    if fault_at_s is None:
        return None, "score.why.no_fault"
    try:
        return harm_of(evidence, fault_at_s), ""
    except UnknownError:
        return None, "score.why.no_history"


def _plan(
    started: RecordOf[events.DrillStarted] | None, planned: RecordOf[events.DrillPlanned] | None
) -> _Plan:
    """The truth of a session; nothing of a run that was no drill."""
    if planned is None:
        return _Plan()
    return _Plan(
        right=tuple(planned.event.right),
        decoys=tuple(planned.event.decoys),
        severity=planned.event.severity,
        updates_every_s=started.event.updates_every_s if started else None,
    )


def _scenario(evidence: Evidence, planned: RecordOf[events.DrillPlanned] | None) -> str:
    if planned is not None:
        return planned.event.experiment
    return evidence.effective.experiment.name if evidence.effective else ""


def _looked(evidence: Evidence, t0_ns: int) -> Sequence[ObjectivesSeen]:
    """State of the objectives at each evaluation while there was traffic."""
    end_ns = evidence.anchors.traffic_end_ns
    found = []
    for each in evidence.evaluations:
        if each.t_ns < t0_ns or (end_ns is not None and each.t_ns > end_ns):
            continue
        states = [v for name, v in each.readings.items() if name.startswith("objective:")]
        found.append(ObjectivesSeen(at_s=_s(each.t_ns, t0_ns), well=_together(states)))
    return found


def _together(states: Sequence[bool | None]) -> bool | None:
    if any(state is False for state in states):
        return False
    return True if states and all(states) else None


def _orders(records: Iterable[Record]) -> Iterable[RecordOf[events.OrderGiven]]:
    return every(records, events.OrderGiven)


def _order(record: RecordOf[events.OrderGiven], t0_ns: int) -> OrderSeen:
    given = record.event
    return OrderSeen(
        seq=record.seq,
        at_s=_s(record.t_ns, t0_ns),
        order=given.order,
        by=given.by or "",
        text=given.text or "",
        severity=given.severity or "",
    )


def _acts(evidence: Evidence, t0_ns: int) -> Iterable[ActSeen]:
    """Every step and action as it was worked, in the order of their beginnings.

    Where several playbooks are offered, a step of another one is an action outside of the right.
    """
    records, effective = evidence.journal, evidence.effective
    book = effective.playbook.head.name if effective and effective.playbook else None
    for at, record in enumerate(records):
        begun = record.event
        if not isinstance(begun, events.StepStarted | events.ActionStarted):
            continue
        step, do, key = None, begun.do or "", begun.do or ""
        if isinstance(begun, events.StepStarted):
            key = f"{begun.playbook or ''}:{begun.step}"
            own = (begun.playbook or book) == book
            step, do = (begun.step, do) if own else (None, do or key)
        over = _end_of(records[at + 1 :], key, undoing=begun.undoing)
        done = None if over is None else over.event
        yield ActSeen(
            seq=record.seq,
            do=do,
            step=step,
            undoing=begun.undoing,
            taken_back=begun.undoing and not _is_ordered(records[:at], begun),
            by=begun.by or "",
            begun_s=_s(record.t_ns, t0_ns),
            ended_s=None if over is None else _s(over.t_ns, t0_ns),
            status="interrupted" if done is None else getattr(done, "status", ""),
            verified=getattr(done, "verified", None),
            before=begun.readings or {},
            after=getattr(done, "readings", None) or {},
        )


def _is_ordered(earlier: Sequence[Record], undo: events.StepStarted | events.ActionStarted) -> bool:
    """True if an undo is that of an order that is not answered yet, whoever gave it."""
    for record in reversed(earlier):
        order = record.event
        if not isinstance(order, events.OrderGiven) or not order.undo:
            continue
        if isinstance(undo, events.StepStarted):
            same = order.step == undo.step
            same = same and undo.playbook in (None, order.playbook or undo.playbook)
        else:
            same = order.action == undo.do
        answers = (r.event.given for r in every(earlier, events.OrderAnswered))
        if same and record.seq not in answers:
            return True
    return False


def _with_readings(act: ActSeen, evidence: Evidence, t0_ns: int) -> ActSeen:
    """The act with every reading of the evaluations around it, besides those of its own event."""
    begun_ns = t0_ns + round(act.begun_s * NS)
    ended_ns = t0_ns + round((act.begun_s if act.ended_s is None else act.ended_s) * NS)
    earlier = (e.readings for e in reversed(evidence.evaluations) if e.t_ns <= begun_ns)
    later = (e.readings for e in evidence.evaluations if e.sampled_ns > ended_ns)
    return replace(
        act,
        before={**next(earlier, {}), **act.before},
        after={**next(later, {}), **act.after},
    )


def _end_of(later: Sequence[Record], key: str, *, undoing: bool) -> Record | None:
    """The end of a step, as `playbook:number`, or of an action, by its name."""
    for record in later:
        match record.event:
            case events.StepDone(step=step, playbook=book, undoing=undone):
                same = f"{book or ''}:{step}" == key and undone is undoing
            case events.ActionDone(do=do, undoing=undone):
                same = do == key and undone is undoing
            case _:
                same = False
        if same:
            return record
    return None


def _planned(evidence: Evidence) -> Sequence[PlannedAct]:
    """The steps of the playbook, and whether what each is for was ever so."""
    if evidence.effective is None:
        return ()
    return [
        PlannedAct(
            number=step.number,
            do=step.block.do or "",
            optional=step.block.optional,
            has_state=step.block.after is not None,
            needed=_was_needed(evidence, step.number, step.block),
        )
        for step in evidence.effective.steps
    ]


def _was_needed(evidence: Evidence, number: int, block: StepBlock) -> bool:
    """False if its probe `before` was looked at and never held."""
    if block.before is None:
        return True
    name = f"step:{number}:before"
    known = {each.readings.get(name) for each in evidence.evaluations} - {None}
    return True in known or not known


def _never(evidence: Evidence) -> Sequence[str]:
    """The actions that the playbook says not to do."""
    book = evidence.effective.playbook if evidence.effective else None
    return () if book is None else tuple(book.head.do_not)


def _people(records: Sequence[Record]) -> Sequence[tuple[str, str]]:
    """Everybody who took part, with the role that was said; "" where none was."""
    found: dict[str, str] = {}
    for record in records:
        match record.event:
            case events.DrillJoined(by=by, role=role):
                found[by] = role
            case events.OrderGiven(by=str(by), to=to):
                found.setdefault(by, "")
                if to:
                    found.setdefault(to, "")
            case events.AlertAcknowledged(by=str(by)):
                found.setdefault(by, "")
            case _:
                pass
    return [(name, role) for name, role in found.items() if name not in NOBODY]
