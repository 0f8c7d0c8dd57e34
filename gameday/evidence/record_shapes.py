"""What the records of a journal are made of, as far as anybody relies on it: looked at in reading.

A journal is a file that anybody may have written. A record that is not made as gameday makes it is
none: whoever reads records may count on these fields, and on their kinds where they are there.
"""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_MOST_NS = 2**63


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and -_MOST_NS < value < _MOST_NS


def _number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and -_MOST_NS < value < _MOST_NS)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _perhaps(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _object(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _undo(value: Any) -> bool:
    """One way to take something back, or none; its kind's own file knows the rest."""
    return value is None or (isinstance(value, dict) and isinstance(value.get("kind"), str))


def _undos(value: Any) -> bool:
    return isinstance(value, list) and all(each is not None and _undo(each) for each in value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _answer(value: Any) -> bool:
    return value in ("yes", "no", "unknown")


_NEEDED: Mapping[str, Mapping[str, Check]] = {
    "fault.injecting": {"id": _text, "undo": _undos},
    "fault.escalated": {"id": _text, "undo": _undos},
    "fault.injected": {"id": _text},
    "fault.removing": {"id": _text},
    "fault.removed": {"id": _text},
    "fault.probed": {"id": _text},
    "fault.dosed": {"id": _text, "injected": _answer},
    "fault.proven": {"id": _text, "removed": _answer},
    "step.started": {"step": _whole},
    "step.done": {"step": _whole, "status": _text},
    "stack.starting": {"name": _text, "undo": _undos},
    "run.ended": {"ended": _text},
}
# Where these are there, they are of this kind.
_OPTIONAL: Mapping[str, Mapping[str, Check]] = {
    "fault.injecting": {"fault": _text, "target": _text},
    "fault.removed": {"gone": _perhaps},
    "fault.dosed": {"dose": _object},
    "step.started": {"undo": _undo, "undoing": _truth},
    "step.done": {"undoing": _truth, "took_s": _number, "verified": _perhaps},
    "run.started": {
        "run": _text,
        "wall_ns": _whole,
        "controller": _object,
        "seed": _whole,
        "allowed": _texts,
    },
    "run.ended": {"evidence": _object},
    "phase": {"phase": _text, "t0_ns": _whole},
    "stack.ready": {"addresses": _object},
}


def must_fit(event: Any, data: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for a record whose data is not what its event's is."""
    if not isinstance(event, str):
        raise TypeError(f"the event {event!r} is no text")
    for name, check in _NEEDED.get(event, {}).items():
        if not check(data.get(name)):
            raise ValueError(f"{event}: {name!r} is not what it should be")
    for name, check in _OPTIONAL.get(event, {}).items():
        if name in data and not check(data[name]):
            raise ValueError(f"{event}: {name!r} is not what it should be")


def must_be_whole(*values: Any) -> None:
    """Raise ValueError for what is not an integer that a number of 64 bits can hold."""
    for value in values:
        if not _whole(value):
            raise ValueError(f"{value!r} is no number of a record")
