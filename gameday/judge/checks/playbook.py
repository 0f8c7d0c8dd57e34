"""The playbook was worked, and its steps did what they say."""

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import StepRun
from gameday.judge.verdict import NotApplicable, Validity, Verdict, count, lacking, unknown, valid

REACTION_S = 1  # beside the responder's delay
PROMPT_S = 2  # with the delay of 1 s that there is by default; what fires later, nobody can answer


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """No step failed, and somebody started once an alert of the playbook had fired."""
    book = evidence.plan.playbook
    if book is None or evidence.plan.no_responder:
        return lacking("lacks.playbook" if book is None else "lacks.responder")
    steps = evidence.timeline.steps
    if evidence.timeline.responder_ns is None:
        return _nobody(evidence, set(book.head.alerts))
    failed = [step for step in steps if step.status == "failed" and not _optional(evidence, step)]
    shown = [{"step": s.step, "undoing": s.undoing, "status": s.status} for s in steps]
    if failed:
        told = Message("check.all", parts=list(map(_why, failed)))
        return Verdict(Validity.INVALID, told, shown)
    if unfinished := _cut_off(evidence) + _not_taken_back(evidence):
        return Verdict(Validity.UNKNOWN, Message("check.all", parts=unfinished), shown)
    return Verdict(Validity.VALID, _statuses(evidence, steps), shown)


def _nobody(evidence: Evidence, named: set[str]) -> Verdict:
    """The verdict where nobody started, by when the alerts of the playbook fired."""
    react_s = REACTION_S + evidence.plan.responder_delay_s
    if fired := sorted(firing(evidence, react_s) & named):
        told = Message("check.playbook.nobody", alerts=", ".join(fired))
        return Verdict(Validity.INVALID, told, [{"alert": name} for name in fired])
    least_s = min(react_s, PROMPT_S)
    if waited_for := sorted(firing(evidence, least_s) & named):
        delay_s = evidence.plan.responder_delay_s
        return unknown("check.playbook.waited", alerts=", ".join(waited_for), delay_s=delay_s)
    if late := sorted(firing(evidence) & named):
        return valid("check.playbook.too_late", alerts=", ".join(late), react_s=least_s)
    return valid("check.playbook.quiet")


def firing(evidence: Evidence, before_end_s: float = 0.0) -> set[str]:
    """Every alert that fired in the traffic, from the first fault on, so long before its end.

    Without faults, from the beginning on.
    """
    since = evidence.anchors.first_injecting_ns or 0
    until = evidence.traffic_end_ns - round(before_end_s * NS)
    seen = [e for e in evidence.readings if since <= e.t_ns <= until]
    return {alert.name for e in seen for alert in e.alerts if alert.state == "firing"}


def _optional(evidence: Evidence, run: StepRun) -> bool:
    blocks = {step.number: step.block for step in evidence.plan.steps}
    return not run.undoing and run.step in blocks and blocks[run.step].optional


def _cut_off(evidence: Evidence) -> list[Message]:
    """The steps and undos that the run ended during: nobody saw what became of them."""
    kinds = {True: "check.playbook.undo_cut_off", False: "check.playbook.cut_off"}
    return [
        Message(kinds[run.undoing], step=run.step)
        for run in evidence.timeline.steps
        if run.status == "interrupted" and not _optional(evidence, run)
    ]


def _not_taken_back(evidence: Evidence) -> list[Message]:
    """The steps that acted and name an undo, where no undo was begun, whoever's the stack is."""
    runs = evidence.timeline.steps
    acted = {run.step for run in runs if run.status == "done" and not run.undoing}
    begun = {run.step for run in runs if run.undoing}
    return [
        Message("check.playbook.not_undone", step=step.number)
        for step in evidence.plan.steps
        if step.block.undo is not None and step.number in acted - begun
    ]


def _why(step: StepRun) -> Message:
    kind = "check.playbook.undo_failed" if step.undoing else "check.playbook.failed"
    failed = Message(kind, step=step.step)
    return Message("check.with_reason", what=failed, why=step.why) if step.why else failed


def _statuses(evidence: Evidence, runs: tuple[StepRun, ...]) -> Message:
    statuses = {run.step: run.status for run in runs if not run.undoing}
    numbers = [step.number for step in evidence.plan.steps]
    found = [statuses.get(number, "not_started") for number in numbers]
    parts = [f"{found.count(status)} {status}" for status in dict.fromkeys(found)]
    steps = count(len(numbers), "step")
    return Message("check.playbook.steps", steps=steps, statuses=", ".join(parts))
