"""The system's own answer to the audit: asked within bounds, its rows read as they come.

It is asked before a run, to see that the campaign is fresh, and after the traffic, as evidence.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from gameday.core import settings
from gameday.core.json_list import LongList
from gameday.core.json_objects import Json
from gameday.evidence.rows import RowError, Rows, checked_view, quoted, whole_number
from gameday.injection.drivers.request import Sender
from gameday.spec.system import System

ANSWER_S = 60  # where the system file does not say


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """The audit as the system answers it; `beside` is whatever stands beside its rows."""

    rows: Rows
    stock: int
    beside: Json

    @property
    def views(self) -> Mapping[str, Json]:
        """Its views of other stores. Raises RowError for one of another form."""
        views = self.beside.get("views")
        views = {} if views is None else views
        if not isinstance(views, dict) or not all(isinstance(v, dict) for v in views.values()):
            raise RowError("its `views` are not mappings by the name of a store")
        return {name: {**view, **asdict(checked_view(name, view))} for name, view in views.items()}


async def ask(system: System, sender: Sender) -> AuditAnswer:
    """The audit's answer of the system. Raises GamedayError."""
    rows, request = Rows(), system.audit
    assert request is not None, "asked of a system that issues nothing"
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
    stock = _stock(answer["stock"])
    del answer["rows"]
    return AuditAnswer(rows, stock, {**answer, "stock": stock})


def _stock(value: object) -> int:
    try:
        stock = whole_number(value)
    except RowError:
        stock = -1
    if stock < 0:
        raise RowError(f"its `stock` is not a number from 0 to {2**63 - 1}: {quoted(value)}")
    return stock
