"""One coupon a user: one durable row each, and nobody is issued a second one."""

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.wrong_answers import issued, issued_again
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, count, unknown, valid


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """No user has two rows, and none was told "issued" twice (I3).

    Where the system promises idempotent replay, the same issue id again is no second coupon.
    """
    if evidence.audit is not None and (twice := _two_rows(evidence)):
        return twice
    attempts = evidence.asked
    again = issued_again(attempts, evidence.plan.system.semantics.replay)
    if len(again):
        return _told_twice(evidence)
    audit = evidence.audited
    if audit.unsettled:
        return unknown("check.uncounted", why=audit.unsettled)
    if not len(issued(attempts)) and not audit.rows:
        return unknown("check.one_per_user.nobody")
    return valid("check.one_per_user.one_each", rows=count(len(audit.rows), "row"))


def _two_rows(evidence: Evidence) -> Verdict | None:
    rows = evidence.audited.rows
    holders, counts = np.unique(evidence.audited.columns[0], return_counts=True)
    users: list[int] = holders[counts > 1].tolist()
    if not users:
        return None
    chosen = set(users[:SHOWN])
    shown = [{"user": user, "issue_id": id_} for user, id_ in sorted(rows) if user in chosen]
    names = ", ".join(str(user) for user in users[:3])
    told = Message("check.one_per_user.rows", users=count(len(users), "user"), names=names)
    certificate = {"user": users[0], "rows": sorted(id_ for user, id_ in rows if user == users[0])}
    return Verdict(Validity.INVALID, told, shown, certificate)


def _told_twice(evidence: Evidence) -> Verdict:
    attempts = evidence.attempts
    again = issued_again(attempts, evidence.plan.system.semantics.replay)
    user = int(attempts.users[again[0]])
    answers = [index for index in issued(attempts) if attempts.users[index] == user]
    told = [Message("check.one_per_user.twice", answers=count(len(again), "answer"), user=user)]
    if not len(issued_again(attempts, "idempotent")):
        told.append(Message("check.one_per_user.same"))
    certificate = {"user": user, "answers": attempts.describe(answers[:2], evidence.t0_ns)}
    shown = attempts.describe(again[:SHOWN], evidence.t0_ns)
    return Verdict(Validity.INVALID, Message("check.all", parts=told), shown, certificate)
