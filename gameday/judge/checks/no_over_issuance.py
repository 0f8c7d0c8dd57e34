"""Never more coupons than there are: neither in the durable rows, nor in what users were told.

The rows are looked at once, in the end; they only grow, so one sighting of too many is final,
even while they were still changing. The users' side needs no store at all: more users holding a
promise than there are coupons is over-issuance whatever became of the rows.
"""

from typing import Any

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.attempts import distinct
from gameday.evidence.model import Evidence
from gameday.evidence.wrong_answers import beyond_stock, issued, promised
from gameday.judge.only_outcome import questioned
from gameday.judge.verdict import (
    SHOWN,
    NotApplicable,
    Validity,
    Verdict,
    count,
    in_units,
    unknown,
)
from gameday.traffic.history import Outcome


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Durable rows and promised users are both at most the stock (I1, I2).

    Where an issue takes more than one of it, as many as the stock allows.
    """
    stock = evidence.issues
    if evidence.audit is not None and len(evidence.audit.rows) > stock:
        return _too_many_rows(evidence, stock)
    holders = must_hold(evidence)
    if len(holders) > stock:
        question = questioned(evidence, Outcome.DUPLICATE)
        return question or _too_many_promised(evidence, holders, stock)
    audit = evidence.audited
    if audit.unsettled:
        return unknown("check.uncounted", why=audit.unsettled)
    rows, users = count(len(audit.rows), "row"), count(len(holders), "user")
    told = Message("check.no_over_issuance.enough", rows=rows, users=users, stock=stock)
    return Verdict(Validity.VALID, in_units(told, evidence.stock, evidence.semantics))


def must_hold(evidence: Evidence) -> list[int]:
    """Users to whom the service admitted a coupon, each as often as he was promised another.

    A duplicate answer admits one too, but only where nothing is held and given back again:
    a reservation that fails later may have caused it.
    """
    attempts = evidence.asked
    if evidence.semantics.per_user != "one":
        answers = promised(attempts, evidence.semantics)
        holders: list[int] = np.sort(attempts.users[answers]).tolist()
        return holders
    strict = evidence.semantics.holds == "strict"
    admitting = (Outcome.ISSUED, Outcome.DUPLICATE) if strict else (Outcome.ISSUED,)
    users: list[int] = distinct(attempts.users[attempts.are(*admitting)]).tolist()
    return users


def _too_many_rows(evidence: Evidence, stock: int) -> Verdict:
    audit = evidence.audited
    rows, names = audit.indexed, audit.users
    order = _told_at(evidence)
    places = sorted(range(len(rows)), key=lambda at: (order.get(rows[at][0], len(order)), rows[at]))
    latest = [rows[at] for at in places]
    beyond = [{"user": names.id_of(user), "issue_id": id_} for user, id_ in latest[stock:]]
    users = ", ".join(names.named(user) for user, _ in latest[stock : stock + 3])
    told = Message(
        "check.no_over_issuance.rows",
        rows=count(len(rows), "row"),
        stock=stock,
        beyond=len(beyond),
        users=users,
    )
    told_as = list(audit.rows)
    chosen = [list(told_as[at]) for at in places[: stock + 1]]
    told = in_units(told, evidence.stock, evidence.semantics)
    return Verdict(Validity.INVALID, told, beyond[:SHOWN], {**_stock(evidence), "rows": chosen})


def _told_at(evidence: Evidence) -> dict[int, int]:
    """The rank of each user among those told "issued"."""
    told = evidence.attempts.users[issued(evidence.attempts)].tolist()
    return {user: rank for rank, user in enumerate(dict.fromkeys(told))}


def _too_many_promised(evidence: Evidence, holders: list[int], stock: int) -> Verdict:
    late = beyond_stock(evidence.attempts, stock, evidence.semantics)
    shown: list[Any] = evidence.attempts.describe(late[:SHOWN], evidence.t0_ns)
    users, beyond = count(len(holders), "user"), len(holders) - stock
    told = Message("check.no_over_issuance.promised", users=users, stock=stock, beyond=beyond)
    if evidence.semantics.per_user != "one":
        promises = count(len(holders), "promise")
        told = Message(
            "check.no_over_issuance.more_promised", promises=promises, stock=stock, beyond=beyond
        )
    told = in_units(told, evidence.stock, evidence.semantics)
    names, chosen = evidence.attempts.names, holders[: stock + 1]
    indexed = chosen and names.in_history(chosen[0]) is not None
    certificate = {
        **_stock(evidence),
        "users": list(map(names.id_of, chosen)),
        **({"indices": chosen} if indexed else {}),
    }
    return Verdict(Validity.INVALID, told, shown, certificate)


def _stock(evidence: Evidence) -> dict[str, int]:
    """The number of issues there may be, and how much of the stock each takes if not one."""
    units = evidence.semantics.units
    return {"stock": evidence.issues} | ({"units": units} if units > 1 else {})
