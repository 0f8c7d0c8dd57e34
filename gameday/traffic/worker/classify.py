"""Classification of answers: the outcomes of the system file, first match wins.

An answer that no outcome describes is unknown, never a refusal: a 500 may come after the coupon
was written.
"""

from collections.abc import Iterable
from json import JSONDecoder
from typing import Any, NamedTuple

from pydantic_core import from_json

from gameday.spec.request import IssueRequest
from gameday.traffic.history import ID_BYTES, Outcome, Reason, stored_id

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
_MISSING = object()
_decode = JSONDecoder().raw_decode
_BLANK = " \t\n\r"
_LONGEST_INDEX = 9  # digits; an answer has no list of more, and Python reads no more than 4,300


class Reading(NamedTuple):
    """The meaning of one answer; a tuple, since one is made for every answer."""

    outcome: Outcome
    reason: Reason
    issue_id: bytes = b""
    remaining: int = -1


# A quarter of the time that `Reading(…)` takes; and a member of an enum takes long to find.
_reading = tuple.__new__
_NO_REASON = Reason.NONE
_UNMATCHED = Reading(Outcome.UNKNOWN, Reason.UNMATCHED)
_PLAIN = {outcome: Reading(outcome, Reason.NONE) for outcome in Outcome}


Wanted = tuple[tuple[tuple[str, ...], Any], ...]


class Answers:
    """Reads answers by the `outcomes` and `capture` of the issue request."""

    def __init__(self, request: IssueRequest) -> None:
        self._issue_id = _path(request.capture.get("issue_id"))
        self._remaining = _path(request.capture.get("remaining"))
        self._captures = bool(self._issue_id or self._remaining)
        self._rules: dict[int, list[tuple[Outcome, Wanted]]] = {}
        for name, match in request.outcomes.items():
            wanted = tuple((tuple(path.split(".")), value) for path, value in match.json_.items())
            statuses = [match.status] if isinstance(match.status, int) else match.status
            for status in statuses:
                self._rules.setdefault(status, []).append((Outcome[name.upper()], wanted))

    def read(self, status: int, body: bytes | bytearray) -> Reading:
        """The outcome that `status` and `body` mean."""
        if status not in self._rules:
            return _UNMATCHED
        parsed = _MISSING
        for outcome, wanted in self._rules[status]:
            if parsed is _MISSING and (wanted or self._captures):
                parsed = _parse(body)
            if not wanted or _holds(wanted, parsed):
                if parsed is _MISSING or not self._captures:
                    return _PLAIN[outcome]
                issue_id = _identity(_at(parsed, self._issue_id)) if self._issue_id else b""
                remaining = _number(_at(parsed, self._remaining)) if self._remaining else -1
                return _reading(Reading, (outcome, _NO_REASON, issue_id, remaining))
        return _UNMATCHED


def _path(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split("."))


def _parse(body: bytes | bytearray) -> object:
    try:
        return from_json(body)
    except ValueError:
        return _parse_slowly(body)


def _parse_slowly(body: bytes | bytearray) -> object:
    """Parse what only Python's own parser takes: half a surrogate pair, very deep lists."""
    try:
        text = body.decode().strip(_BLANK)
        parsed, end = _decode(text)
    except (ValueError, RecursionError):
        return _MISSING
    return parsed if end == len(text) else _MISSING


def _at(value: object, path: tuple[str, ...]) -> object:
    """The value at a dotted path; a number steps into a list."""
    if len(path) == 1 and type(value) is dict:
        return value.get(path[0], _MISSING)
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, _MISSING)
        elif isinstance(value, list) and step.isdecimal() and len(step) <= _LONGEST_INDEX:
            index = int(step)
            value = value[index] if index < len(value) else _MISSING
        else:
            return _MISSING
    return value


def _holds(wanted: Iterable[tuple[tuple[str, ...], Any]], parsed: object) -> bool:
    return all(_same(_at(parsed, path), value) for path, value in wanted)


def _same(left: object, right: object) -> bool:
    """JSON equality: true is not 1, but 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def _identity(value: object) -> bytes:
    if isinstance(value, str):
        text = value
        if text.isascii() and len(text) <= ID_BYTES:
            return text.encode()
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        return b""
    return stored_id(text.encode(errors="replace").decode())


def _number(value: object) -> int:
    if type(value) is int and _SMALLEST <= value <= _LARGEST:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        return -1
    return value if _SMALLEST <= value <= _LARGEST else (_LARGEST if value > 0 else _SMALLEST)
