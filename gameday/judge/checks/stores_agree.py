"""The stores tell the same story in the end: as sets of users, not as counts that may cancel.

The durable rows are compared with the service's own audit and with the view of the fast path,
the latter only while it is current: after a switch to another strategy it legitimately differs.
Comparing needs a consistent cut, rows that stood still while the other store was read.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from gameday.evidence import Audit, Evidence, View
from gameday.evidence.rows import Row, Rows
from gameday.judge.verdict import SHOWN, NotApplicable, Validity, Verdict, worst

NAME = "stores_agree"
LACKS = "a second, current view of the rows (stores.redis, or views in the audit)"


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Rows, the audit's answer and every current view hold the same users (I10)."""
    audit = evidence.audited
    views = [view for view in audit.views if view.current is not False]
    if not views and audit.answer_rows_equal is None:
        return NotApplicable(NAME, LACKS)
    if audit.problem or audit.cut != "consistent":
        why = audit.problem or f"the cut is {audit.cut}"
        return Verdict(NAME, Validity.UNKNOWN, f"the stores cannot be compared: {why}")
    found = [_compare(view, audit, evidence.stock) for view in views]
    found.extend(_compare_answer(audit))
    return Verdict(
        name=NAME,
        validity=worst([verdict.validity for verdict in found]),
        summary="; ".join(verdict.summary for verdict in found),
        evidence=[item for verdict in found for item in verdict.evidence],
        certificate=next((v.certificate for v in found if v.certificate is not None), None),
    )


def _compare(view: View, audit: Audit, stock: int) -> Verdict:
    name = view.store
    if view.current is None:
        return Verdict(NAME, Validity.UNKNOWN, f"{name}: whether its view is current is not known")
    if view.holders is None and view.remaining is None:
        return Verdict(NAME, Validity.UNKNOWN, f"{name}: it told neither holders nor remaining")
    if view.holders is not None and view.holders != audit.users:
        return _other_users(name, view.holders, audit.users)
    if view.remaining is not None and view.remaining != stock - len(audit.rows):
        return _other_stock(view, audit, stock)
    told = f"{len(audit.rows)} rows" if view.holders is None else f"{len(view.holders)} users"
    return Verdict(NAME, Validity.VALID, f"{name}: the same {told}")


def _other_users(name: str, holders: frozenset[int], users: frozenset[int]) -> Verdict:
    surplus, missing = sorted(holders - users), sorted(users - holders)
    summary = f"{name}: {len(surplus)} users without a row, {len(missing)} rows without the user"
    shown = [{"user": user, "only_in": name} for user in surplus[:SHOWN]]
    shown += [{"user": user, "only_in": "rows"} for user in missing[:SHOWN]]
    return Verdict(NAME, Validity.INVALID, summary, shown, shown[0])


def _other_stock(view: View, audit: Audit, stock: int) -> Verdict:
    rows = len(audit.rows)
    certificate = {"store": view.store, "remaining": view.remaining, "rows": rows, "stock": stock}
    summary = (
        f"{view.store}: {view.remaining} remaining, but {stock} - {rows} rows are {stock - rows}"
    )
    return Verdict(NAME, Validity.INVALID, summary, [certificate], certificate)


def _compare_answer(audit: Audit) -> Sequence[Verdict]:
    """The service's own account of its rows, where gameday read them itself."""
    if audit.answer_rows_equal is None:
        return []
    if audit.answer_rows_equal:
        return [Verdict(NAME, Validity.VALID, "the audit's answer: the same rows")]
    return [_other_rows(audit.rows, audit.answer_rows or ())]


def _other_rows(rows: Rows, answered: Iterable[Row]) -> Verdict:
    stored, told = set(rows), set(answered)
    hidden, invented = sorted(stored - told), sorted(told - stored)
    shown: list[Any] = [{"row": list(row), "only_in": "rows"} for row in hidden[:SHOWN]]
    shown += [{"row": list(row), "only_in": "answer"} for row in invented[:SHOWN]]
    summary = f"the audit's answer: {len(hidden)} rows not told, {len(invented)} not stored"
    return Verdict(
        NAME, Validity.INVALID, summary, shown, shown[0] if shown else {"rows": len(rows)}
    )
