"""Rows of a MySQL or MariaDB: one read-only transaction that sees one state, a piece at a time.

PyMySQL waits for its socket, so it works in a thread. The socket is ours: it is opened where the
allow-list lets it, counts what comes, and is shut when the time is over, which ends the thread.

The campaign stands in a query as a literal that the client quotes, so `{coupon}` has no quotes
around it. A variable of the session would do as well, but for collations that do not mix.
"""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import SSCursor

from gameday.core import settings
from gameday.core.errors import UsageError
from gameday.core.network.event_loop import open_socket
from gameday.evidence.rows import RowError, Rows
from gameday.injection.drivers.request import secret
from gameday.plan.stores import (
    FIRST_PIECE,
    PIECE,
    STATEMENT_TIMEOUT_MS,
    STORE_S,
    TWO_COLUMNS,
    StoreReadError,
    StoreRows,
)
from gameday.plan.stores.values import count_value, id_value, only_value, user_value
from gameday.spec.system import MysqlStore
from gameday.spec.template import fill_text
from gameday.spec.tls import Tls

T = TypeVar("T")

if TYPE_CHECKING:
    _Connection = Connection[SSCursor]
else:
    _Connection = Connection  # generic in its stubs alone

PORT: Final = 3306
SCHEMES: Final = ("mysql", "mariadb")
_CONNECT_S: Final = 5.0
_SILENT_S: Final = 15.0  # more than a statement may take
_END_S: Final = 2.0  # a thread whose socket is shut ends at once
# What the client stumbles over in the bytes of somebody else; our own errors are GamedayError.
NO_MYSQL: Final = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(RuntimeError, MemoryError, OSError, struct.error),
)
_GONE: Final = (2006, 2013, 2014)  # the connection is
_HELP: Final = "write mysql://USER:PASSWORD@HOST:PORT/DATABASE, specials percent-encoded"


@dataclass(frozen=True, slots=True)
class MysqlAddress:
    """An address as PyMySQL takes it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: bool

    @classmethod
    def parse(cls, url: str, key: str) -> "MysqlAddress":
        """Raises UsageError, which quotes nothing: a piece of it may be of the password."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
            query = parse_qs(parts.query, keep_blank_values=True)
        except ValueError:
            raise UsageError(f"{key}: the value behind it is no address", help=_HELP) from None
        if parts.scheme not in SCHEMES or not parts.hostname or not parts.path.strip("/"):
            problem = "is no mysql:// address with a host and a database"
            raise UsageError(f"{key}: the value behind it {problem}", help=_HELP)
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")),
            tls=query.get("tls", query.get("ssl", ["false"]))[-1].lower() in ("true", "1", ""),
        )


class MysqlSession(_Connection):
    """A connection over a socket of ours, which reads no more than so many bytes."""

    def __init__(
        self, at: MysqlAddress, most_bytes: int, context: ssl.SSLContext | None = None
    ) -> None:
        self._left = most_bytes
        super().__init__(
            host=at.host,
            port=at.port,
            user=at.user,
            password=at.password,
            database=at.database,
            charset="utf8mb4",
            cursorclass=SSCursor,
            read_timeout=int(_SILENT_S),
            write_timeout=int(_SILENT_S),
            connect_timeout=int(_CONNECT_S),
            defer_connect=True,
            local_infile=False,  # a server may ask for any file of ours otherwise
            ssl=context,  # of a mapping it would check nothing
        )

    def _read_bytes(self, num_bytes: int) -> Any:
        self._left -= num_bytes
        if self._left < 0:
            raise RowError("the answer of the store is larger than it may be")
        return super()._read_bytes(num_bytes)  # type: ignore[misc]

    def filled(self, query: str, values: Mapping[str, int | str]) -> str:
        """The query with its placeholders as literals. Raises UsageError."""
        literals = {key: str(self.escape(value)) for key, value in values.items()}
        return fill_text(query, literals)


async def _opened_for(name: str, at: MysqlAddress) -> socket.socket:
    """A socket to the server. Raises StoreReadError or RefusedError."""
    try:
        return await open_socket(at.host, at.port, _CONNECT_S)
    except TimeoutError as error:
        raise StoreReadError(f"{name}: no connection within {_CONNECT_S:g} s") from error
    except OSError as error:
        raise StoreReadError(f"{name}: no connection: {error.strerror or error}") from error


