"""The ledger: durable writes to PostgreSQL, in batches, each fenced by the epoch it names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

Kind = Literal["record", "direct"]
Verdict = Literal["issued", "duplicate", "sold_out", "fenced"]
ANSWER_S = 3.0

# The server gives up before the client does, so that a lock wait ends in a certain answer.
SERVER_LIMITS = {
    "statement_timeout": "2500",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "5000",
    "application_name": "system_under_test",
}

_CALLS: dict[Kind, str] = {
    "record": "SELECT fenced, recorded FROM record_reserved($1, $2, $3, $4)",
    "direct": "SELECT fenced, recorded, held, coupons_left FROM issue_directly($1, $2, $3, $4)",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """The ledger's verdict on one request; `remaining` only where the ledger counts."""

    verdict: Verdict
    remaining: int | None = None


FENCED, DUPLICATE, SOLD_OUT = Entry("fenced"), Entry("duplicate"), Entry("sold_out", 0)
RECORDED = Entry("issued")


class Gone(Exception):
    """The server ended the session: the fate of what was under way is not known."""


async def connect(dsn: str) -> asyncpg.Connection:
    """One connection, with its statements prepared: a durable write is then one round trip."""
    connection = await asyncpg.connect(dsn, timeout=2.0, server_settings=SERVER_LIMITS)
    try:
        for call in _CALLS.values():
            await connection.fetchrow(call, "", 0, [], [])
    except BaseException:
        connection.terminate()
        raise
    return connection


async def close(connection: asyncpg.Connection) -> None:
    """Drop the connection without waiting for the server."""
    connection.terminate()


def alive(connection: asyncpg.Connection) -> bool:
    """Tell whether the line is still up, as far as this side knows."""
    return not connection.is_closed()


async def write(
    connection: asyncpg.Connection, key: tuple[Kind, str, int], asked: Sequence[tuple[str, int]]
) -> Sequence[Entry]:
    """Write a batch of (id, user) for a campaign and epoch; one entry each, in order."""
    kind, code, epoch = key
    ids, users = [id_ for id_, _ in asked], [user for _, user in asked]
    try:
        row = await connection.fetchrow(_CALLS[kind], code, epoch, ids, users)
    except (asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError) as failure:
        if isinstance(failure, asyncpg.QueryCanceledError):
            raise
        raise Gone(repr(failure)) from failure
    if row is None or row["fenced"]:
        return [FENCED] * len(asked)
    recorded = set(row["recorded"])
    if kind == "record":
        return [RECORDED if id_ in recorded else DUPLICATE for id_ in ids]
    return _count_down(asked, recorded, set(row["held"]), row["coupons_left"])


def _count_down(
    asked: Sequence[tuple[str, int]], recorded: set[str], held: set[str], left: int
) -> list[Entry]:
    """Entries of a direct batch; a user who asked twice in it got one and is told so."""
    served = {user for id_, user in asked if id_ in recorded}
    remaining = left + len(recorded)
    entries = []
    for id_, user in asked:
        if id_ in recorded:
            remaining -= 1
            entries.append(Entry("issued", remaining))
        else:
            entries.append(DUPLICATE if id_ in held or user in served else SOLD_OUT)
    return entries
