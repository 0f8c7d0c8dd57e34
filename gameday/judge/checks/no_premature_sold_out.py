"""Nobody is turned away while there is stock.

For every "sold out" there must be an instant, between the question and the answer, at which all
coupons could have been taken. What is taken is what the rows show: each row counts from a try of
its user that could have got it, the earliest ones first, and a row that no try explains from the
beginning. Where the rows are not known, it is every try that was or may have been issued one, of
each user as many as he may hold.

Where `semantics.holds` is `compensated`, a coupon can be taken as well by a try that was under way
then and failed in the end, or never ended: it may have held one for a while. So may one that a step
of the playbook overtook: fenced by a switch it is decided again, and may be told "sold out" itself.
So the test never accuses an honest service, and the strict form, without holds, is told beside it.

A try that never ended excuses nothing for ever, though. Where coupons are left in the end that
nobody has, and some "sold out" has no explanation but a hold that outlived its try, somebody kept
them, lost them or had them back: the count of what remains tells that they came back, and else it
is unknown. Runs of before are not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.attempts import FOREVER, Attempts, Indices, Mask, Times
from gameday.evidence.audit import Audit
from gameday.evidence.model import Evidence
from gameday.evidence.timeline import Act
from gameday.evidence.wrong_answers import occurrence
from gameday.judge.only_outcome import questioned
from gameday.judge.verdict import (
    SHOWN,
    NotApplicable,
    Validity,
    Verdict,
    in_units,
    lacking,
    unknown,
    valid,
)
from gameday.spec.system import Semantics
from gameday.traffic.history import Outcome

AT_WORK_NS: Final = 30 * NS
"""How long a request without an answer may still be at work, as the reading of the audit has it."""


@dataclass(frozen=True)
class Takers:
    """When each coupon that was issued could first be taken, and the tries that held one."""

    first_tries: Times  # one for each coupon, in order
    attempts: Attempts
    held: Times  # how many coupons each try may have held that it did not get in the end

    def issued_by(self, instants: Times) -> Times:
        """The number of coupons that could have been issued by each instant."""
        return np.searchsorted(self.first_tries, instants, side="right").astype(np.int64)

    def too_few_by(self, instants: Times, stock: int) -> Mask:
        """At which instants fewer than the stock could have been issued."""
        if len(self.first_tries) < stock:
            return np.ones(len(instants), dtype=np.bool_)
        if stock <= 0:
            return np.zeros(len(instants), dtype=np.bool_)
        too_few: Mask = instants < self.first_tries[stock - 1]
        return too_few

    def held_by_others(self, told: Indices, *, lasting: bool = True) -> Times:
        """The number of other tries that overlap the span of each of these (touching counts).

        `lasting`: what a try without an answer held, it may hold for ever.
        """
        held_from, held_to = self._spans(lasting=lasting)
        begun = np.searchsorted(held_from, self.attempts.ended[told], side="right")
        over = np.searchsorted(held_to, self.attempts.sent[told], side="left")
        return (begun - over).astype(np.int64) - self.held[told]

    def last_open_ns(self) -> int:
        """When the last try that may hold one for ever was given up, as its client saw it."""
        open_ = self._open & (self.held > 0)
        return int(self.attempts.ended[open_].max(initial=np.iinfo(np.int64).min))

    def _spans(self, *, lasting: bool) -> tuple[Times, Times]:
        """When the tries that held one began, and when they were over."""
        attempts = self.attempts
        held = np.repeat(np.arange(len(attempts)), self.held)
        ended = attempts.ended[held]
        if lasting:
            ended = np.where(self._open[held], FOREVER, ended)
        return np.sort(attempts.sent[held]), np.sort(ended)

    @cached_property
    def _open(self) -> Mask:
        """Tries that may go on after their client has their answer, or has given up."""
        found: Mask = self.attempts.may_have_worked | self.attempts.are(Outcome.ISSUED)
        return found


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """At every "sold out", issued and held coupons could have reached the stock (I6)."""
    system = evidence.plan.system
    if "sold_out" not in system.requests.issue.tells:
        return lacking("lacks.sold_out")
    attempts = evidence.asked
    told = np.flatnonzero(attempts.are(Outcome.SOLD_OUT))
    if not len(told):
        return valid("check.no_premature_sold_out.nobody")
    audit = evidence.audit if evidence.audit and not evidence.audit.unsettled else None
    takers = _takers(attempts, audit, evidence)
    strictly = told[takers.too_few_by(attempts.ended[told], evidence.issues)]
    taken = takers.issued_by(attempts.ended[strictly])
    if system.semantics.holds == "compensated":
        if len(strictly):
            taken = taken + takers.held_by_others(strictly)  # nobody's answer explains itself
    elif audit is not None and len(audit.rows) < evidence.issues:
        return questioned(evidence, Outcome.SOLD_OUT) or _left_over(evidence, told, audit)
    early = taken < evidence.issues
    if early.any():
        question = questioned(evidence, Outcome.SOLD_OUT)
        return question or _premature(evidence, strictly[early], taken[early])
    doubt = _never_issued(evidence, audit, takers, strictly)
    if doubt is not None:
        return doubt
    kind = (
        "check.no_premature_sold_out.held" if len(strictly) else "check.no_premature_sold_out.none"
    )
    return valid(kind, told=len(told), held=len(strictly))


def _takers(attempts: Attempts, audit: Audit | None, evidence: Evidence) -> Takers:
    """Who took coupons: by the rows where they are known, else everyone who may have."""
    users = attempts.users
    able = attempts.are(Outcome.ISSUED, Outcome.DUPLICATE) | attempts.may_have_worked
    if audit is not None:
        holders = audit.columns[0]
    else:
        holders = users[attempts.are(Outcome.ISSUED) | attempts.may_have_worked]
    holding = attempts.of(holders, able)
    tries = np.repeat(np.flatnonzero(holding), _chances(attempts, evidence.semantics)[holding])
    tries = tries[np.argsort(attempts.sent[tries], kind="stable")]
    rank = occurrence(users[tries])
    if evidence.semantics.is_of_before:  # versions that counted users, not rows
        first, unexplained = tries[rank < 1], 0
    elif audit is None:
        most = evidence.semantics.most_each
        first = tries if most is None else tries[rank < most]
        unexplained = 0
    else:
        owners, rows = np.unique(holders, return_counts=True)
        first = tries[rank < rows[np.searchsorted(owners, users[tries])]]
        unexplained = len(holders) - len(first)
    taken = np.sort(attempts.sent[first])
    begun = np.full(unexplained, np.iinfo(np.int64).min, dtype=np.int64)
    takers = np.concatenate([begun, taken])
    return Takers(takers, attempts, _reservations(attempts, holding, first, evidence))


def _reservations(attempts: Attempts, holding: Mask, first: Indices, evidence: Evidence) -> Times:
    """Coupons that each try may have held and did not get; `first` are the tries that did."""
    semantics = evidence.semantics
    if semantics.holds == "strict":
        return np.zeros(len(attempts), dtype=np.int64)
    overtaken = _overtaken(attempts, evidence.timeline.acts)
    if semantics.per_user == "one":
        return (_may_have_held(attempts, holding) | overtaken).astype(np.int64)
    several = _may_have_held_several(attempts, first, _chances(attempts, semantics))
    return np.maximum(several, overtaken)


def _chances(attempts: Attempts, semantics: Semantics) -> Times:
    """The number of coupons that each start may have got.

    A start that was asked again may have worked each time; not where the system promises that the
    same key gets the same answer, and not of a user who may have one.
    """
    if semantics.per_user == "one" or semantics.replay == "idempotent":
        return np.ones(len(attempts), dtype=np.int64)
    return np.maximum(attempts.records["attempts"].astype(np.int64), 1)


def _may_have_held(attempts: Attempts, holding: Mask) -> Mask:
    """Tries that got no coupon but may have held one: failed, or never resolved.

    `holding` tells of the unresolved ones whether their user holds one in the end. An unresolved
    try of a user who got a coupon without ever being told so is what got it.
    """
    told = attempts.of(attempts.users[attempts.are(Outcome.ISSUED)], attempts.may_have_worked)
    unresolved = attempts.may_have_worked & ~(holding & ~told)
    failed = attempts.are(Outcome.REFUSED, Outcome.DUPLICATE) & ~attempts.reached_nobody
    held: Mask = unresolved | failed
    return held


def _may_have_held_several(attempts: Attempts, first: Indices, chances: Times) -> Times:
    """The same where a user may have several; `first` are the tries that took the coupons.

    Of a user who was never told of one, a try that took one held no other. Where one was told of
    some, nobody knows which of the tries without an answer took them. A start that was issued one
    after it was asked again may have held others before.
    """
    told = attempts.of(attempts.users[attempts.are(Outcome.ISSUED)], attempts.may_have_worked)
    took = np.bincount(first, minlength=len(attempts))
    unresolved = np.where(told, chances, np.maximum(chances - took, 0)) * attempts.may_have_worked
    failed = attempts.are(Outcome.REFUSED, Outcome.DUPLICATE) & ~attempts.reached_nobody
    again = (chances - 1) * attempts.are(Outcome.ISSUED)
    held: Times = unresolved + failed + again
    return held


def _overtaken(attempts: Attempts, acts: Sequence[Act]) -> Mask:
    """Tries told "sold out" that were under way while a step or an action, or its undo, was worked.

    One that was cut off may have gone on until its undo began, or for ever.
    """
    under_way = np.zeros(len(attempts), dtype=np.bool_)
    for act in acts:
        if act.started_ns is not None:
            end_ns = act.ended_ns if act.ended_ns is not None else _cut_off_ns(act, acts)
            under_way |= (attempts.sent <= end_ns) & (attempts.ended >= act.started_ns)
    overtaken: Mask = under_way & attempts.are(Outcome.SOLD_OUT)
    return overtaken


def _cut_off_ns(act: Act, acts: Sequence[Act]) -> int:
    """When the undo of an act that was cut off began, the end of time where none did."""
    begun = (each.started_ns for each in acts if each.undoing and each.name == act.name)
    after = [t for t in begun if t is not None and t > (act.started_ns or 0)]
    return FOREVER if act.undoing else min(after, default=FOREVER)


def _never_issued(
    evidence: Evidence, audit: Audit | None, takers: Takers, strictly: Indices
) -> Verdict | None:
    """Unknown where coupons that nobody has in the end are excused by holds that never ended.

    None where each "sold out" came while enough others were under way, and where the coupons are
    there again so soon after the last of those that it may have held them until then.
    """
    if audit is None or not len(strictly) or not evidence.plan.left_over:
        return None
    left = evidence.issues - len(audit.rows)
    if left <= 0:
        return None
    attempts = evidence.asked
    while_asked = takers.issued_by(attempts.ended[strictly])
    while_asked = while_asked + takers.held_by_others(strictly, lasting=False)
    outlived = strictly[while_asked < evidence.issues]
    if not len(outlived):
        return None
    remaining = _remaining(audit)
    back = remaining == evidence.stock - len(audit.rows) * evidence.semantics.units
    if back:
        last_ns = takers.last_open_ns()
        if last_ns == FOREVER or (attempts.sent[outlived] - last_ns <= AT_WORK_NS).all():
            return None
    kind = "untold" if remaining is None else "back" if back else "gone"
    doubt = unknown(
        f"check.no_premature_sold_out.{kind}",
        told=len(outlived),
        left=left,
        stock=evidence.issues,
    )
    shown = attempts.describe(outlived[-SHOWN:], evidence.t0_ns)
    told = in_units(doubt.message, evidence.stock, evidence.semantics)
    return Verdict(Validity.UNKNOWN, told, shown)


def _remaining(audit: Audit) -> int | None:
    """Stock that is left as a store says, None where none says so or can be believed."""
    if audit.cut != "consistent":
        return None
    told = {view.remaining for view in audit.views if view.current and view.remaining is not None}
    return told.pop() if len(told) == 1 else None


def _left_over(evidence: Evidence, told: Indices, audit: Audit) -> Verdict:
    stock = evidence.issues
    shown = evidence.attempts.describe(told[-SHOWN:], evidence.t0_ns)
    certificate = {"answer": shown[-1], "rows": len(audit.rows), "stock": stock}
    said = {"told": len(told), "rows": len(audit.rows), "stock": stock}
    left = Message("check.no_premature_sold_out.left", **said)
    told_so = in_units(left, evidence.stock, evidence.semantics)
    return Verdict(Validity.INVALID, told_so, shown, certificate)


def _premature(evidence: Evidence, early: Indices, taken: Times) -> Verdict:
    stock = evidence.issues
    shown = evidence.attempts.describe(early[:SHOWN], evidence.t0_ns)
    certificate = {"answer": shown[0], "could_be_taken": int(taken[0]), "stock": stock}
    too_early = Message(
        "check.no_premature_sold_out.early",
        early=len(early),
        at_s=shown[0].ended_at,
        taken=int(taken[0]),
        stock=stock,
    )
    told = in_units(too_early, evidence.stock, evidence.semantics)
    return Verdict(Validity.INVALID, told, shown, certificate)
