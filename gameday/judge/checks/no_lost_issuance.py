"""Who was told "issued" has a coupon that is still there in the end."""

from gameday.evidence import Evidence
from gameday.evidence.wrong_answers import issued, lost
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict

NAME = "no_lost_issuance"


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every acknowledged issue is among the durable rows, by user and issue id (I4)."""
    attempts = evidence.asked
    acknowledged = len(issued(attempts))
    if not acknowledged:
        return Verdict(NAME, Validity.UNKNOWN, "nothing was acknowledged, so nothing could be lost")
    audit = evidence.audited
    if audit.unsettled:
        return Verdict(NAME, Validity.UNKNOWN, f"a row may be missing: {audit.unsettled}")
    missing = lost(attempts, audit)
    if not len(missing):
        return Verdict(NAME, Validity.VALID, f"{acknowledged} acknowledged, none missing")
    shown = attempts.describe(missing[:SHOWN], evidence.t0_ns)
    users = ", ".join(str(answer["user"]) for answer in shown[:3])
    user = shown[0]["user"]
    rows = sorted(id_ for holder, id_ in audit.rows if holder == user)
    certificate = {"answer": shown[0], "rows_of_the_user": rows}
    summary = f"{len(missing)} of {acknowledged} acknowledged are not in the rows: users {users}"
    return Verdict(NAME, Validity.INVALID, summary, shown, certificate)
