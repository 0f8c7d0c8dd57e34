"""What is done before each run, so that it finds the system as new: requests, SQL, commands.

In their order, each within its time; the first that fails ends the run, before there was traffic.
All of them are journaled before they are done, and `gameday plan` prints them.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

from gameday.core.errors import GamedayError, StackError, UsageError
from gameday.core.processes.command import run_command
from gameday.evidence.events import Phase
from gameday.injection.drivers.postgres_session import connect
from gameday.injection.drivers.request import Sender, secret
from gameday.plan.acts import act_in_words
from gameday.plan.audit_answer import command_line
from gameday.plan.stores import StoreReadError
from gameday.plan.stores.postgres import WRONG, unusable
from gameday.spec.campaign import Act, CommandAct, SqlAct
from gameday.spec.system import System
from gameday.spec.template import Values, fill_text

MOST_PRINTED: Final = 8 * 1024 * 1024
_CONNECT_S: Final = 5.0


async def before_run(system: System, sender: Sender, write: Callable[[Phase], object]) -> None:
    """Do all of it; `write` is told of each before it is done. Raises StackError, UsageError."""
    for number, act in enumerate(system.before_run):
        write(Phase(phase="before_run", act=act_in_words(act)))
        try:
            await _do(act, system, sender)
        except UsageError:
            raise
        except (GamedayError, OSError, TimeoutError, ValueError) as error:
            told = str(error) or type(error).__name__
            raise StackError(f"before_run.{number}: {sender.hide(told)}") from error


async def _do(act: Act, system: System, sender: Sender) -> None:
    if isinstance(act, SqlAct):
        await _statements(act, system, sender)
    elif isinstance(act, CommandAct):
        line = command_line(act, sender, MOST_PRINTED)
        (await run_command(line)).must_be_well(line, sender.hide)
    else:
        await sender.send(act)


async def _statements(act: SqlAct, system: System, sender: Sender) -> None:
    within_s = act.timeout.total_seconds()
    if act.store == "mysql":
        store = system.stores.mysql
        reference = act.url or (None if store is None else store.url)
        if reference is None:
            raise _no_store(act)
        url = secret(reference, sender.environment)

        from gameday.plan.stores.mysql import (  # only for those who have one
            MysqlSession,
            in_session,
        )

        def work(session: MysqlSession) -> None:
            with session.cursor() as cursor:
                for each in act.statements:
                    cursor.execute(session.filled(each, sender.values))
                    cursor.fetchall()
            session.commit()

        await in_session(url, "stores.mysql.url", work, within_s, sender.tls)
        return
    postgres = system.stores.postgres
    reference = act.url or (None if postgres is None else postgres.dsn)
    if reference is None:
        raise _no_store(act)
    await _in_postgres(secret(reference, sender.environment), act, sender.values, within_s)


async def _in_postgres(dsn: str, act: SqlAct, values: Values, within_s: float) -> None:
    literals = {name: quoted_literal(value) for name, value in values.items()}
    session = {"standard_conforming_strings": "on"}  # a backslash is a letter in our literals
    try:
        connection = await connect(dsn, timeout=_CONNECT_S, server_settings=session)
    except (ValueError, TypeError, asyncpg.InterfaceError) as error:
        raise unusable("stores.postgres.dsn", error) from error
    except asyncpg.PostgresError as error:
        raise StoreReadError(f"stores.postgres: {type(error).__name__}: {error}") from error
    try:
        async with asyncio.timeout(within_s), connection.transaction():
            for each in act.statements:
                await connection.execute(fill_text(each, literals))
    except TimeoutError as error:
        raise StoreReadError(f"stores.postgres: not done within {within_s:g} s") from error
    except WRONG as error:
        raise StoreReadError(f"stores.postgres: {type(error).__name__}: {error}") from error
    finally:
        await connection.close(timeout=2)


def quoted_literal(value: int | str) -> str:
    """A value as a literal of PostgreSQL. Raises ValueError for a text that it cannot have."""
    if isinstance(value, int):
        return str(value)
    if "\0" in value:
        raise ValueError("a text of PostgreSQL has no NUL")
    return "'" + value.replace("'", "''") + "'"


def _no_store(act: SqlAct) -> UsageError:
    return UsageError(
        f"before_run: the system names no `stores.{act.store}`", help="add it, or name a `url`"
    )
