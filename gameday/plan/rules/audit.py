"""Rules about the audit and what is done before a run: that all of it can be read, and done."""

from collections.abc import Iterator
from pathlib import Path

from gameday.core.errors import UsageError, excerpt
from gameday.core.network.urls import Base
from gameday.spec.audit import AuditCommand, AuditRequest, AuditStore, CommandRun, Shaped
from gameday.spec.audit_sources import STORES, audit_texts, names_by_placeholder, queries
from gameday.spec.campaign import CommandAct, CreatedCampaign, SqlAct
from gameday.spec.inputs import FileWarning, Findings, LoadedSystem
from gameday.spec.request import ROOT, path_of
from gameday.spec.sql import only_reads, quotes_placeholder
from gameday.spec.system import System

Loc = tuple[str | int, ...]
_PATH = f"write names with dots between them, or {ROOT} for the whole"
_PAGE = 'write query: {page: "{page}"}, or paging: {next: PATH}'
ROWS = {
    "rows": "add it, as rows: SELECT user_id, id FROM …",
    "holders": 'add it, as holders: "claims:{coupon}"',
}
"""Cures where a store does not say where its rows are."""
_QUOTES = "leave the quotes out: gameday writes them"


def of_system(loaded: LoadedSystem) -> Findings:
    """Everything about the audit, the campaign, and what is done before a run."""
    yield from _audit(loaded)
    yield from _queries(loaded)
    yield from _of_any_campaign(loaded)
    for loc, run in _commands(loaded.system):
        yield from _program(loaded, loc, run)
        yield from _has_time(loaded, loc, run)
    for index, act in enumerate(loaded.system.before_run):
        if isinstance(act, SqlAct):
            yield from _statements(loaded, index, act)
    if isinstance(loaded.system.campaign, CreatedCampaign):
        for key, path in loaded.system.campaign.capture.items():
            yield from _path(loaded, ("campaign", "capture", key), key, path)


def _audit(loaded: LoadedSystem) -> Findings:
    audit = loaded.system.audit
    if isinstance(audit, AuditStore):
        yield from _store(loaded, audit)
    if isinstance(audit, AuditRequest | AuditCommand):
        yield from _paths(loaded, audit)
    if isinstance(audit, AuditRequest):
        yield from _address(loaded, audit)
        yield from _pages(loaded, audit)


def tells_stock(system: System) -> bool:
    """True if the audit says how many there are in all."""
    audit = system.audit
    if isinstance(audit, AuditStore):
        return getattr(getattr(system.stores, audit.store), "stock", None) is not None
    if isinstance(audit, Shaped) and audit.is_mapped:
        return audit.stock is not None
    return not (isinstance(audit, AuditCommand) and audit.format == "csv")


def _store(loaded: LoadedSystem, audit: AuditStore) -> Findings:
    """The store is there, says where its rows are, and can tell what is asked of it."""
    store = getattr(loaded.system.stores, audit.store)
    if store is None:
        problem = f"'store': there is no {audit.store!r} under `stores`"
        yield loaded.document.error(
            ("audit", "store"), problem, help="add its address and its rows"
        )
        return
    key = "holders" if audit.store == "redis" else "rows"
    if getattr(store, key) is None:
        problem = f"{key!r} is missing in {audit.store!r}: the audit reads it there"
        yield loaded.document.error(("stores", audit.store), problem, help=ROWS[key])
        return
    where = getattr(store, "where", None)
    several = loaded.system.semantics.per_user != "one"
    if where is not None and several and not (where.hash and where.user == "value"):
        problem = "'holders': it holds each user once, and `per_user` lets them have several"
        help = "name a hash whose values are the users, or another audit"
        yield loaded.document.error(("stores", "redis", "holders"), problem, help=help)


def _paths(loaded: LoadedSystem, shape: Shaped) -> Findings:
    columns = isinstance(shape, AuditCommand) and shape.format == "csv"
    for key in () if columns else Shaped.model_fields:
        if (path := getattr(shape, key)) is not None:
            yield from _path(loaded, ("audit", key), key, path)
    if isinstance(shape, AuditRequest) and shape.paging is not None and shape.paging.next:
        yield from _path(loaded, ("audit", "paging", "next"), "next", shape.paging.next)


def _path(loaded: LoadedSystem, loc: Loc, key: str, path: str) -> Findings:
    try:
        path_of(path)
    except ValueError as error:
        yield loaded.document.error(loc, f"{key!r}: {error}", help=_PATH)


def _address(loaded: LoadedSystem, audit: AuditRequest) -> Findings:
    if audit.url is None:
        return
    try:
        Base.parse(audit.url)
    except UsageError as error:
        yield loaded.document.error(("audit", "url"), f"'url': {error.message}", help=error.help)


