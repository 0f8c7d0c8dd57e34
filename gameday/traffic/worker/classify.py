"""Classification of answers: the outcomes of the system file, first match wins.

An answer that no outcome describes is unknown, never a refusal: a 500 may come after the coupon
was written.
"""

from collections.abc import Iterable, Mapping
from json import JSONDecoder
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic_core import from_json

from gameday.spec.request import Capture, IssueRequest, Match, Poll, path_of
from gameday.traffic.history import ID_BYTES, Outcome, Reason, stored_id

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
MISSING = object()
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
Headers = Mapping[str, str]
_NO_HEADERS: Headers = MappingProxyType({})
LOOKED_AT = 64 * 1024  # bytes of an answer that is read as text


class Answers:
    """Reads answers by outcomes, and what is captured: of the issue request, or of its poll."""

    def __init__(self, request: IssueRequest | Poll) -> None:
        outcomes: Mapping[Any, Match] = (
            request.outcomes if isinstance(request, IssueRequest) else request.until
        )
        capture: Mapping[Any, Capture] = request.capture
        self._issue_id = _path(capture.get("issue_id"))
        self._remaining = _path(capture.get("remaining"))
        self._captures = self._issue_id is not None or self._remaining is not None
        self._rules: dict[int, list[tuple[Outcome, Wanted, Match | None]]] = {}
        for name, match in outcomes.items():
            wanted = tuple((path_of(path), value) for path, value in match.json_.items())
            others = match if match.text or match.headers else None
            for status in match.statuses:
                rule = Outcome[name.upper()], wanted, others
                self._rules.setdefault(status, []).append(rule)

    def read(self, status: int, body: bytes | bytearray, headers: Headers = _NO_HEADERS) -> Reading:
        """The outcome that an answer means; the names of `headers` are in small letters."""
        if status not in self._rules:
            return _UNMATCHED
        parsed = MISSING
        for outcome, wanted, others in self._rules[status]:
            if others is not None and not _fits(others, body, headers):
                continue
            if parsed is MISSING and (wanted or self._captures):
                parsed = parsed_body(body)
            if not wanted or _holds(wanted, parsed):
                if parsed is MISSING or not self._captures:
                    return _PLAIN[outcome]
                id_at, left_at = self._issue_id, self._remaining
                issue_id = b"" if id_at is None else _identity(value_at(parsed, id_at))
                remaining = -1 if left_at is None else _number(value_at(parsed, left_at))
                return _reading(Reading, (outcome, _NO_REASON, issue_id, remaining))
        return _UNMATCHED


def _path(source: Capture | None) -> tuple[str, ...] | None:
    return path_of(source) if isinstance(source, str) else None


def _fits(match: Match, body: bytes | bytearray, headers: Headers) -> bool:
    """True if text and headers of an answer are as they should be."""
    for name, wanted in match.headers.items():
        value = headers.get(name.lower())
        if value is None:
            return False
        if not (value == wanted if isinstance(wanted, str) else wanted.fits(value)):
            return False
    return match.text is None or match.text.fits(body[:LOOKED_AT].decode(errors="replace"))


def parsed_body(body: bytes | bytearray) -> object:
    """The JSON of an answer, MISSING for what is none."""
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
        return MISSING
    return parsed if end == len(text) else MISSING


def value_at(value: object, path: tuple[str, ...]) -> object:
    """The value at a dotted path; a number steps into a list."""
    if len(path) == 1 and type(value) is dict:
        return value.get(path[0], MISSING)
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and step.isdecimal() and len(step) <= _LONGEST_INDEX:
            index = int(step)
            value = value[index] if index < len(value) else MISSING
        else:
            return MISSING
    return value


def _holds(wanted: Iterable[tuple[tuple[str, ...], Any]], parsed: object) -> bool:
    return all(_same(value_at(parsed, path), value) for path, value in wanted)


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
