"""Something happened: the run saw what its file can show, or its other verdicts are vacuous.

Of a system that issues nothing it is answers that are asked for, instead of issues. Asked is only
what the schedule makes possible: where the stock is expected to be gone before the
last fault is out, no issue can be asked for after it.
"""

import math
from collections.abc import Iterator

import numpy as np

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.attempts import Mask
from gameday.evidence.model import Evidence
from gameday.evidence.wrong_answers import promised
from gameday.judge.verdict import NotApplicable, Validity, Verdict, valid
from gameday.traffic.forecast import distinct_users, expected_starts, sell_out_s
from gameday.traffic.history import Outcome
from gameday.traffic.metrics.k6_metrics import EXPECTED

FOREVER = np.iinfo(np.int64).max
MARGIN = 1.02  # so much more must be asked than the stock needs: a few requests fail


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Issues before and after the faults, traffic in each, a sell-out where expected (I16)."""
    missing = [*_issues(evidence), *_in_faults(evidence), *_sell_out(evidence)]
    if missing:
        unseen = Message("check.exercised.unseen", missing=missing)
        return Verdict(Validity.UNKNOWN, unseen, [each.text() for each in missing])
    return valid("check.exercised.seen")


def _issues(evidence: Evidence) -> Iterator[Message]:
    attempts = evidence.asked
    issues = evidence.plan.system.issues
    issued = _issued(evidence) if issues else attempts.are(*EXPECTED)
    word = "issue" if issues else "answer"
    if not issued.any():
        yield Message(f"check.exercised.{word}")
        return
    sent, ended = attempts.sent[issued], attempts.ended[issued]
    if evidence.experiment.method:
        first, last = evidence.anchors.first_injecting_ns, evidence.anchors.last_removed_ns
        if first is None or not (ended < first).any():
            yield Message(f"check.exercised.{word}_before")
        sold_out = _expected_sell_out(evidence)
        left = last is not None and (sold_out is None or sold_out > last)
        if last is None or (left and not (sent >= last).any()):
            yield Message(f"check.exercised.{word}_after")
    switched = _switches(evidence)
    if switched and not (sent >= switched[0]).any():
        yield Message(f"check.exercised.{word}_mitigated")


def _issued(evidence: Evidence) -> Mask:
    """Answers that issued one; an accepted request did where its user has a row in the end."""
    attempts, audit = evidence.asked, evidence.audit
    issued = attempts.are(Outcome.ISSUED)
    if audit is not None and not evidence.semantics.is_of_before:
        issued |= attempts.of(audit.columns[0], attempts.are(Outcome.ACCEPTED))
    return issued


def _in_faults(evidence: Evidence) -> Iterator[Message]:
    attempts = evidence.asked
    sent = attempts.sent[~attempts.are(Outcome.DROPPED)]
    for fault in evidence.planned_faults:
        begin = fault.injected_ns
        end = FOREVER if fault.removed_ns is None else fault.removed_ns
        if begin is None or not ((sent >= begin) & (sent <= end)).any():
            yield Message("check.exercised.attempt", fault=fault.id)


def _switches(evidence: Evidence) -> list[int]:
    """When each step or action was done, undos left out."""
    acts = evidence.timeline.acts
    done = [act.ended_ns for act in acts if act.status == "done" and not act.undoing]
    return sorted(t for t in done if t is not None)


def _sell_out(evidence: Evidence) -> Iterator[Message]:
    expected = _expected_sell_out(evidence)
    if expected is None or expected < max(_switches(evidence), default=0):
        return
    attempts = evidence.asked
    issued = len(promised(attempts, evidence.semantics))
    of_before = evidence.semantics.is_of_before  # they did not wait for the audit
    if evidence.audit and not of_before and attempts.are(Outcome.ACCEPTED).any():
        issued = max(issued, len(evidence.audit.rows))
    if not attempts.are(Outcome.SOLD_OUT).any() and issued < evidence.issues:
        yield Message("check.exercised.sell_out", at_s=evidence.seconds(expected))


def _expected_sell_out(evidence: Evidence) -> int | None:
    """When the schedule is expected to have asked for the whole stock; None: not, or only just."""
    if not evidence.plan.system.issues:
        return None
    experiment = evidence.experiment
    campaign = experiment.campaign.model_copy(update={"stock": evidence.stock})
    as_run = experiment.model_copy(update={"campaign": campaign})
    at_s = sell_out_s(as_run, evidence.semantics)
    if evidence.semantics.most_each is None:  # each request may get one
        enough = expected_starts(experiment) / MARGIN
    else:  # each user gets one at least
        enough = distinct_users(experiment, math.inf, share=1 / MARGIN)
    if at_s is None or enough < evidence.issues:
        return None
    return evidence.t0_ns + round(at_s * NS)
