"""The stores tell the same story in the end: as sets of users, not as counts that may cancel.

The durable rows are compared with the service's own audit and with the view of the fast path,
the latter only while it is current: after a switch to another strategy it legitimately differs.
Comparing needs a consistent cut, rows that stood still while the other store was read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.audit import Audit, View
from gameday.evidence.model import Evidence
from gameday.judge.verdict import (
    SHOWN,
    NotApplicable,
    Validity,
    Verdict,
    lacking,
    unknown,
    valid,
    worst,
)


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Rows, the audit's answer and every current view hold the same users (I10)."""
    audit = evidence.audited
    views = [view for view in audit.views if view.current is not False]
    doubts = _doubts(audit, evidence)
    if not views and audit.answer_rows_equal is None and not doubts:
        return lacking("lacks.view")
    if audit.problem or audit.cut != "consistent" or audit.question is not None:
        cut = Message("check.stores_agree.cut", cut=audit.cut)
        why: str | Message = audit.problem or audit.question or cut
        return unknown("check.stores_agree.incomparable", why=why)
    found = [_of_nobody(view, audit) or _compare(view, audit, evidence) for view in views]
    found.extend(_compare_answer(audit))
    found.extend(doubts)
    return Verdict(
        validity=worst([verdict.validity for verdict in found]),
        message=Message("check.all", parts=[verdict.message for verdict in found]),
        evidence=[item for verdict in found for item in verdict.evidence],
        certificate=next((v.certificate for v in found if v.certificate is not None), None),
    )


def _doubts(audit: Audit, evidence: Evidence) -> list[Verdict]:
    """Questions about what a source could not tell, or tells otherwise than the campaign has it.

    A stock that is not the campaign's may be what is left of it: it is a question.
    """
    found = []
    for name, source in sorted(audit.sources.items()):
        if source.problem:
            found.append(unknown("check.stores_agree.unread", store=name, why=source.problem))
        if source.stock is not None and source.stock != evidence.stock:
            whole = "check.stores_agree.whole"
            found.append(unknown(whole, store=name, told=source.stock, stock=evidence.stock))
    return found


def _of_nobody(view: View, audit: Audit) -> Verdict | None:
    """The question about a view that tells of nobody, and may be of another campaign."""
    is_empty = view.current is True and view.holders is not None and not view.holders
    if not is_empty or not len(audit.rows) or not _may_be_of_another(view.store, audit):
        return None
    return unknown("check.stores_agree.nobody", store=view.store)


def _compare(view: View, audit: Audit, evidence: Evidence) -> Verdict:
    name, units = view.store, evidence.semantics.units
    left = evidence.stock - len(audit.rows) * units
    if view.holders is None and view.remaining is None:
        return unknown("check.stores_agree.nothing", store=name)
    if view.current is None:
        return unknown("check.stores_agree.current", store=name)
    others = False
    if view.holders is not None and view.holders != audit.holders:
        others = _call_them_otherwise(view.holders, audit)
        if not others:
            return _other_users(name, view.holders, audit)
    if view.remaining is not None and view.remaining != left:
        return _other_stock(view, audit, evidence, left)
    if others:
        return unknown("check.stores_agree.other_ids", store=name)
    if view.holders is None:
        told = Message("check.stores_agree.rows", store=name, rows=len(audit.rows))
    else:
        told = Message("check.stores_agree.users", store=name, users=len(view.holders))
    return Verdict(Validity.VALID, told)


def _call_them_otherwise(users: frozenset[int], audit: Audit) -> bool:
    """True if a store may have other ids than the rows: nobody is in both, and one has no user."""
    if not audit.users.can_be_others or not users.isdisjoint(audit.holders):
        return False
    sides = [np.array([*side], dtype=np.int64) for side in (users, audit.holders)]
    return any(len(side) and not audit.users.has(side).any() for side in sides)


def _other_users(name: str, holders: frozenset[int], audit: Audit) -> Verdict:
    users, id_of = audit.holders, audit.users.id_of
    surplus, missing = sorted(holders - users), sorted(users - holders)
    told = Message(
        "check.stores_agree.other_users", store=name, surplus=len(surplus), missing=len(missing)
    )
    shown = [{"user": id_of(user), "only_in": name} for user in surplus[:SHOWN]]
    shown += [{"user": id_of(user), "only_in": "rows"} for user in missing[:SHOWN]]
    return Verdict(Validity.INVALID, told, shown, shown[0])


def _other_stock(view: View, audit: Audit, evidence: Evidence, left: int) -> Verdict:
    rows, stock, units = len(audit.rows), evidence.stock, evidence.semantics.units
    certificate = {"store": view.store, "remaining": view.remaining, "rows": rows, "stock": stock}
    kind = "other_stock"
    if units > 1:
        certificate["units"], kind = units, "other_stock_units"
    told = Message(f"check.stores_agree.{kind}", left=left, **certificate)
    return Verdict(Validity.INVALID, told, [certificate], certificate)


def _may_be_of_another(source: str, audit: Audit) -> bool:
    """True if nothing in what a source was asked names the campaign; of old runs nobody knows."""
    return source in audit.sources and "rows" not in audit.sources[source].names


def _compare_answer(audit: Audit) -> Sequence[Verdict]:
    """The service's own account of its rows, where gameday read them itself."""
    if audit.answer_rows_equal is None:
        return []
    if audit.answer_rows_equal:
        return [valid("check.stores_agree.answer")]
    if not audit.answer_rows and not audit.echoes_campaign and _may_be_of_another("audit", audit):
        return [unknown("check.stores_agree.nobody", store="audit")]
    given = audit.answered()
    if sorted(audit.indexed) == sorted(given):  # the same users by two ids of theirs
        return [valid("check.stores_agree.answer")]
    if _call_them_otherwise(frozenset(user for user, _ in given), audit):
        return [unknown("check.stores_agree.other_ids", store="audit")]
    return [_other_rows(audit)]


def _other_rows(audit: Audit) -> Verdict:
    stored, given = set(audit.indexed), set(audit.answered())
    hidden, invented = sorted(stored - given), sorted(given - stored)
    id_of = audit.users.id_of
    shown: list[Any] = [{"row": [id_of(u), i], "only_in": "rows"} for u, i in hidden[:SHOWN]]
    shown += [{"row": [id_of(u), i], "only_in": "answer"} for u, i in invented[:SHOWN]]
    counts = {"hidden": len(hidden), "invented": len(invented)}
    told = Message("check.stores_agree.other_answer", **counts)
    return Verdict(Validity.INVALID, told, shown, shown[0] if shown else {"rows": len(audit.rows)})
