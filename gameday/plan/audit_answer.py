"""The audit, wherever it is: asked within bounds, its rows read as they come.

It is asked before a run, to see that the campaign is fresh, and after the traffic, as evidence. An
answer over HTTP, the output of a command and the rows of a store alone all become the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gameday.core import settings
from gameday.core.errors import GamedayError, UsageError
from gameday.core.json_list import LongList
from gameday.core.json_objects import Json
from gameday.core.network.http import Take
from gameday.core.processes.command import CommandLine, run_command
from gameday.evidence.rows import RowError, Rows, checked_view, quoted, whole_number
from gameday.injection.drivers.request import Sender, secret
from gameday.plan.audit_pages import read_pages
from gameday.plan.audit_shape import (
    ShapedReader,
    must_be_all,
    must_be_one_page,
    number_at,
    take_csv,
)
from gameday.plan.stores import StoreReadError, StoreRows
from gameday.spec.audit import AuditCommand, AuditRequest, AuditStore, CommandRun, Shaped
from gameday.spec.system import System
from gameday.spec.template import fill_text

ANSWER_S = 60  # where the system file does not say
LARGEST_CSV = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    """The audit as the system answers it; `beside` is whatever stands beside its rows.

    `stock` is None where the audit does not tell it.
    """

    rows: Rows
    stock: int | None
    beside: Json

    @property
    def views(self) -> Mapping[str, Json]:
        """Its views of other stores. Raises RowError for one of another form."""
        views = self.beside.get("views")
        views = {} if views is None else views
        if not isinstance(views, dict) or not all(isinstance(v, dict) for v in views.values()):
            raise RowError("its `views` are not mappings by the name of a store")
        return {name: {**view, **asdict(checked_view(name, view))} for name, view in views.items()}


def comes_in_parts(system: System) -> bool:
    """True if an audit is read in parts, so that what it told may have moved meanwhile."""
    audit = system.audit
    return isinstance(audit, AuditStore) or (
        isinstance(audit, AuditRequest) and audit.paging is not None
    )


async def ask(system: System, sender: Sender) -> AuditAnswer:
    """One reading of the audit. Raises GamedayError."""
    audit = system.audit
    assert audit is not None, "asked of a system that issues nothing"
    if isinstance(audit, AuditStore):
        return await _of_store(system, audit, sender)
    if isinstance(audit, AuditCommand):
        return await _of_command(system, audit, sender)
    if "timeout" not in audit.model_fields_set:
        audit = audit.model_copy(update={"timeout": timedelta(seconds=ANSWER_S)})
    if audit.url is not None:
        sender = sender.at(audit.url)
    if not audit.is_mapped:
        own = _OwnForm()
        await _send(audit, sender, own.listed.feed)
        return own.end(sender)
    if audit.paging is not None:
        return await _in_pages(system, audit, sender)
    rows = Rows()
    reader = ShapedReader(audit, rows)
    headers = await _send(audit, sender, reader.feed)
    answer = reader.end()
    must_be_one_page(audit, answer, rows, headers)
    must_be_all(rows, number_at("total", audit.total, answer))
    return _shaped(system, audit, rows, answer)


async def _send(audit: AuditRequest, sender: Sender, take: Take) -> Mapping[str, str]:
    """Ask, and hand the body on; the headers of the answer."""
    most_bytes: int = settings.current()["bounds.audit_bytes"]
    return (await sender.send(audit, take, most_bytes)).headers


async def _in_pages(system: System, audit: AuditRequest, sender: Sender) -> AuditAnswer:

    async def one(request: AuditRequest, values: Mapping[str, int | str], rows: Rows) -> Any:
        reader = ShapedReader(request, rows)
        await _send(request, sender.with_values(values), reader.feed)
        return reader.end()

    pages = await read_pages(audit, sender.base_url, one)
    must_be_all(pages.rows, number_at("total", audit.total, pages.first))
    return _shaped(system, audit, pages.rows, pages.first)


def _shaped(system: System, shape: Shaped, rows: Rows, answer: Any) -> AuditAnswer:
    """The answer in gameday's form, from the numbers at their paths."""
    stock = number_at("stock", shape.stock, answer)
    remaining = number_at("remaining", shape.remaining, answer)
    return _of_numbers(system, "audit", rows, stock, remaining)


