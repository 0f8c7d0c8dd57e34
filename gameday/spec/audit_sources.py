"""Stores beside the audit: whose rows are compared with it, and which views of others are.

What a store that is not the audit itself tells is a view, whatever kind the audit is of. Its
queries may hold no place for the campaign; then what they yield may be of another one, and an empty
answer proves nothing.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from gameday.spec.audit import AuditCommand, AuditRequest, AuditStore, StoreName
from gameday.spec.system import System

SqlStore = Literal["postgres", "mysql"]
SQL: Final[tuple[SqlStore, ...]] = ("postgres", "mysql")
COUNTS: Final = ("stock", "remaining")
STORES: Final[tuple[StoreName, ...]] = (*SQL, "redis")


def rows_store(system: System) -> SqlStore | None:
    """The store whose rows are compared with the answer; None where the audit is a store."""
    if isinstance(system.audit, AuditStore):
        return None
    named = [name for name in SQL if has_rows(system, name) or system.authority == name]
    return named[0] if named else None


def views_beside(system: System) -> list[StoreName]:
    """The other stores that tell something, and are not the audit."""
    audit = system.audit
    apart = audit.store if isinstance(audit, AuditStore) else rows_store(system)
    return [name for name in STORES if name != apart and any(queries(system, name).values())]


def stores_beside(system: System) -> list[StoreName]:
    """All stores that are read beside the audit."""
    first = rows_store(system)
    return [*([first] if first is not None else []), *views_beside(system)]


def has_rows(system: System, name: StoreName) -> bool:
    """True if a store is asked for rows, or holders."""
    return queries(system, name).get("rows") is not None


def queries(system: System, name: StoreName) -> dict[str, str | None]:
    """Queries of a store: its rows or holders, and its counts; {} where there is none."""
    store = getattr(system.stores, name)
    if store is None:
        return {}
    where = getattr(store, "where", None)
    rows = getattr(store, "rows", None) if where is None else where.model_dump_json()
    return {"rows": rows, **{key: getattr(store, key) for key in COUNTS}}


def naming(system: System, coupon: str) -> dict[str, list[str]]:
    """By source, what of it is asked of this campaign alone: `rows`, `stock`, `remaining`."""
    found = {"audit": ["rows"]} if _audit_names(system, coupon) else {"audit": []}
    for name in STORES:
        asked = queries(system, name)
        if asked:
            found[name] = [key for key, text in asked.items() if text and _in(text, system, coupon)]
    return found


def is_own_form(system: System) -> bool:
    """True if the audit answers in gameday's own form."""
    audit = system.audit
    if isinstance(audit, AuditStore):
        return False
    csv = isinstance(audit, AuditCommand) and audit.format == "csv"
    return audit is not None and not audit.is_mapped and not csv


def audit_source(system: System) -> str:
    """The name of the source that the audit is."""
    return system.audit.store if isinstance(system.audit, AuditStore) else "audit"


def _audit_names(system: System, coupon: str) -> bool:
    return any(_in(text, system, coupon) for text in audit_texts(system))


def audit_texts(system: System) -> Iterator[str]:
    """Texts that the audit is asked with: address, query, headers, body; arguments of a command."""
    audit = system.audit
    if isinstance(audit, AuditRequest | AuditCommand):
        yield audit.model_dump_json(exclude={"outcomes", "expect"})
    elif isinstance(audit, AuditStore):
        yield queries(system, audit.store).get("rows") or ""


def _in(text: str, system: System, coupon: str) -> bool:
    """True if a text names the campaign: by its placeholder, or as the experiment calls it."""
    if names_by_placeholder(text):
        return True
    own = rf"(?<![\w-]){re.escape(coupon)}(?![\w-])"
    return system.campaign is None and bool(coupon) and re.search(own, text) is not None


def names_by_placeholder(text: str) -> bool:
    """True if a query or a request has a place for the campaign's code."""
    return "{coupon}" in text or "$1" in text
