"""The names of a drill: what it showed as `f1` and `s1`, and what the file calls it.

While a drill is under way nothing bears the file's own names; `drill.planned` keeps them. After the
debrief they are put back in reading, so that a drill is judged and reported as any run is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gameday.evidence.events import DrillPlanned, FaultEvent
from gameday.evidence.journal import Record, first


def names_of(records: Sequence[Record]) -> Mapping[str, str]:
    """The file's own names by those that were shown; none of a run, or before the debrief."""
    planned = first(records, DrillPlanned)
    return {} if planned is None else planned.event.names


def with_own_names(records: Sequence[Record], names: Mapping[str, str]) -> Sequence[Record]:
    """The records with the faults under the names of the file."""
    return [_with_own_name(each, names) for each in records] if names else records


def _with_own_name(record: Record, names: Mapping[str, str]) -> Record:
    event: Any = record.event
    if isinstance(event, FaultEvent) and event.id in names:
        return replace(record, event=replace(event, id=names[event.id]))
    return record
