"""Stand-still of the books, where a system does not say when it has drained.

A request that got no answer may still be at work, and what it issues after the audit is in no
count. So the audit is read until its rows have stood still for as long as such a request had to
answer; a request that has been silent for longer than that bound is taken for dead.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import numpy as np

from gameday.core.clock import NS, Clock
from gameday.run.audit_file import AuditReading
from gameday.spec.system import System
from gameday.traffic import history
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.listed_ids import ListedIds
from gameday.traffic.user_ids import NUMBERS, UserIds

LONGEST_S: Final = 30.0  # a request without an answer is at work no longer; rows are awaited so far
_NEVER_THERE: Final = (Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED)
_GATEWAY: Final = (502, 504)  # it answers for a service that may go on


def hold_s(system: System) -> float:
    """The time that rows must stand still."""
    return min(system.requests.issue.timeout.total_seconds(), LONGEST_S)


def left_open(folder: Path, now_ns: int) -> int:
    """The number of requests that may still be at work. Raises OSError or ValueError."""
    return sum(_open_in(each, now_ns) for each in folder.glob("*.bin"))


def _open_in(path: Path, now_ns: int) -> int:
    records = history.read(path).records
    unknown = (records["outcome"] == Outcome.UNKNOWN) & (records["sent_ns"] > 0)
    unknown &= ~np.isin(records["reason"], _NEVER_THERE)
    told = (records["reason"] == Reason.UNMATCHED) & ~np.isin(records["status"], _GATEWAY)
    silent = (unknown & ~told) | (records["attempts"] > 1)  # asked again: the first may go on
    silent |= records["outcome"] == Outcome.ACCEPTED  # a queue may still write its row
    ended = np.where(records["ended_ns"] > 0, records["ended_ns"], now_ns)
    return int((silent & (ended > now_ns - int(LONGEST_S * NS))).sum())


async def stood_still(
    found: AuditReading,
    read: Callable[[], Awaitable[AuditReading]],
    rest: Callable[[float], Awaitable[bool]],
    clock: Clock,
    *,
    ids: UserIds | ListedIds,
    still_s: float,
) -> tuple[AuditReading, str]:
    """The last reading, and why it is not settled, "" where its rows stood still.

    `rest` waits, and tells whether nobody has the time any more.
    """
    until_ns = clock.now_ns() + int((LONGEST_S + still_s) * NS)
    # Rows of users from a file are numbers of its rows already.
    index = NUMBERS.read if isinstance(ids, ListedIds) else ids.read
    while not found.problem:
        if await rest(still_s):
            return found, "the run was aborted before the rows had stood still"
        before, found = found, await read()
        if not found.problem and before.rows.same(found.rows, index):
            return found, ""
        if clock.now_ns() >= until_ns:
            return found, f"the rows still changed {LONGEST_S:g} s later"
    return found, ""  # its problem says more
