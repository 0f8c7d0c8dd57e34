"""The base of events: what every event is, and how a class becomes one."""

from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass
from functools import cache
from typing import TypeVar, dataclass_transform

from gameday.core.json_objects import Json
from gameday.evidence.event_fields import Described, described


class Event:
    """Something that happened, or is about to; `kind` is its name in the file."""

    __slots__ = ()
    kind: str

    def nulls(self) -> Collection[str]:
        """The fields that are written although they are None."""
        return ()

    def as_json(self) -> Json:
        """The fields as they stand in the file."""
        nulls = self.nulls()
        values = ((each, getattr(self, each.name)) for each in fields_of(self.kind))
        return {
            each.name: None if value is None else each.form.write(value)
            for each, value in values
            if value is not None or each.default is MISSING or each.name in nulls
        }


EVENTS: dict[str, type[Event]] = {}
E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True)
def event(kind: str) -> Callable[[type[E]], type[E]]:
    """Make a class the event of that kind."""

    def make(cls: type[E]) -> type[E]:
        made = dataclass(frozen=True, slots=True)(cls)
        made.kind = kind
        EVENTS[kind] = made
        return made

    return make


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """An event of another version, or of nobody's; or one as an older version wrote it."""

    kind: str
    data: Json

    def as_json(self) -> Json:
        return dict(self.data)


@cache
def fields_of(kind: str) -> tuple[Described, ...]:
    """The fields of an event, in the order of the file; none of one that is not known."""
    declared = getattr(EVENTS.get(kind), "__dataclass_fields__", {})
    return tuple(map(described, declared.values()))
