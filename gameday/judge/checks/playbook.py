"""The playbook was worked, and its steps did what they say."""

from collections.abc import Sequence

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import StepRun
from gameday.judge.verdict import NotApplicable, Validity, Verdict, count, lacking, unknown, valid

Shown = dict[str, str | int | bool | None]
REACTION_S = 1  # beside the responder's delay
PERSON_S = 15  # to read an alert, and to say so; not to mend anything
PROMPT_S = 2  # with the delay of 1 s that there is by default; what fires later, nobody can answer


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """No step failed, and somebody started once an alert of the playbook had fired."""
    book = evidence.plan.playbook
    if book is None or evidence.plan.no_responder:
        return lacking("lacks.playbook" if book is None else "lacks.responder")
    steps = evidence.steps
    if evidence.timeline.responder_ns is None:
        return _nobody(evidence, set(book.head.alerts))
    last = {(step.step, step.undoing): step for step in steps}.values()  # it was tried again
    failed = [step for step in last if step.status == "failed" and not _optional(evidence, step)]
    shown = [*_shown_steps(evidence), *_shown_actions(evidence)]
    if wrong := [*map(_why, failed), *_undos_that_failed(evidence)]:
        return Verdict(Validity.INVALID, Message("check.all", parts=wrong), shown)
    if unfinished := _cut_off(evidence) + _not_taken_back(evidence):
        return Verdict(Validity.UNKNOWN, Message("check.all", parts=unfinished), shown)
    told = [_statuses(evidence, steps), *_beside(evidence)]
    return Verdict(Validity.VALID, told[0] if len(told) == 1 else _all(told), shown)


def _all(parts: list[Message]) -> Message:
    return Message("check.all", parts=parts)


def _shown_steps(evidence: Evidence) -> list[Shown]:
    steps = evidence.steps
    return [{"step": s.step, "undoing": s.undoing, "status": s.status} for s in steps]


def _shown_actions(evidence: Evidence) -> list[Shown]:
    return [
        {"action": run.do, "by": run.by, "undoing": run.undoing, "status": run.status}
        for run in evidence.timeline.actions
    ]


def _beside(evidence: Evidence) -> list[Message]:
    """The actions that were done outside of the playbook, if any."""
    names = [run.do for run in evidence.timeline.actions if not run.undoing]
    if not names:
        return []
    shown = ", ".join(dict.fromkeys(names))
    return [Message("check.playbook.beside", actions=count(len(names), "action"), names=shown)]


def _undos_that_failed(evidence: Evidence) -> list[Message]:
    """The actions outside of the playbook whose undo failed."""
    return [
        _with_reason(Message("check.playbook.action_undo_failed", action=run.do), run.why)
        for run in evidence.timeline.actions
        if run.undoing and run.status == "failed"
    ]


def _nobody(evidence: Evidence, named: set[str]) -> Verdict:
    """The verdict where nobody started, by when the alerts of the playbook fired."""
    person = evidence.plan.responder == "person"
    react_s = PERSON_S if person else REACTION_S + evidence.plan.responder_delay_s
    if fired := sorted(firing(evidence, react_s) & named):
        told = Message("check.playbook.nobody", alerts=", ".join(fired))
        return Verdict(Validity.INVALID, told, [{"alert": name} for name in fired])
    least_s = react_s if person else min(react_s, PROMPT_S)
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
    steps = [
        Message(kinds[run.undoing], step=run.step)
        for run in evidence.steps
        if run.status == "interrupted" and not _optional(evidence, run)
    ]
    of_actions = {
        True: "check.playbook.action_undo_cut_off",
        False: "check.playbook.action_cut_off",
    }
    return steps + [
        Message(of_actions[run.undoing], action=run.do)
        for run in evidence.timeline.actions
        if run.status == "interrupted"
    ]


def _not_taken_back(evidence: Evidence) -> list[Message]:
    """What acted and has an undo, where no undo was begun after it, whoever's the stack is."""
    runs, actions = evidence.steps, evidence.timeline.actions
    acted = {run.step: run.started_ns for run in runs if run.status == "done" and not run.undoing}
    begun = {run.step: run.started_ns for run in runs if run.undoing}
    steps = [
        Message("check.playbook.not_undone", step=step.number)
        for step in evidence.plan.steps
        if step.block.undo is not None
        and step.number in acted
        and not (step.number in begun and (begun[step.number] or 0) >= (acted[step.number] or 0))
    ]
    done = {run.do: run.started_ns or 0 for run in actions if run.has_undo and run.status == "done"}
    undone = {run.do: run.started_ns or 0 for run in actions if run.undoing}
    return steps + [
        Message("check.playbook.action_not_undone", action=name)
        for name, since_ns in done.items()
        if undone.get(name, -1) < since_ns
    ]


def _why(step: StepRun) -> Message:
    kind = "check.playbook.undo_failed" if step.undoing else "check.playbook.failed"
    return _with_reason(Message(kind, step=step.step), step.why)


def _with_reason(failed: Message, why: Message | str) -> Message:
    return Message("check.with_reason", what=failed, why=why) if why else failed


def _statuses(evidence: Evidence, runs: Sequence[StepRun]) -> Message:
    statuses = {run.step: run.status for run in runs if not run.undoing}
    numbers = [step.number for step in evidence.plan.steps]
    found = [statuses.get(number, "not_started") for number in numbers]
    parts = [f"{found.count(status)} {status}" for status in dict.fromkeys(found)]
    steps = count(len(numbers), "step")
    return Message("check.playbook.steps", steps=steps, statuses=", ".join(parts))
