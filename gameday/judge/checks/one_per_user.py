"""One coupon a user: one durable row each, and nobody is issued a second one.

Or as many as the system file says that a user may hold (`semantics.per_user`).
"""

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.wrong_answers import issued, issued_again
from gameday.judge.verdict import (
    SHOWN,
    NotApplicable,
    Validity,
    Verdict,
    count,
    lacking,
    unknown,
    valid,
)


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """No user has two rows, and none was told "issued" twice (I3); or more than he may.

    Where the system promises idempotent replay, the same issue id again is no second coupon.
    """
    if evidence.semantics.most_each is None:
        return lacking("lacks.per_user")
    if evidence.audit is not None and (twice := _two_rows(evidence)):
        return twice
    attempts = evidence.asked
    again = issued_again(attempts, evidence.semantics)
    if len(again):
        return _told_twice(evidence)
    audit = evidence.audited
    if audit.unsettled:
        return unknown("check.uncounted", why=audit.unsettled)
    if not len(issued(attempts)) and not audit.rows:
        return unknown("check.one_per_user.nobody")
    return _fine(evidence)


def _fine(evidence: Evidence) -> Verdict:
    rows, most = count(len(evidence.audited.rows), "row"), evidence.semantics.most_each
    if most == 1:
        return valid("check.one_per_user.one_each", rows=rows)
    return valid("check.one_per_user.few_each", rows=rows, most=most)


def _two_rows(evidence: Evidence) -> Verdict | None:
    audit = evidence.audited
    if audit.other_ids is not None or audit.question is not None:
        return None
    holders, counts = np.unique(audit.columns[0], return_counts=True)
    most = evidence.semantics.most_each or 1
    users = [user for user in holders[counts > most].tolist() if not audit.users.is_nobody(user)]
    if not users:
        return None
    chosen, shown = set(users[:SHOWN]), audit.users
    lines = [
        {"user": shown.id_of(user), "issue_id": id_}
        for user, id_ in sorted(audit.indexed)
        if user in chosen
    ]
    names = ", ".join(map(shown.named, users[:3]))
    told = Message("check.one_per_user.rows", users=count(len(users), "user"), names=names)
    if most > 1:
        told = Message(
            "check.one_per_user.more_rows", users=count(len(users), "user"), names=names, most=most
        )
    rows = audit.as_told(users[0])
    spellings = sorted({str(user) for user, _ in rows})
    name = shown.id_of(users[0])
    certificate = {
        "user": name,
        "rows": sorted(id_ for _, id_ in rows),
        **({"most": most} if most > 1 else {}),
        **({"spellings": spellings} if spellings != [str(name)] else {}),
    }
    return Verdict(Validity.INVALID, told, lines, certificate)


def _told_twice(evidence: Evidence) -> Verdict:
    attempts = evidence.attempts
    again = issued_again(attempts, evidence.semantics)
    user = int(attempts.users[again[0]])
    answers = [index for index in issued(attempts) if attempts.users[index] == user]
    name, most = attempts.names.id_of(user), evidence.semantics.most_each or 1
    answered = count(len(again), "answer")
    told = [Message("check.one_per_user.twice", answers=answered, user=name)]
    if most > 1:
        told = [Message("check.one_per_user.more_told", answers=answered, user=name, most=most)]
    idempotent = evidence.semantics.model_copy(update={"replay": "idempotent"})
    if not len(issued_again(attempts, idempotent)):
        told.append(Message("check.one_per_user.same"))
    certificate = {
        "user": name,
        "answers": attempts.describe(answers[: most + 1], evidence.t0_ns),
        **({"most": most} if most > 1 else {}),
    }
    shown = attempts.describe(again[:SHOWN], evidence.t0_ns)
    return Verdict(Validity.INVALID, Message("check.all", parts=told), shown, certificate)
