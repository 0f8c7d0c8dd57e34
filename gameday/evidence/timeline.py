"""What gameday did, put together from the journal: fault windows, steps, and the run's end.

A fault that was announced (`fault.injecting`) and of which nothing more is journaled may still
be there; only a `fault.removed` that read the state back as gone says otherwise, and it may stand
in the reaper's own file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gameday.evidence.journal import Record

YesNo = Literal["yes", "no", "unknown"]

# What stops the traffic before its schedule ends, if it comes before it.
ENDINGS = frozenset({"guard.tripped", "operator.abort", "worker.gone", "run.ended"})
NO_END = "the journal has no end"
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
    dose: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

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
    by: str | None
    undoing: bool
    started_ns: int | None
    status: str
    ended_ns: int | None = None
    took_s: float | None = None
    verified: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The journal in the order of things. `cut_ns` is when the traffic was stopped early."""

    t0_ns: int | None
    started: Mapping[str, Any]
    first_ns: int | None
    last_ns: int | None
    faults: tuple[FaultWindow, ...]
    steps: tuple[StepRun, ...]
    responder_ns: int | None
    responder_alert: str
    cut_ns: int | None
    unsettled: str
    ended: str
    ended_why: str
    lost: Mapping[str, str]
    """The parts that died on the way, and why."""


def timeline(records: Sequence[Record], reaped: Sequence[Record]) -> Timeline:
    """Put the journal's records together; `reaped` are the reaper's own."""
    started = _first(records, "run.started")
    traffic = next((r for r in records if r.event == "phase" and "t0_ns" in r.data), None)
    responder = _first(records, "responder.started")
    ended = _first(records, "run.ended")
    cut = (r.t_ns for r in records if r.event in ENDINGS or r.data.get("aborted"))
    return Timeline(
        t0_ns=traffic.data["t0_ns"] if traffic else None,
        started=started.data if started else {},
        first_ns=started.t_ns if started else None,
        last_ns=records[-1].t_ns if records else None,
        faults=_faults([*records, *reaped]),
        steps=_steps(records),
        responder_ns=responder.t_ns if responder else None,
        responder_alert=str(responder.data.get("alert", "")) if responder else "",
        cut_ns=min(cut, default=None),
        unsettled=_unsettled(records),
        ended=str(ended.data["ended"]) if ended else "interrupted",
        ended_why=str(ended.data.get("why", "")) if ended else NO_END,
        lost={str(r.data["lost"]): str(r.data.get("how", "")) for r in records if "lost" in r.data},
    )


def _unsettled(records: Iterable[Record]) -> str:
    """Which of closing and draining did not go well, "" when both did."""
    phases = [r.data for r in records if r.event == "phase" and r.data.get("problem")]
    found = [f"{p['phase']}: {p['problem']}" for p in phases if p.get("phase") in SETTLING]
    return "; ".join(found)


def _first(records: Iterable[Record], event: str) -> Record | None:
    return next((record for record in records if record.event == event), None)


def _faults(records: Sequence[Record]) -> tuple[FaultWindow, ...]:
    """One window per fault that was tried, in that order."""
    events = ("fault.injecting", "fault.dosed")
    ids = dict.fromkeys(r.data["id"] for r in records if r.event in events)
    return tuple(_fault(id_, [r for r in records if r.data.get("id") == id_]) for id_ in ids)


def _fault(id_: str, records: Sequence[Record]) -> FaultWindow:
    at = {record.event: record for record in records}
    injected, removed = at.get("fault.injected"), _removal(records)
    dosed, proven = at.get("fault.dosed"), at.get("fault.proven")
    gone = removed.data.get("gone") if removed else None
    begun = at["fault.injecting"].data if "fault.injecting" in at else {}
    return FaultWindow(
        id=id_,
        fault=str(begun.get("fault", "")),
        target=str(begun.get("target", "")),
        injecting_ns=at["fault.injecting"].t_ns if "fault.injecting" in at else None,
        injected_ns=injected.t_ns if injected else None,
        removed_ns=removed.t_ns if removed else None,
        gone=gone,
        injected=dosed.data["injected"] if dosed else "unknown",
        removed=_removed(removed, proven),
        dose=dosed.data.get("dose") or {} if dosed else {},
        why="; ".join(str(r.data["why"]) for r in (dosed, proven) if r and r.data.get("why")),
    )


def _removal(records: Sequence[Record]) -> Record | None:
    """The first removal that was read back as gone, else the last one that was tried."""
    removals = [record for record in records if record.event == "fault.removed"]
    return next((r for r in removals if r.data.get("gone")), removals[-1] if removals else None)


def _removed(removal: Record | None, proven: Record | None) -> YesNo:
    gone = removal.data.get("gone") if removal else None
    if gone is False:
        return "no"
    if gone is None or proven is None:
        return "unknown"
    answer: YesNo = proven.data["removed"]
    return answer


def _steps(records: Sequence[Record]) -> tuple[StepRun, ...]:
    """Every step and every undo of one, in the order they were worked."""
    runs: dict[tuple[int, bool], StepRun] = {}
    for record in records:
        if record.event in ("step.started", "step.done"):
            key = record.data["step"], bool(record.data.get("undoing"))
            runs[key] = _step(key, runs.get(key), record)
    return tuple(runs.values())


def _step(key: tuple[int, bool], before: StepRun | None, record: Record) -> StepRun:
    number, undoing = key
    if record.event == "step.started":
        by = record.data.get("by")
        why = "the run ended during it"
        return StepRun(
            step=number,
            by=by,
            undoing=undoing,
            started_ns=record.t_ns,
            status="interrupted",
            why=why,
        )
    return StepRun(
        step=number,
        by=before.by if before else None,
        undoing=undoing,
        started_ns=before.started_ns if before else None,
        status=record.data["status"],
        ended_ns=record.t_ns,
        took_s=record.data.get("took_s"),
        verified=record.data.get("verified"),
        why=str(record.data.get("why") or ""),
    )
