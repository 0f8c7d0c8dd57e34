"""Which answers promised a coupon that should not exist: the facts behind the integrity checks.

Shared by the checks, which judge, and the anchors, which ask for the first such instant. All
functions return positions in the table of attempts, ordered by the time of the answer.
"""

import numpy as np

from gameday.evidence.attempts import Attempts, Indices
from gameday.evidence.audit import Audit
from gameday.history import Outcome, stored_id


def issued(attempts: Attempts) -> Indices:
    """Every answer that said "issued", in the order they arrived."""
    found = np.flatnonzero(attempts.are(Outcome.ISSUED))
    return found[np.argsort(attempts.ended[found], kind="stable")]


def beyond_stock(attempts: Attempts, stock: int) -> Indices:
    """The first "issued" answer of each user after `stock` other users had one."""
    answers = issued(attempts)
    _, first = np.unique(attempts.users[answers], return_index=True)
    return answers[np.sort(first)][stock:]


def issued_again(attempts: Attempts, replay: str) -> Indices:
    """Answers that issue a coupon to a user who had been told "issued" before.

    Where the system promises idempotent replay, the same issue id again is the same coupon.
    """
    answers = issued(attempts)
    users = attempts.users[answers].tolist()
    ids = attempts.records["issue_id"][answers].tolist()
    known: dict[int, bytes] = {}
    again = []
    for position, (user, id_) in enumerate(zip(users, ids, strict=True)):
        before = known.get(user)
        known.setdefault(user, id_)
        if before is not None and (replay == "none" or before != id_):
            again.append(position)
    return answers[np.array(again, dtype=np.intp)]


def lost(attempts: Attempts, audit: Audit) -> Indices:
    """Every "issued" answer whose user and issue id are not among the durable rows."""
    answers = issued(attempts)
    users = attempts.users[answers].tolist()
    ids = attempts.records["issue_id"][answers].tolist()
    stored = {(user, stored_id(id_)) for user, id_ in audit.rows}
    holders = audit.users
    missing = [
        position
        for position, (user, id_) in enumerate(zip(users, ids, strict=True))
        if not _kept(user, id_, stored, holders)
    ]
    return answers[np.array(missing, dtype=np.intp)]


def _kept(user: int, id_: bytes, stored: set[tuple[int, bytes]], holders: frozenset[int]) -> bool:
    """A row of that user and id; by user alone where either side tells no id."""
    if not id_:
        return user in holders
    return (user, id_) in stored or (user, b"") in stored


def first_wrong_ns(attempts: Attempts, audit: Audit | None, stock: int, replay: str) -> int | None:
    """When the first answer arrived that promised a coupon which should not exist."""
    wrong = [beyond_stock(attempts, stock), issued_again(attempts, replay)]
    if audit is not None and not audit.unsettled:
        wrong.append(lost(attempts, audit))
    instants = [int(attempts.ended[found[0]]) for found in wrong if len(found)]
    return min(instants, default=None)
