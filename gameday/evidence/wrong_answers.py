"""Which answers promised a coupon that should not exist: the facts behind the integrity checks.

Shared by the checks, which judge, and the anchors, which ask for the first such instant. All
functions return positions in the table of attempts, ordered by the time of the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gameday.evidence.attempts import Attempts, Indices, Mask, Times
from gameday.evidence.audit import Audit
from gameday.traffic.history import Outcome, stored_id


@dataclass(frozen=True, slots=True)
class CampaignPromise:
    """What was promised: a stock, the kind of replay, and the checks by which it is asked."""

    stock: int
    replay: str
    checks: Sequence[str] | Literal["all"] = "all"

    def asks(self, check: str) -> bool:
        """True if a verdict of this check counts: what nobody asked is no damage of the run."""
        return self.checks == "all" or check in self.checks


def issued(attempts: Attempts) -> Indices:
    """Every answer that said "issued", in the order they arrived."""

    def found(_: object) -> Indices:
        answers = np.flatnonzero(attempts.are(Outcome.ISSUED))
        return answers[np.argsort(attempts.ended[answers], kind="stable")]

    return attempts.records.derived("issued", found)


def beyond_stock(attempts: Attempts, stock: int) -> Indices:
    """The first "issued" answer of each user after `stock` other users had one."""
    return attempts.records.derived(f"beyond {stock}", lambda _: _beyond(attempts, stock))


def _beyond(attempts: Attempts, stock: int) -> Indices:
    answers = issued(attempts)
    if len(answers) <= stock:
        return answers[:0]
    _, first = np.unique(attempts.users[answers], return_index=True)
    return answers[np.sort(first)][stock:]


def issued_again(attempts: Attempts, replay: str) -> Indices:
    """Answers that issue a coupon to a user who had been told "issued" before.

    Where the system promises idempotent replay, the same issue id again is the same coupon.
    """
    return attempts.records.derived(f"again {replay}", lambda _: _again(attempts, replay))


def _again(attempts: Attempts, replay: str) -> Indices:
    answers = issued(attempts)
    answers = answers[_repeated(attempts.users[answers])]
    users = attempts.users[answers].tolist()
    ids = attempts.ids(answers).tolist()
    known: dict[int, bytes] = {}
    again = []
    for position, (user, id_) in enumerate(zip(users, ids, strict=True)):
        before = known.get(user)
        known.setdefault(user, id_)
        if before is not None and (replay == "none" or before != id_):
            again.append(position)
    return answers[np.array(again, dtype=np.intp)]


def _repeated(users: Times) -> Mask:
    """Which of them are there more than once."""
    _, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    found: Mask = counts[place] > 1
    return found


def lost(attempts: Attempts, audit: Audit) -> Indices:
    """Every "issued" answer whose user and issue id are not among the durable rows."""
    found = audit.found.get(id(attempts.records))
    if found is None or found[0] is not attempts.records:
        found = audit.found[id(attempts.records)] = attempts.records, _lost(attempts, audit)
    return found[1]


def _lost(attempts: Attempts, audit: Audit) -> Indices:
    answers = issued(attempts)
    answers = answers[~_plainly_kept(attempts, answers, audit)]
    users = attempts.users[answers].tolist()
    ids = attempts.ids(answers).tolist()
    stored = {(user, stored_id(id_)) for user, id_ in audit.rows} if len(answers) else set()
    missing = [
        position
        for position, (user, id_) in enumerate(zip(users, ids, strict=True))
        if not _kept(user, id_, stored, audit.users)
    ]
    return answers[np.array(missing, dtype=np.intp)]


def _plainly_kept(attempts: Attempts, answers: Indices, audit: Audit) -> Mask:
    """Answers whose user's last row has their very id: nearly all of them, found at once."""
    holders, rows = audit.by_user
    if not len(holders):
        return np.zeros(len(answers), dtype=bool)
    users = attempts.users[answers]
    at = np.searchsorted(holders, users, side="right") - 1
    same: Mask = (holders[at] == users) & (rows[at] == attempts.ids(answers))
    return same


def _kept(user: int, id_: bytes, stored: set[tuple[int, bytes]], holders: frozenset[int]) -> bool:
    """A row of that user and id; by user alone where either side tells no id."""
    if not id_:
        return user in holders
    return (user, id_) in stored or (user, b"") in stored


def first_wrong_ns(attempts: Attempts, audit: Audit | None, promise: CampaignPromise) -> int | None:
    """When the first answer arrived that broke a promise which the experiment asks about."""
    wrong = []
    if promise.asks("no_over_issuance"):
        wrong.append(beyond_stock(attempts, promise.stock))
    if promise.asks("one_per_user"):
        wrong.append(issued_again(attempts, promise.replay))
    if promise.asks("no_lost_issuance") and audit is not None and not audit.unsettled:
        wrong.append(lost(attempts, audit))
    instants = [int(attempts.ended[found[0]]) for found in wrong if len(found)]
    return min(instants, default=None)
