"""Which answers promised a coupon that should not exist: the facts behind the integrity checks.

Shared by the checks, which judge, and the anchors, which ask for the first such instant. All
functions return positions in the table of attempts, ordered by the time of the answer.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gameday.evidence.attempts import Attempts, Indices, Mask, Times, among, distinct
from gameday.evidence.audit import Audit
from gameday.evidence.issue_ids import plain_id
from gameday.spec.system import Semantics
from gameday.traffic.history import Outcome

_A_HABIT: Final = 5  # answers; one or two may be two coupons taken for each other


@dataclass(frozen=True, slots=True)
class CampaignPromise:
    """What was promised: so many issues, by which rules, and the checks by which it is asked."""

    issues: int
    semantics: Semantics
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


def promised(attempts: Attempts, semantics: Semantics) -> Indices:
    """The "issued" answers that each promise another coupon, in the order they arrived.

    Of a user who may have one it is the first. Where he may have several, each is, as far as he
    may; the same issue id again is the same coupon.
    """
    answers = issued(attempts)
    if semantics.per_user == "one":
        _, first = np.unique(attempts.users[answers], return_index=True)
        return answers[np.sort(first)]
    again = np.zeros(len(attempts), dtype=bool)
    again[issued_again(attempts, semantics)] = True
    again[_told_again(attempts, answers, semantics)] = True
    return answers[~again[answers]]


def _told_again(attempts: Attempts, answers: Indices, semantics: Semantics) -> Indices:
    """Answers with an issue id that their user was told before: they are of one coupon.

    Those without an id may be, where the system promises idempotent replay.
    """
    answers = answers[_repeated(attempts.users[answers])]
    users, ids = attempts.users[answers], np.array(_ids(attempts, answers), dtype=np.bytes_)
    order = np.lexsort((ids, users))  # stable: the first answer comes first
    same = (users[order][1:] == users[order][:-1]) & (ids[order][1:] == ids[order][:-1])
    if semantics.replay == "none":
        same &= ids[order][1:] != b""
    again: Indices = answers[order[1:][same]]
    return again


def beyond_stock(attempts: Attempts, issues: int, semantics: Semantics) -> Indices:
    """The "issued" answers that promise a coupon after `issues` others did."""
    if len(issued(attempts)) <= issues:
        return issued(attempts)[:0]
    return promised(attempts, semantics)[issues:]


def issued_again(attempts: Attempts, semantics: Semantics) -> Indices:
    """Answers that issue a coupon to a user who had been told "issued" as often as he may.

    Where the system promises idempotent replay, the same issue id again is the same coupon.
    """
    answers, most = issued(attempts), semantics.most_each
    if most is None:
        return answers[:0]
    answers = answers[_repeated(attempts.users[answers])]
    users, ids = attempts.users[answers].tolist(), _ids(attempts, answers)
    known: dict[int, set[bytes]] = {}
    held: Counter[int] = Counter()
    again = []
    for position, (user, id_) in enumerate(zip(users, ids, strict=True)):
        before = known.setdefault(user, set())
        if semantics.replay == "idempotent" and id_ in before:
            continue
        if held[user] >= most:
            again.append(position)
        else:
            before.add(id_)
            held[user] += 1
    return answers[np.array(again, dtype=np.intp)]


def _repeated(users: Times) -> Mask:
    """Which of them are there more than once."""
    ordered = np.sort(users)
    return among(users, ordered[1:][ordered[1:] == ordered[:-1]])


def lost(attempts: Attempts, audit: Audit, semantics: Semantics) -> Indices:
    """Every "issued" answer whose user and issue id are not among the durable rows.

    Of a user who may hold several there must be a row for each coupon that he was told of.
    """
    answers = issued(attempts)
    if semantics.per_user != "one":
        return _without_row(attempts, answers, audit, semantics)
    answers = answers[~_plainly_kept(attempts, answers, audit)]
    if not len(answers):
        return answers
    users = attempts.users[answers].tolist()
    stored = set(_rows_of(audit, attempts.users[answers]))
    holders = {user for user, _ in stored}
    missing = [
        position
        for position, (user, id_) in enumerate(zip(users, _ids(attempts, answers), strict=True))
        if not _kept(user, id_, stored, holders)
    ]
    return answers[np.array(missing, dtype=np.intp)]


def _rows_of(audit: Audit, users: Times) -> Iterator[tuple[int, bytes]]:
    """The rows of some users, with their ids as they are compared."""
    holders, ids = audit.columns
    theirs = among(holders, users)
    return zip(holders[theirs].tolist(), map(plain_id, ids[theirs].tolist()), strict=True)


def _ids(attempts: Attempts, answers: Indices) -> Sequence[bytes]:
    """The issue ids of some answers as they are compared."""
    return list(map(plain_id, attempts.ids(answers).tolist()))


def tells_other_ids(attempts: Attempts, audit: Audit, missing: Indices) -> bool:
    """True if the audit calls coupons otherwise than the answers do: by a key of its own, maybe.

    Everybody who is `missing` has as many rows as he was told of, each under another id, and of
    all who were told an id nobody has a row under it.
    """
    if len(missing) < _A_HABIT:
        return False
    answers = issued(attempts)
    named = answers[attempts.ids(answers) != b""]
    if not np.array_equal(np.sort(missing), np.sort(named)):
        return False
    theirs = answers[among(attempts.users[answers], attempts.users[missing])]
    users, answered = np.unique(attempts.users[theirs], return_counts=True)
    holders, ids = audit.columns
    kept = among(holders, users)
    rows = np.bincount(np.searchsorted(users, holders[kept]), minlength=len(users))
    return bool((rows >= answered).all() and (ids[kept] != b"").all())


def maybe_lost(attempts: Attempts, audit: Audit, semantics: Semantics) -> bool:
    """True if users have fewer rows than answers, and nobody can say which were told again.

    Where an answer may be repeated and has no id, two of them may be of one coupon or of two.
    """
    if semantics.per_user == "one" or semantics.replay != "idempotent":
        return False
    strict = semantics.model_copy(update={"replay": "none"})
    return bool(len(lost(attempts, audit, strict)))


def _without_row(
    attempts: Attempts, answers: Indices, audit: Audit, semantics: Semantics
) -> Indices:
    """Answers beyond the rows of their users, each row being of one coupon."""
    named = attempts.ids(answers) != b""
    rest = answers[~(_plainly_kept(attempts, answers, audit) & named)]
    who = distinct(attempts.users[rest])  # of the others each was told of one coupon, and has it
    answers = answers[among(attempts.users[answers], who)]
    rows: dict[int, Counter[bytes]] = {}
    for user, id_ in _rows_of(audit, who):
        rows.setdefault(user, Counter())[id_] += 1
    told: dict[int, list[tuple[int, bytes]]] = {}
    users = attempts.users[answers].tolist()
    for position, (user, id_) in enumerate(zip(users, _ids(attempts, answers), strict=True)):
        told.setdefault(user, []).append((position, id_))
    repeats = semantics.replay == "idempotent"
    missing = [
        position
        for user, mine in told.items()
        for position in _unmatched(mine, rows.get(user, Counter()), repeats=repeats)
    ]
    return answers[np.array(sorted(missing), dtype=np.intp)]


def _unmatched(
    told: Sequence[tuple[int, bytes]], rows: Counter[bytes], *, repeats: bool
) -> Sequence[int]:
    """Places of the answers to one user for which no row is left.

    A row with the id of an answer is its row, and one without an id is of any. The same id again
    is the same coupon. Where answers may be `repeats`, those without an id may all be of one.
    """
    named: dict[bytes, int] = {}
    for place, id_ in told:
        if id_:
            named.setdefault(id_, place)
    nameless = [place for place, id_ in told if not id_]
    without = [place for id_, place in named.items() if not rows[id_]]
    kept = len(named) - len(without) + min(len(without), rows[b""])
    if repeats and rows.total():
        nameless = []
    return [*without[rows[b""] :], *nameless[max(0, rows.total() - kept) :]]


def occurrence(users: Times) -> Times:
    """The number of times that each of them was there before."""
    order = np.argsort(users, kind="stable")
    ordered = users[order]
    begin = np.searchsorted(ordered, ordered, side="left")
    found = np.zeros(len(users), dtype=np.int64)
    found[order] = np.arange(len(users)) - begin
    return found


def _plainly_kept(attempts: Attempts, answers: Indices, audit: Audit) -> Mask:
    """Answers whose user's last row has their very id: nearly all of them, found at once.

    Two ask for it, when the evidence is read and when the harm is counted.
    """
    found = audit.kept.get(id(attempts.records))
    if found is None or found[0] is not attempts.records:
        found = attempts.records, _has_last_row(attempts, answers, audit)
        audit.kept[id(attempts.records)] = found
    return found[1]


def _has_last_row(attempts: Attempts, answers: Indices, audit: Audit) -> Mask:
    ids = audit.columns[1]
    if not len(ids):
        return np.zeros(len(answers), dtype=bool)
    at = audit.last_rows(attempts.users[answers])
    same: Mask = (at >= 0) & (ids[at] == attempts.ids(answers))
    return same


def _kept(
    user: int, id_: bytes, stored: AbstractSet[tuple[int, bytes]], holders: AbstractSet[int]
) -> bool:
    """A row of that user and id; by user alone where either side tells no id."""
    if not id_:
        return user in holders
    return (user, id_) in stored or (user, b"") in stored


def first_wrong_ns(attempts: Attempts, audit: Audit | None, promise: CampaignPromise) -> int | None:
    """When the first answer arrived that broke a promise which the experiment asks about."""
    wrong = []
    if promise.asks("no_over_issuance"):
        wrong.append(beyond_stock(attempts, promise.issues, promise.semantics))
    if promise.asks("one_per_user"):
        wrong.append(issued_again(attempts, promise.semantics))
    if promise.asks("no_lost_issuance") and audit is not None and not audit.unsettled:
        missing = lost(attempts, audit, promise.semantics)
        if not tells_other_ids(attempts, audit, missing):
            wrong.append(missing)
    instants = [int(attempts.ended[found[0]]) for found in wrong if len(found)]
    return min(instants, default=None)
