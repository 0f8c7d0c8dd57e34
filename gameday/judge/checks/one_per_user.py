"""One coupon a user: one durable row each, and nobody is issued a second one."""

import numpy as np

from gameday.evidence import Evidence
from gameday.evidence.wrong_answers import issued, issued_again
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, count

NAME = "one_per_user"


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
        return Verdict(NAME, Validity.UNKNOWN, f"the rows cannot be counted: {audit.unsettled}")
    told = len(issued(attempts))
    if not told and not audit.rows:
        return Verdict(NAME, Validity.UNKNOWN, "nobody was issued a coupon")
    return Verdict(NAME, Validity.VALID, f"{count(len(audit.rows), 'row')}, as many users")


def _two_rows(evidence: Evidence) -> Verdict | None:
    rows = evidence.audited.rows
    holders, counts = np.unique(evidence.audited.columns[0], return_counts=True)
    users: list[int] = holders[counts > 1].tolist()
    if not users:
        return None
    chosen = set(users[:SHOWN])
    shown = [{"user": user, "issue_id": id_} for user, id_ in sorted(rows) if user in chosen]
    names = ", ".join(str(user) for user in users[:3])
    summary = f"{count(len(users), 'user')} with more than one row: {names}"
    certificate = {"user": users[0], "rows": sorted(id_ for user, id_ in rows if user == users[0])}
    return Verdict(NAME, Validity.INVALID, summary, shown, certificate)


def _told_twice(evidence: Evidence) -> Verdict:
    attempts = evidence.attempts
    again = issued_again(attempts, evidence.plan.system.semantics.replay)
    user = int(attempts.users[again[0]])
    answers = [index for index in issued(attempts) if attempts.users[index] == user]
    summary = f"{count(len(again), 'answer')} issued a coupon to a user who had one: {user} first"
    if not len(issued_again(attempts, "idempotent")):
        summary += "; always the coupon they had (if that is meant: semantics.replay: idempotent)"
    certificate = {"user": user, "answers": attempts.describe(answers[:2], evidence.t0_ns)}
    shown = attempts.describe(again[:SHOWN], evidence.t0_ns)
    return Verdict(NAME, Validity.INVALID, summary, shown, certificate)
