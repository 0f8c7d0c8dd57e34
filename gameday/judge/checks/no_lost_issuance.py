"""Who was told "issued" has a coupon that is still there in the end."""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.evidence.wrong_answers import issued, lost, maybe_lost, tells_other_ids
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, unknown, valid
from gameday.spec.system import Semantics


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every acknowledged issue is among the durable rows, by user and issue id (I4)."""
    attempts = evidence.asked
    acknowledged = len(issued(attempts))
    if not acknowledged:
        return unknown("check.no_lost_issuance.nothing")
    audit = evidence.audited
    if audit.unsettled:
        return unknown("check.no_lost_issuance.unsettled", why=audit.unsettled)
    # Of a run whose file is damaged it is judged as if a user may hold one, the usual.
    semantics = Semantics() if evidence.effective is None else evidence.semantics
    missing = lost(attempts, audit, semantics)
    if not len(missing):
        if maybe_lost(attempts, audit, semantics):
            return unknown("check.no_lost_issuance.replays")
        return valid("check.no_lost_issuance.kept", acknowledged=acknowledged)
    shown = attempts.describe(missing[:SHOWN], evidence.t0_ns)
    users = ", ".join(str(answer.user) for answer in shown[:3])
    user = int(attempts.users[missing[0]])
    rows = sorted(id_ for holder, id_ in audit.indexed if holder == user)
    if tells_other_ids(attempts, audit, missing):
        first = shown[0]
        return unknown(
            "check.no_lost_issuance.other_ids",
            acknowledged=acknowledged,
            user=str(first.user),
            told=first.issue_id,
            stored=rows[0],
        )
    answers = issued(attempts)
    mine = answers[attempts.users[answers] == user]
    several = semantics.per_user != "one"
    certificate = {
        "answer": shown[0],
        "rows_of_the_user": rows,
        **({"answers_of_the_user": attempts.describe(mine, evidence.t0_ns)} if several else {}),
    }
    told = Message(
        "check.no_lost_issuance.lost", lost=len(missing), acknowledged=acknowledged, users=users
    )
    return Verdict(Validity.INVALID, told, shown, certificate)
