"""One reading of a store that stands beside the audit, and what its errors mean."""

from gameday.core.errors import GamedayError
from gameday.evidence.rows import RowError
from gameday.injection.drivers.request import Sender
from gameday.plan.audit_answer import read_store
from gameday.plan.stores import StoreReadError, StoreRows
from gameday.spec.audit import StoreName
from gameday.spec.audit_sources import has_rows
from gameday.spec.system import System


async def read_beside(system: System, name: StoreName, sender: Sender) -> tuple[StoreRows, str]:
    """One reading of a store, and why its counts cannot be read. Raises GamedayError.

    A count that is none takes nothing from the rows.
    """
    try:
        return await read_store(system, name, sender, counts=True), ""
    except (StoreReadError, RowError) as error:
        if name == "redis" or not has_rows(system, name):
            raise
        problem = str(error)
    return await read_store(system, name, sender), problem


def is_about_value(error: GamedayError) -> bool:
    """True if a store refused the campaign's code as a value, and not what it was asked.

    Before there is a campaign whose id the system makes up, its code is a word of ours.
    """
    cause = error.__cause__
    state = str(getattr(cause, "sqlstate", None) or "")
    refused = isinstance(cause, ValueError) or type(cause).__name__ == "DataError"
    return refused or state.startswith("22")
