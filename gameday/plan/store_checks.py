"""Stores as they are before a run: whether what the system file asks of them can be read at all.

What is wrong with a query shows at once, campaign or none: a column that is not there, a login, an
address. That a count yields nothing is no error before there is a campaign. A store that is read
beside the audit must tell of nobody who has not asked yet, and of the campaign's own stock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.rows import RowError
from gameday.injection.drivers.request import Sender
from gameday.plan.audit_answer import read_store
from gameday.plan.beside import is_about_value
from gameday.plan.finding import Finding, Status
from gameday.plan.stores import StoreRows
from gameday.spec.audit import StoreName
from gameday.spec.audit_sources import COUNTS, SQL, queries, stores_beside
from gameday.spec.system import System

_CURE = "is it right in `stores` of the system file?"
_ELSE = "else what it yields may be of another campaign"
_ANY_CODE = "0"  # where the system makes up its codes: a number, and a text


@dataclass(slots=True)
class _Looked:
    """Answers of a store, and why others of it cannot be read."""

    told: StoreRows = field(default_factory=StoreRows)
    wrong: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


async def before_campaign(system: System, name: StoreName, sender: Sender) -> Finding | int:
    """A store that is the audit, before there is a campaign: what is wrong, or how many rows."""
    looked = await _look(system, name, sender, exists=False)
    if looked.wrong:
        return Finding("audit", "fail", f"cannot be read: {looked.wrong[0]}", _CURE)
    if looked.doubtful:
        text = f"cannot be read before there is a campaign: {looked.doubtful[0]}"
        return Finding("audit", "warn", text, _CURE)
    return len(looked.told.rows)


async def beside(
    system: System,
    sender: Sender,
    stock: int | None,
    *,
    planning: bool,
    exists: bool = True,
    is_reset: bool = False,
) -> list[Finding]:
    """Every store that is read beside the audit.

    What cannot be read forbids nothing in a run: it is unknown in the end. `is_reset`: what is done
    before a run is still to come.
    """
    found = []
    for name in stores_beside(system):
        looked = await _look(system, name, sender, exists=exists)
        place = f"stores.{name}"
        status: Status = "fail" if planning else "warn"
        for text in looked.wrong:
            found.append(Finding(place, status, f"cannot be read: {text}", _CURE))
        for text in looked.doubtful:
            when = "before the traffic" if exists else "before there is a campaign"
            found.append(Finding(place, "warn", f"cannot be read {when}: {text}", _CURE))
        odd = [] if is_reset else list(_odd(name, looked.told, stock if exists else None))
        found += odd
        if not (looked.wrong or looked.doubtful or odd):
            found.append(Finding(place, "ok", _answers(system, name, looked.told)))
    return found


async def _look(system: System, name: StoreName, sender: Sender, *, exists: bool) -> _Looked:
    """Ask each of its queries by itself, so that one says nothing of another."""
    if not exists and system.captures is not None:
        sender = sender.with_values({"coupon": _ANY_CODE})
    looked = _Looked()
    for key in ("rows", *COUNTS):
        if queries(system, name).get(key) is None:
            continue
        try:
            told = await read_store(_only(system, name, key), name, sender, counts=key in COUNTS)
        except GamedayError as error:
            text = sender.hide(str(error))
            if key in COUNTS and isinstance(error, RowError) and not exists:
                continue  # of no campaign there is nothing to count
            if not exists and system.captures is not None and is_about_value(error):
                looked.doubtful.append(text)
            else:
                looked.wrong.append(text)
            if not isinstance(error, RowError) and error.__cause__ is None:
                break  # it is not there, and would not be for the others
            continue
        setattr(looked.told, key, getattr(told, key))
    return looked


def _only(system: System, name: StoreName, key: str) -> System:
    """The system with one query of a store, and no other."""
    wanted = {"rows": "holders" if name == "redis" else "rows"}.get(key, key)
    others = {"rows", "holders", *COUNTS} - {wanted}
    store = getattr(system.stores, name)
    kept = store.model_copy(update={each: None for each in others & set(type(store).model_fields)})
    return system.model_copy(update={"stores": system.stores.model_copy(update={name: kept})})


def _odd(name: StoreName, told: StoreRows, stock: int | None) -> Iterator[Finding]:
    """Findings that cannot be before anybody has asked."""
    place = f"stores.{name}"
    if rows := len(told.rows):
        status: Status = "fail" if name in SQL else "warn"  # leftover keys are told of in the end
        text = f"it tells of {rows} issues, which nobody has asked for yet"
        cure = f"does it look at the campaign? {_ELSE}"
        yield Finding(place, status, text, cure, usage=True)
    yield from _odd_counts(place, "fail", (stock, "has"), told.stock, told.remaining)


def odd_counts(
    stock: int | None, told: int | None, remaining: int | None, *, is_own_form: bool
) -> list[Finding]:
    """Counts of an audit that are not those of the campaign that was just made."""
    status: Status = "warn" if is_own_form else "fail"
    return [*_odd_counts("audit", status, (stock, "was made with"), told, remaining)]


def _odd_counts(
    place: str,
    status: Status,
    campaign: tuple[int | None, str],
    told: int | None,
    remaining: int | None,
) -> Iterator[Finding]:
    """Counts that are not the campaign's; its stock is None where nobody knows it."""
    stock, has = campaign
    if stock is None:
        return
    if told not in (None, stock):
        text = f"it says stock {told}, and the campaign {has} {stock}"
        cure = "is `stock` how many there are in all of this campaign?"
        yield Finding(place, status, text, cure, usage=True)
    if remaining not in (None, stock):
        text = f"it says {remaining} left of {stock} before anybody has asked"
        yield Finding(place, "warn", text, "is `remaining` of this campaign, and what is left?")


def _answers(system: System, name: StoreName, told: StoreRows) -> Message:
    parts = [Message("finding.answers", what=f"stores.{name}")]
    if queries(system, name)["rows"] is not None:
        parts.append(Message("finding.beside_rows", n=len(told.rows)))
    for key in COUNTS:
        if (number := getattr(told, key)) is not None:
            parts.append(Message(f"finding.beside_{key}", n=number))
    return Message("check.all", parts=parts)