def _of_numbers(
    system: System, name: str, rows: Rows, stock: int | None, remaining: int | None
) -> AuditAnswer:
    # Nothing could have switched it off where there are no actions.
    current = None if system.actions else True
    view = {"remaining": remaining, "holders": None, "current": current}
    views = {} if remaining is None else {"views": {name: view}}
    told = {} if stock is None else {"stock": _stock(stock)}
    return AuditAnswer(rows, stock, {**told, **views})


class _OwnForm:
    """The format of an audit that gameday names: `stock` and `rows`, and maybe more."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.listed = LongList("rows", self.rows.take)

    def end(self, sender: Sender) -> AuditAnswer:
        """The answer, when all has come. Raises RowError."""
        answer = self.listed.end()
        if not isinstance(answer, dict) or "rows" not in answer or "stock" not in answer:
            raise RowError("it lacks `stock` or `rows`")
        if answer["rows"] != []:
            raise RowError("its `rows` are not a list of {userId, issueId}")
        coupon, code = sender.values.get("coupon"), answer.get("code")
        if coupon is not None and isinstance(code, str) and code != str(coupon):
            raise RowError(f"asked for {coupon}, it answers for {quoted(code)}")
        stock = _stock(answer["stock"])
        del answer["rows"]
        return AuditAnswer(self.rows, stock, {**answer, "stock": stock})


def _stock(value: object) -> int:
    try:
        stock = whole_number(value)
    except RowError:
        stock = -1
    if stock < 0:
        raise RowError(f"its `stock` is not a number from 0 to {2**63 - 1}: {quoted(value)}")
    return stock


def command_line(run: CommandRun, sender: Sender, most_bytes: int | None = None) -> CommandLine:
    """A command as it is run: placeholders filled, its secrets in its environment alone."""
    environment = {
        name: fill_text(value, sender.values)
        if isinstance(value, str)
        else secret(value, sender.environment)
        for name, value in run.env.items()
    }
    limit = {} if most_bytes is None else {"most_bytes": most_bytes}
    return CommandLine(
        argv=[fill_text(each, sender.values) for each in run.command],
        folder=Path(run.folder or "."),
        environment={**sender.environment, **environment},
        within_s=run.timeout.total_seconds(),
        **limit,
    )


async def _of_command(system: System, audit: AuditCommand, sender: Sender) -> AuditAnswer:
    """Rows of the output of a command. Raises CommandError, and what an answer raises."""
    rows = Rows()
    most_bytes: int = settings.current()["bounds.audit_bytes"]
    if audit.format == "csv":
        line = command_line(audit, sender, min(most_bytes, LARGEST_CSV))
        done = await run_command(line)
        done.must_be_well(line, sender.hide)
        take_csv(done.output, audit, rows)
        return _of_numbers(system, "audit", rows, None, None)
    line = command_line(audit, sender, most_bytes)
    reader, own = ShapedReader(audit, rows), _OwnForm()
    (await run_command(line, reader.feed if audit.is_mapped else own.listed.feed)).must_be_well(
        line, sender.hide
    )
    if not audit.is_mapped:
        return own.end(sender)
    answer = reader.end()
    must_be_one_page(audit, answer, rows)
    must_be_all(rows, number_at("total", audit.total, answer))
    return _shaped(system, audit, rows, answer)


async def _of_store(system: System, audit: AuditStore, sender: Sender) -> AuditAnswer:
    found = await read_store(system, audit.store, sender, counts=True)
    return _of_numbers(system, audit.store, found.rows, found.stock, found.remaining)


async def read_store(
    system: System, name: str, sender: Sender, *, counts: bool = False
) -> StoreRows:
    """One reading of a store. Raises GamedayError."""
    campaign, environment = str(sender.values.get("coupon", "")), sender.environment
    stores = system.stores
    try:
        if name == "postgres" and stores.postgres is not None:
            from gameday.plan.stores.postgres import read_postgres

            return await read_postgres(stores.postgres, campaign, environment, counts=counts)
        if name == "mysql" and stores.mysql is not None:
            from gameday.plan.stores.mysql import read_mysql

            return await read_mysql(
                stores.mysql, campaign, environment, counts=counts, tls=sender.tls
            )
        if name == "redis" and stores.redis is not None:
            from gameday.plan.stores.redis import read_redis

            return await read_redis(stores.redis, campaign, environment)
    except GamedayError:
        raise
    except (OSError, TimeoutError, ValueError, TypeError, LookupError) as error:
        raise StoreReadError(f"stores.{name}: {type(error).__name__}: {error}") from error
    raise UsageError(f"audit: the system names no `stores.{name}`", help=f"add stores.{name}")
