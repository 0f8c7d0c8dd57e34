"""An index of a PostgreSQL, dropped and made again as it was by its own definition.

Only one that keeps no promise of its table: without a constraint's index wrong rows could be
written. A definition comes from a journal that anybody may have edited, so it must be one.
"""

import re

import asyncpg

from gameday.injection.drivers.store_sessions import StoreError
from gameday.spec.undos import IndexUndo

_DEFINITION = re.compile(r"CREATE (?:UNIQUE )?INDEX (?=[^;]+ ON [^;]+\Z)")
_IS_INDEX = """
SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)), false)
"""
_INDEX = """
SELECT pg_get_indexdef(i.indexrelid) AS definition, i.indisprimary, i.indisvalid,
    (SELECT conname FROM pg_constraint WHERE conindid = i.indexrelid LIMIT 1) AS constrains,
    n.nspname || '.' || c.relname AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indexrelid = to_regclass($1)
"""


def quoted(name: str) -> str:
    """A name, with or without its schema, that is certainly only a name."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


async def is_there(session: asyncpg.Connection, name: str) -> bool:
    """True if the index is there, and valid."""
    return bool(await session.fetchval(_IS_INDEX, quoted(name)))


async def look_at(session: asyncpg.Connection, name: str) -> tuple[str, str]:
    """Its name and its definition. Raises StoreError for one that keeps a promise of its table."""
    found = await session.fetchrow(_INDEX, quoted(name))
    if found is None:
        raise StoreError(f"postgres: there is no index {name!r}")
    constrains = "the primary key" if found["indisprimary"] else found["constrains"]
    if constrains:
        raise StoreError(
            f"postgres: index {name!r} keeps a constraint: {constrains}",
            help="without it wrong rows could be written, and then it could not be made again",
        )
    if not found["indisvalid"] or not _DEFINITION.match(found["definition"]):
        raise StoreError(f"postgres: index {name!r} could not be made again as it is")
    return found["name"], found["definition"]


def how(record: IndexUndo) -> str:
    """The word that lets others write meanwhile, where it was asked for."""
    return "CONCURRENTLY" if record.concurrently else ""


async def make_again(session: asyncpg.Connection, record: IndexUndo) -> None:
    """Make the index again as it was, unless it is there; one that was not finished goes first."""
    name = quoted(record.index)
    if await is_there(session, record.index):
        return
    words = _DEFINITION.match(record.definition)
    if words is None:
        raise StoreError(f"postgres: not the definition of an index: {record.definition!r}")
    await session.execute("SET statement_timeout = 0")  # a large table takes its time
    await session.execute(f"DROP INDEX {how(record)} IF EXISTS {name}")
    await session.execute(f"{words[0]}{how(record)} {record.definition[words.end() :]}")
