"""Questions to ask about an audit before it accuses anybody, as whether it is of this campaign.

After answers that said "issued", an audit that tells of nobody is what a total loss looks like, and
also what an audit looks like that tells of another campaign, or whose query is wrong. The evidence
decides between them where a second source of this campaign agrees that nobody holds anything, or
where the answer itself echoes the campaign's code. Else it is a question, and no verdict. So it is
where the rows name hardly anybody who asked, or where users and ids stand in each other's place.

Runs of before are asked no more than they were: what they asked of whom is not in their evidence.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np

from gameday.core.messages import Message
from gameday.evidence.attempts import Attempts, among, distinct
from gameday.evidence.audit import Audit
from gameday.evidence.audit_sources import AuditSource
from gameday.traffic.history import Outcome, stored_id
from gameday.traffic.user_ids import FOREIGN

SWAPPED: Final = "check.swapped"
_MOST: Final = 0.9  # of the rows; the others may be what is wrong with the system
_HARDLY: Final = 0.1
_LOOKED_AT: Final = 10_000  # rows: they are all of one kind


def questioned(audit: Audit, attempts: Attempts, stock: int | None) -> Audit:
    """The audit, with what is to be asked about it after so many were told "issued"."""
    acknowledged = int(attempts.are(Outcome.ISSUED).sum())
    if not acknowledged:
        return audit
    if len(audit.rows):
        if not audit.sources:
            return audit
        question = _swapped(audit, attempts) or _of_others(audit, attempts)
    elif audit.rows_from == "redis":
        # Nobody can tell whether what is not there was ever there, or has another name.
        question = Message("check.no_holders", acknowledged=acknowledged)
    else:
        question = _of_nobody(audit, acknowledged, stock)
    return audit if question is None else replace(audit, question=question)


def _of_nobody(audit: Audit, acknowledged: int, stock: int | None) -> Message | None:
    """The question about an empty audit, None where a second source proves it right."""
    if not audit.sources or audit.echoes_campaign or _agree_on_nobody(audit, stock):
        return None
    source = audit.rows_from
    asked = audit.sources.get(source, AuditSource()).names
    place = "audit" if source == "audit" else f"stores.{source}"
    id_ = "check.nobody_of_campaign" if "rows" in asked else "check.nobody"
    return Message(id_, acknowledged=acknowledged, place=place)


def _agree_on_nobody(audit: Audit, stock: int | None) -> bool:
    """True if a second source, asked of this campaign, has nobody or the whole stock left."""
    empty = {name for name in (audit.rows_from,) if _names(audit, name, "rows")}
    if audit.answer_rows is not None and not len(audit.answer_rows) and audit.rows_from != "audit":
        empty |= {"audit"} if _names(audit, "audit", "rows") else set()
    for view in audit.views:
        if view.current is not True or view.store == "audit":
            continue  # a number of the answer itself is no second source
        whole = stock is not None and view.remaining == stock
        if whole and _names(audit, view.store, "remaining"):
            return True
        if view.holders is not None and not view.holders and _names(audit, view.store, "rows"):
            empty.add(view.store)
    return len(empty) > 1


def _names(audit: Audit, source: str, key: str) -> bool:
    return key in audit.sources.get(source, AuditSource()).names


def _swapped(audit: Audit, attempts: Attempts) -> Message | None:
    """The question whether users and ids stand in each other's place.

    They do where the rows have as users the ids that were told, each beside its user. Without ids
    it shows only where nobody in the rows was told "issued", and all their ids are those who were.
    """
    rows = list(islice(audit.rows, _LOOKED_AT))
    turned = audit.users.known([id_ for _, id_ in rows])
    if float((turned != FOREIGN).mean()) < _MOST:
        return None  # as ids that are no numbers, and most are none
    answers = np.flatnonzero(attempts.are(Outcome.ISSUED))
    shown = np.concatenate([turned, audit.columns[0][: len(rows)]])
    answers = answers[among(attempts.users[answers], distinct(shown))]
    holders = attempts.users[answers].tolist()
    ids = attempts.ids(answers).tolist()
    told = {pair for pair in _pairs(holders, ids) if pair[1]}
    straight = audit.columns[0][: len(rows)].tolist()
    if told:
        users = [stored_id(str(user)) for user, _ in rows]
        right = _pairs(straight, [stored_id(id_) for _, id_ in rows])
        wrong = _pairs(turned.tolist(), users)
    else:
        right, wrong, told = _pairs(straight), _pairs(turned.tolist()), set(_pairs(holders))
    is_swapped = _share(wrong, told) >= _MOST and _share(right, told) <= _HARDLY
    if not is_swapped:
        return None
    return Message(SWAPPED, rows=len(audit.rows), user=str(rows[0][0]), id=str(rows[0][1]))


def _pairs(*columns: Sequence[object]) -> Sequence[tuple[object, ...]]:
    return list(zip(*columns, strict=True))


def _share(found: Sequence[object], known: Collection[object]) -> float:
    every = [each in known for each in found]
    return sum(every) / len(every)


def _of_others(audit: Audit, attempts: Attempts) -> Message | None:
    """The question whose rows these are, where hardly one names anybody who asked.

    An answer that says of which campaign it is names users as the request does, by its form.
    """
    if audit.echoes_campaign or audit.other_ids is not None:
        return None
    users = audit.columns[0]
    asked = among(users, distinct(attempts.users))
    if float(asked.mean()) > _HARDLY:
        return None
    named = ", ".join(map(audit.users.named, users[~asked][:3].tolist()))
    return Message("check.other_askers", rows=len(users), none=int((~asked).sum()), users=named)
