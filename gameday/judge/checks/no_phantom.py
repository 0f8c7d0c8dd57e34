"""No coupon out of nothing: every row has a request behind it, and so has every "you have one".

A user whose requests were all refused or told "sold out" must not have a row: told no, charged
yes. And a user who is told "duplicate" must have asked before in a way that could have worked.
A request without an answer may have worked, so it explains both.
"""

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.attempts import Attempts, Indices, Mask, among
from gameday.evidence.audit import Audit
from gameday.evidence.model import Evidence
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, count, unknown, valid
from gameday.traffic.history import Outcome


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Rows belong to users who may have been issued one; so do duplicate answers (I5)."""
    attempts = evidence.asked
    audit = evidence.audited
    issuing = attempts.are(Outcome.ISSUED, Outcome.DUPLICATE) | attempts.may_have_worked
    holders, _ = audit.columns
    unexplained = np.flatnonzero(~among(holders, attempts.users[issuing]))
    phantoms = sorted(audit.rows[at] for at in unexplained.tolist())
    if phantoms:
        return _rows_without_request(evidence, phantoms)
    if audit.unsettled:
        return unknown("check.no_phantom.unsettled", why=audit.unsettled)
    baseless = _baseless_duplicates(evidence, audit)
    if len(baseless):
        return _duplicates_of_nothing(evidence, baseless)
    return valid("check.no_phantom.asked_for", rows=count(len(audit.rows), "row"))


def _rows_without_request(evidence: Evidence, phantoms: list[tuple[int, str]]) -> Verdict:
    shown = [{"user": user, "issue_id": id_} for user, id_ in phantoms[:SHOWN]]
    user = phantoms[0][0]
    asked = np.flatnonzero(evidence.attempts.users == user)
    answers = evidence.attempts.describe(asked, evidence.t0_ns)
    certificate = {"row": list(phantoms[0]), "attempts_of_the_user": answers}
    users = ", ".join(str(user) for user, _ in phantoms[:3])
    rows = count(len(phantoms), "row")
    told = Message("check.no_phantom.unexplained", rows=rows, users=users)
    return Verdict(Validity.INVALID, told, shown, certificate)


def _baseless_duplicates(evidence: Evidence, audit: Audit) -> Indices:
    """Duplicate answers to users without a row, and without an earlier try that could have held.

    Where holds are compensated, a try that failed in the end may have held one for a while, and
    one that was turned away while it was under way; where they are strict, whoever is told
    "duplicate" holds one for good.
    """
    attempts = evidence.attempts
    users = attempts.users
    told = np.flatnonzero(attempts.are(Outcome.DUPLICATE))
    told = told[~among(users[told], audit.columns[0])]
    if evidence.plan.system.semantics.holds == "strict" or not len(told):
        return told
    able = ~attempts.are(Outcome.DUPLICATE, Outcome.SOLD_OUT) & ~attempts.reached_nobody
    tries = attempts.of(users[told], able)
    first: dict[int, int] = {}
    for user, sent in zip(users[tries].tolist(), attempts.sent[tries].tolist(), strict=True):
        first[user] = min(sent, first.get(user, sent))
    ended = attempts.ended
    held = [first.get(int(users[i]), ended[i] + 1) <= ended[i] for i in told]
    doubtful = told[~np.array(held, dtype=np.bool_)]
    return doubtful[~_overtaken_meanwhile(attempts, doubtful)]


def _overtaken_meanwhile(attempts: Attempts, told: Indices) -> Mask:
    """Which answers overlap a try of the same user that was told "sold out".

    Fenced by a switch and decided again, that one may have lost the coupon it held.
    """
    away = np.flatnonzero(
        attempts.are(Outcome.SOLD_OUT) & np.isin(attempts.users, attempts.users[told])
    )
    users, sent, ended = (
        column.tolist() for column in (attempts.users, attempts.sent, attempts.ended)
    )
    spans: dict[int, list[tuple[int, int]]] = {}
    for i in away:
        spans.setdefault(users[i], []).append((sent[i], ended[i]))
    found = [any(b <= ended[i] and e >= sent[i] for b, e in spans.get(users[i], ())) for i in told]
    return np.array(found, dtype=np.bool_)


def _duplicates_of_nothing(evidence: Evidence, baseless: Indices) -> Verdict:
    attempts = evidence.attempts
    shown = attempts.describe(baseless[:SHOWN], evidence.t0_ns)
    user = shown[0].user
    asked = np.flatnonzero(attempts.users == user)
    tries = attempts.describe(asked, evidence.t0_ns)
    certificate = {"answer": shown[0], "row": None, "attempts_of_the_user": tries}
    users = ", ".join(str(answer.user) for answer in shown[:3])
    answers = count(len(baseless), "duplicate_answer")
    told = Message("check.no_phantom.baseless", answers=answers, users=users)
    return Verdict(Validity.INVALID, told, shown, certificate)
