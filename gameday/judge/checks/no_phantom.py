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
from gameday.judge.only_outcome import questioned
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, count, unknown, valid
from gameday.traffic.history import Outcome


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Rows belong to users who may have been issued one; so do duplicate answers (I5)."""
    attempts = evidence.asked
    audit = evidence.audited
    issuing = attempts.are(Outcome.ISSUED, Outcome.DUPLICATE) | attempts.may_have_worked
    holders, _ = audit.columns
    unexplained = np.flatnonzero(~among(holders, attempts.users[issuing]))
    doubt = audit.question or audit.other_ids
    if doubt is not None and issuing.any():
        return unknown("check.no_phantom.unsettled", why=doubt)
    phantoms = sorted(audit.indexed[at] for at in unexplained.tolist())
    if phantoms:
        return _rows_without_request(evidence, phantoms)
    if evidence.semantics.per_user != "one" and (more := _more_than_asked(evidence, issuing)):
        return more
    if audit.unsettled:
        return unknown("check.no_phantom.unsettled", why=audit.unsettled)
    baseless = _baseless_duplicates(evidence, audit)
    if len(baseless):
        question = questioned(evidence, Outcome.DUPLICATE)
        return question or _duplicates_of_nothing(evidence, baseless)
    return valid("check.no_phantom.asked_for", rows=count(len(audit.rows), "row"))


def _more_than_asked(evidence: Evidence, issuing: Mask) -> Verdict | None:
    """Users who may hold several, and hold more than they can have been given.

    A request that was asked again may have worked as often as it was asked.
    """
    attempts, audit = evidence.attempts, evidence.audited
    owners, rows = np.unique(audit.columns[0], return_counts=True)
    able = np.flatnonzero(issuing)
    users, place = np.unique(attempts.users[able], return_inverse=True)
    asked = np.bincount(place, np.maximum(attempts.records["attempts"][able], 1), len(users))
    more = owners[rows > asked[np.searchsorted(users, owners)]].tolist()
    if not more:
        return None
    chosen, user = sorted(audit.as_told(more[0]), key=str), audit.users.id_of(more[0])
    mine = np.flatnonzero(attempts.users == more[0])
    index = audit.users.in_history(more[0])
    spellings = sorted({str(name) for name, _ in chosen})
    certificate = {
        "user": user,
        **({} if index is None else {"index": index}),
        **({"spellings": spellings} if spellings != [str(user)] else {}),
        "rows": sorted(id_ for _, id_ in chosen),
        "attempts_of_the_user": attempts.describe(mine, evidence.t0_ns),
    }
    shown = [{"user": user, "issue_id": id_} for _, id_ in chosen[:SHOWN]]
    names = ", ".join(map(audit.users.named, more[:3]))
    told = Message("check.no_phantom.more", users=count(len(more), "user"), names=names)
    return Verdict(Validity.INVALID, told, shown, certificate)


def _rows_without_request(evidence: Evidence, phantoms: list[tuple[int, str]]) -> Verdict:
    names = evidence.audited.users
    # Who could have been asked for stands first; a foreign one may be somebody else's doing.
    phantoms = sorted(phantoms, key=lambda row: (row[0] < 0, row))
    shown = [{"user": names.id_of(user), "issue_id": id_} for user, id_ in phantoms[:SHOWN]]
    user, id_ = phantoms[0]
    asked = np.flatnonzero(evidence.attempts.users == user)
    answers = evidence.attempts.describe(asked, evidence.t0_ns)
    index = names.in_history(user)
    certificate = {
        "row": next(list(row) for row in evidence.audited.as_told(user) if row[1] == id_),
        "attempts_of_the_user": answers,
        **({} if index is None else {"index": index}),
    }
    users = ", ".join(names.named(user) for user, _ in phantoms[:3])
    rows = count(len(phantoms), "row")
    told = Message("check.no_phantom.unexplained", rows=rows, users=users)
    if foreign := sum(user < 0 for user, _ in phantoms):
        strange = Message("check.no_phantom.foreign", rows=count(foreign, "row"))
        told = Message("check.all", parts=[told, strange])
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
    asked = np.flatnonzero(attempts.users == attempts.users[baseless[0]])
    tries = attempts.describe(asked, evidence.t0_ns)
    certificate = {"answer": shown[0], "row": None, "attempts_of_the_user": tries}
    users = ", ".join(str(answer.user) for answer in shown[:3])
    answers = count(len(baseless), "duplicate_answer")
    told = Message("check.no_phantom.baseless", answers=answers, users=users)
    return Verdict(Validity.INVALID, told, shown, certificate)