async def in_session(
    url: str,
    key: str,
    work: Callable[[MysqlSession], T],
    within_s: float,
    tls: Tls | None = None,
) -> T:
    """Do `work` with a session, in a thread. Raises StoreReadError, UsageError, or what it raises.

    `key` names the address in an error; `tls` says whom to believe where the address asks for it.
    """
    at = MysqlAddress.parse(url, key)
    context = (tls or Tls()).context() if at.tls else None
    name = key.rpartition(".")[0] or key
    opened = await _opened_for(name, at)
    session = MysqlSession(at, settings.current()["bounds.audit_bytes"], context)
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    thread = threading.Thread(
        target=_work, args=(session, opened, work, done), name="mysql", daemon=True
    )
    thread.start()
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.shield(done)
    except pymysql.err.Error as error:
        raise StoreReadError(f"{name}: {_in_words(error)}") from error
    except TimeoutError as error:
        raise StoreReadError(f"{name}: no whole answer within {within_s:g} s") from error
    except NO_MYSQL as error:
        problem = f"what answers there is no MySQL ({type(error).__name__})"
        raise StoreReadError(f"{name}: {problem}") from error
    finally:
        with suppress(OSError):  # the thread waits for it no more
            opened.shutdown(socket.SHUT_RDWR)
        if not done.done():
            await asyncio.wait({done}, timeout=_END_S)
        if done.done() and not done.cancelled():
            done.exception()  # looked at


def _work(
    session: MysqlSession,
    opened: socket.socket,
    work: Callable[[MysqlSession], T],
    done: "asyncio.Future[T]",
) -> None:
    """In the thread: connect, work, close; tell the loop what came of it."""
    loop = done.get_loop()

    def deliver(set_: Callable[[Any], None], value: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if done.done() else set_(value))

    try:
        session.connect(opened)
        deliver(done.set_result, work(session))
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        deliver(done.set_exception, error)
    finally:
        with suppress(Exception):
            session._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - asks nothing more
        opened.close()


def _in_words(error: pymysql.err.Error) -> str:
    """An error of the server without the client's tuple around it."""
    told = error.args[1] if len(error.args) > 1 else error
    return f"{type(error).__name__}: {told}"


async def read_mysql(
    store: MysqlStore,
    campaign: str,
    environment: Mapping[str, str],
    *,
    counts: bool = False,
    tls: Tls | None = None,
) -> StoreRows:
    """The rows of the store; with `counts` also its stock and what is left, or these alone.

    Raises UsageError, RowError or StoreReadError.
    """
    query = store.rows
    if query is None and not counts:
        raise UsageError("stores.mysql: no `rows`")

    def work(session: MysqlSession) -> StoreRows:
        _must_be_master(session)
        _only_read(session)
        found, values = StoreRows(), {"coupon": campaign}
        with session.cursor() as cursor:
            if query is not None:
                cursor.execute(session.filled(query, values))
                _take(cursor, found.rows)
            for key in ("stock", "remaining") if counts else ():
                asked = getattr(store, key)
                if asked is not None:
                    cursor.execute(session.filled(asked, values))
                    told = cursor.fetchmany(2)
                    setattr(found, key, count_value(key, only_value(key, told)))
        return found

    url = secret(store.url, environment)
    return await in_session(url, "stores.mysql.url", work, STORE_S, tls)


def _must_be_master(session: MysqlSession) -> None:
    """Raise StoreReadError for a replica: what it does not have yet would be missing.

    Who may not ask that is told whether it takes changes, which hardly a replica does.
    """
    for question in ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SELECT @@global.read_only"):
        try:
            with session.cursor() as cursor:
                cursor.execute(question)
                names = [each[0].lower() for each in cursor.description or ()]
                told = cursor.fetchall()
        except (pymysql.err.OperationalError, pymysql.err.ProgrammingError) as error:
            if error.args[0] in _GONE:
                raise
            continue  # another server's words, or no right
        if _is_replica(names, told):
            raise StoreReadError("stores.mysql is a replica, which may lag behind: name its source")
        return


def _is_replica(names: Sequence[str], told: Sequence[Sequence[object]]) -> bool:
    """True if one of its channels is at work, or it takes no changes."""
    if names == ["@@global.read_only"]:
        return str(told[0][0]) != "0"
    at_work = [at for at, name in enumerate(names) if name.endswith(("io_running", "sql_running"))]
    return any(row[at] not in (None, "No") for row in told for at in at_work)


def _only_read(session: MysqlSession) -> None:
    """Begin a transaction that reads one state, each statement within its time."""
    limit = (
        f"SET SESSION max_statement_time = {STATEMENT_TIMEOUT_MS / 1000:g}"
        if "mariadb" in session.get_server_info().lower()  # type: ignore[no-untyped-call]
        else f"SET SESSION max_execution_time = {STATEMENT_TIMEOUT_MS}"
    )
    with session.cursor() as cursor:
        cursor.execute(limit)
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def _take(cursor: SSCursor, rows: Rows) -> None:
    """All rows of an answer, in pieces; the first are few, for they may be large."""
    columns = len(cursor.description or ())
    if columns < 2:
        raise RowError(f"`rows` yields {columns} column: {TWO_COLUMNS}")
    count = FIRST_PIECE
    while told := cursor.fetchmany(count):
        rows.add([user_value(row[0]) for row in told], [id_value(row[1]) for row in told])
        count = PIECE
