"""The rows of a store, read directly: past the system, past its proxies, and without a change.

    postgres    a query in a read-only transaction, its rows in pieces
    mysql       the same for MySQL and MariaDB
    redis       sets, sorted sets, hashes, and one key a user, all by scans

What is too much, too slow, or not what it should be is an error: it is never half an answer.
"""

from dataclasses import dataclass, field
from typing import Final

from gameday.core.errors import UnknownError
from gameday.evidence.rows import Rows

STATEMENT_TIMEOUT_MS: Final = 10_000
STORE_S: Final = 60.0  # all statements of one reading
PIECE: Final = 2_000  # rows, or holders in Redis
TWO_COLUMNS: Final = "write user and issue id, NULL where there is none"
FIRST_PIECE: Final = 50  # of rows that may be large


class StoreReadError(UnknownError):
    """A store does not answer, refuses what is asked of it, or answers something else."""


@dataclass(slots=True)
class StoreRows:
    """One reading of a store: rows, how many there are in all, and how many are left.

    None is what the system file does not ask for.
    """

    rows: Rows = field(default_factory=Rows)
    stock: int | None = None
    remaining: int | None = None
