"""The catalogue of faults: every class, its name, an example of it, and what it needs.

What a fault needs is asked of the changes that it makes, as `gameday plan` asks.
"""

from typing import Any, Final, get_args

from pydantic import TypeAdapter

from gameday.spec.changes import Change
from gameday.spec.faults import AnyFault, Fault

CLASSES: Final[tuple[type[Fault], ...]] = get_args(get_args(AnyFault)[0])
SHARED: Final = ("fault", "id", "at", "duration")
"""The keys that every fault has."""
_ADAPTER: Final[TypeAdapter[Fault]] = TypeAdapter(AnyFault)
_TIMES: Final = {"at": "15s", "duration": "20s"}


def name_of(fault: type[Fault]) -> str:
    """The name by which files call it: `network.latency`."""
    name: str = get_args(fault.model_fields["fault"].annotation)[0]
    return name


def plain_example(fault: type[Fault]) -> Any:
    """A line of a method that has this fault: its required keys, with the schema's own examples."""
    schema = fault.model_json_schema(by_alias=True)
    needed = [key for key in schema["required"] if key not in SHARED]
    given = {key: schema["properties"][key]["examples"][0] for key in needed}
    return {"fault": name_of(fault), **given, **_TIMES}


def changes(line: Any) -> list[Change]:
    """The changes that a line of a method makes."""
    return _ADAPTER.validate_python(line).changes()