def _pages(loaded: LoadedSystem, audit: AuditRequest) -> Findings:
    """Pages are asked for somehow, and what stands for them is filled in."""
    written = audit.model_dump_json()
    asked = [name for name in ("page", "offset", "next") if f"{{{name}}}" in written]
    if audit.paging is None:
        if asked:
            problem = f"'audit': {{{asked[0]}}} stands for pages, and there is no `paging`"
            yield loaded.document.error(("audit",), problem, help="add paging: {from: 1}")
        return
    place = ("audit", "paging")
    if audit.paging.next is None and not {"page", "offset"} & set(asked):
        problem = "'paging': nothing in the request says which page it asks for"
        yield loaded.document.error(place, problem, help=_PAGE)
    if "next" in asked and audit.paging.next is None:
        problem = "'paging': {next} is filled from an answer, and `next` does not say where"
        yield loaded.document.error(place, problem, help="paging: {next: PATH}")


def _queries(loaded: LoadedSystem) -> Findings:
    """Queries of a MySQL only read, and quote nothing that is quoted already."""
    store = loaded.system.stores.mysql
    for key in ("rows", "stock", "remaining") if store is not None else ():
        query, loc = getattr(store, key), ("stores", "mysql", key)
        if query is None:
            continue
        if not only_reads(query):
            problem = f"{key!r}: {excerpt(query)!r} does not begin as a query that reads"
            yield loaded.document.error(loc, problem, help="write SELECT …")
        elif quotes_placeholder(query):
            yield loaded.document.error(loc, f"{key!r}: a placeholder in quotes", help=_QUOTES)


def _of_any_campaign(loaded: LoadedSystem) -> Findings:
    """Warn of an audit, or a store, that cannot tell this campaign from others.

    Where the request that issues names no campaign there is only one.
    """
    system = loaded.system
    several = system.campaign is not None or "{coupon}" in system.requests.issue.model_dump_json()
    if not several or not system.issues:
        return
    if not isinstance(system.audit, AuditStore) and not any(
        map(names_by_placeholder, audit_texts(system))
    ):
        kind = "its arguments and its environment hold"
        if isinstance(system.audit, AuditRequest):
            kind = "its address, query, headers and body hold"
        problem = f"'audit': {kind} no {{coupon}}: it would tell the same of every campaign"
        yield FileWarning(loaded.document.place("audit"), problem)
    for name in STORES:
        for key, query in queries(system, name).items():
            if query is not None and not names_by_placeholder(query):
                key = "holders" if name == "redis" and key == "rows" else key
                place = "$1" if name == "postgres" else "{coupon}"
                problem = f"{key!r} holds no {place}: it would tell the same of every campaign"
                yield FileWarning(loaded.document.place("stores", name, key), problem)


def _commands(system: System) -> Iterator[tuple[Loc, CommandRun]]:
    if isinstance(system.audit, AuditCommand):
        yield ("audit", "command"), system.audit
    for index, act in enumerate(system.before_run):
        if isinstance(act, CommandAct):
            yield ("before_run", index, "command"), act


def _has_time(loaded: LoadedSystem, loc: Loc, run: CommandRun) -> Findings:
    if not run.timeout:
        problem = "'timeout': 0s: it must be longer than 0s"
        yield loaded.document.error((*loc[:-1], "timeout"), problem, help="timeout: 60s")


def _program(loaded: LoadedSystem, loc: Loc, run: CommandRun) -> Findings:
    """The program is there, as far as that can be known here."""
    name = run.command[0]
    if "{" in name:
        yield loaded.document.error(
            loc, f"'command': the program is {name!r}", help="write its name"
        )
        return
    from gameday.core.processes.command import CommandLine  # asyncio, for the few with a command

    line = CommandLine(argv=run.command, folder=Path(run.folder or "."))
    if line.program is None:
        problem = f"'command': there is no program {name!r}"
        help = "a path with a / counts from the folder of the system file"
        yield loaded.document.error(loc, problem, help=help)


def _statements(loaded: LoadedSystem, index: int, act: SqlAct) -> Findings:
    if act.url is None and getattr(loaded.system.stores, act.store) is None:
        problem = f"'store': there is no {act.store!r} under `stores`"
        help = "add it, or say `url: {env: NAME}`"
        yield loaded.document.error(("before_run", index, "store"), problem, help=help)
    if any(map(quotes_placeholder, act.statements)):
        yield loaded.document.error(
            ("before_run", index, "sql"), "'sql': a placeholder in quotes", help=_QUOTES
        )
