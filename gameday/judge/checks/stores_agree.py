"""The stores tell the same story in the end: as sets of users, not as counts that may cancel.

The durable rows are compared with the service's own audit and with the view of the fast path,
the latter only while it is current: after a switch to another strategy it legitimately differs.
Comparing needs a consistent cut, rows that stood still while the other store was read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.audit import Audit, View
from gameday.evidence.issue_ids import plain_id
from gameday.evidence.model import Evidence
from gameday.evidence.rows import columns_of
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
    differing = _differing(audit, name)
    others = bool(differing) and _call_them_otherwise(view.holders or frozenset(), audit)
    if differing and not others:
        sure = _whatever_a_number_is(differing, audit, name)
        if sure:
            return _other_users(view, sure, audit)
        others = True
    if view.remaining is not None and view.remaining != left:
        return _other_stock(view, audit, evidence, left)
    if others:
        return unknown("check.stores_agree.other_ids", store=name)
    if view.holders is None:
        told = Message("check.stores_agree.left", store=name, left=left, rows=len(audit.rows))
    else:
        told = Message("check.stores_agree.users", store=name, users=len(view.holders))
    return Verdict(Validity.VALID, told)


def _differing(audit: Audit, store: str) -> frozenset[int]:
    """Users who stand in the rows or in a view alone, none if a number alone explains them all."""
    found = _in_one_alone(audit, store)
    if found and audit.numbered is not None and not _in_one_alone(audit.numbered, store):
        return frozenset()
    return found


def _in_one_alone(audit: Audit, store: str) -> frozenset[int]:
    view = next(each for each in audit.views if each.store == store)
    if view.indices is None or np.array_equal(view.indices, audit.holding):
        return frozenset()
    return (view.holders or frozenset()) ^ audit.holders


def _whatever_a_number_is(users: frozenset[int], audit: Audit, store: str) -> frozenset[int]:
    """Those of them who stand in one alone whether a number alone is a user or none."""
    if (numbered := audit.numbered) is None:
        return users
    found = _in_one_alone(numbered, store)
    return frozenset(user for user in users if _by_number(user, audit, numbered) in found)


def _by_number(user: int, audit: Audit, numbered: Audit) -> int:
    """A user by the index that he has where a number alone is one."""
    if user >= 0:
        return user
    [index] = numbered.users.indices(columns_of([audit.users.id_of(user)])[0]).tolist()
    return int(index)


def _call_them_otherwise(users: frozenset[int], audit: Audit) -> bool:
    """True if a store may have other ids than the rows: nobody is in both, and one has no user."""
    if not audit.users.can_be_others or not users.isdisjoint(audit.holders):
        return False
    sides = [np.array([*side], dtype=np.int64) for side in (users, audit.holders)]
    return any(len(side) and not audit.users.has(side).any() for side in sides)


def _other_users(view: View, differing: frozenset[int], audit: Audit) -> Verdict:
    name, id_of = view.store, audit.users.id_of
    missing = sorted(differing & audit.holders)
    surplus = sorted(differing - audit.holders)
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
    every = [audit, *([audit.numbered] if audit.numbered is not None else [])]
    if audit.answer_rows_equal or any(_are_equal(each) for each in every):
        return [valid("check.stores_agree.answer")]
    if not audit.answer_rows and not audit.echoes_campaign and _may_be_of_another("audit", audit):
        return [unknown("check.stores_agree.nobody", store="audit")]
    if _call_them_otherwise(frozenset(user for user, _ in audit.answered()), audit):
        return [unknown("check.stores_agree.other_ids", store="audit")]
    return [_other_rows(audit)]


def _are_equal(audit: Audit) -> bool:
    """True if both tell the same rows, in whatever spelling of users and ids."""
    stored, given = (
        Counter((user, _plain(id_)) for user, id_ in rows)
        for rows in (audit.indexed, audit.answered())
    )
    return stored == given


def _plain(id_: str) -> bytes:
    return plain_id(id_.encode("utf-8", "surrogatepass"))


def _rows_in_one_alone(audit: Audit) -> Sequence[Mapping[tuple[int, bytes], tuple[int, str]]]:
    """The rows that the answer hides, and those that it invents, by what they are compared by."""
    stored, given = (
        {(user, _plain(id_)): (user, id_) for user, id_ in rows}
        for rows in (audit.indexed, audit.answered())
    )
    sides = ((stored, given), (given, stored))
    return [{key: one[key] for key in one.keys() - other.keys()} for one, other in sides]


def _other_rows(audit: Audit) -> Verdict:
    hidden, invented = _rows_in_one_alone(audit)
    if (hidden or invented) and (numbered := audit.numbered) is not None:
        sure = {key for side in _rows_in_one_alone(numbered) for key in side}
        hidden, invented = (
            {k: row for k, row in side.items() if (_by_number(k[0], audit, numbered), k[1]) in sure}
            for side in (hidden, invented)
        )
        if not hidden and not invented:
            return unknown("check.stores_agree.other_ids", store="audit")
    id_of = audit.users.id_of
    shown: list[Any] = [
        {"row": [id_of(user), id_], "only_in": place}
        for place, rows in (("rows", hidden), ("answer", invented))
        for user, id_ in sorted(rows.values())[:SHOWN]
    ]
    counts = {"hidden": len(hidden), "invented": len(invented)}
    told = Message("check.stores_agree.other_answer", **counts)
    return Verdict(Validity.INVALID, told, shown, shown[0] if shown else {"rows": len(audit.rows)})
