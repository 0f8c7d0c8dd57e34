"""The system's own answer to the audit: asked within bounds, its rows read as they come.

It is asked before a run, to see that the campaign is fresh, and after the traffic, as evidence.
"""

from datetime import timedelta
from typing import Any

from gameday.core import settings
from gameday.core.json_list import LongList
from gameday.evidence.rows import RowError, Rows, quoted, user_number
from gameday.injection.drivers.request import Sender
from gameday.spec.system import System

ANSWER_S = 60  # where the system file does not say


async def ask(system: System, sender: Sender) -> dict[str, Any]:
    """The audit's answer of the system, its `rows` as Rows and its `stock` a number.

    Raises GamedayError.
    """
    rows, request = Rows(), system.audit
    if "timeout" not in request.model_fields_set:
        request = request.model_copy(update={"timeout": timedelta(seconds=ANSWER_S)})
    listed = LongList("rows", rows.take)
    most_bytes: int = settings.current()["bounds.audit_bytes"]
    await sender.send(request, listed.feed, most_bytes)
    answer = listed.end()
    if not isinstance(answer, dict) or "rows" not in answer or "stock" not in answer:
        raise RowError("it lacks `stock` or `rows`")
    if answer["rows"] != []:
        raise RowError("its `rows` are not a list of {userId, issueId}")
    coupon, code = sender.values.get("coupon"), answer.get("code")
    if coupon is not None and isinstance(code, str) and code != coupon:
        raise RowError(f"asked for {coupon}, it answers for {quoted(code)}")
    return {**answer, "rows": rows, "stock": _stock(answer["stock"])}


def _stock(value: object) -> int:
    try:
        stock = user_number(value)
    except RowError:
        stock = -1
    if stock < 0:
        raise RowError(f"its `stock` is not a number from 0 to {2**63 - 1}: {quoted(value)}")
    return stock
