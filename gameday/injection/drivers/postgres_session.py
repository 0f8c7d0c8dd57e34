"""A session with a PostgreSQL, at the place that its address names and nowhere else.

asyncpg takes what an address leaves open from the environment and from the user's files (PGHOST,
PGPORT, service files, the sockets of a PostgreSQL that happens to run here). A fault must not end
up there, so an address names its host, and what is not written is the default.
"""

from typing import Any

import asyncpg

from gameday.core.errors import UsageError
from gameday.core.network.urls import store_ends

PORT = 5432


async def connect(dsn: str, **how: Any) -> asyncpg.Connection:
    """A session; `how` is asyncpg's. Raises UsageError for an address that names no place.

    Raises RefusedError for one that may not be used.
    """
    try:
        ends = store_ends(dsn)
    except ValueError:
        raise _unusable() from None
    if not ends:
        raise _unusable()
    if any("@" in host for host, _ in ends):  # what is behind the first one was of the password
        raise _unusable("has an @ in its password: write it as %40")
    hosts, ports = [host for host, _ in ends], [port or PORT for _, port in ends]
    try:
        return await asyncpg.connect(dsn, host=hosts, port=ports, **how)
    except (ValueError, TypeError, asyncpg.ClientConfigurationError):  # quotes what it cannot read
        raise _unusable("cannot be used") from None


def _unusable(why: str = "names no host") -> UsageError:
    """An error that does not quote the address: a piece of it may be of the password."""
    help = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    return UsageError(f"the address of the PostgreSQL {why}", help=help)
