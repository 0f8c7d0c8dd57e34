"""Events as another version, or somebody else, may have written them."""

from typing import Any

from gameday.evidence.events import UnknownEvent


def event_of(kind: str, /, **data: Any) -> UnknownEvent:
    """An event with these fields and no others, whatever its kind has in this version."""
    return UnknownEvent(kind, data)
