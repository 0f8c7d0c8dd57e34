"""Answers to the requests beside the issue: what is captured of them, and whether they will do."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from gameday.spec.request import (
    ISSUE_CAPTURES,
    BeforeStep,
    Capture,
    CaptureFrom,
    IssueRequest,
    group_pattern,
    path_of,
    statuses_of,
)
from gameday.spec.users import Cell
from gameday.traffic.escapes import Captured, UnfitError, in_text
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.worker.classify import (
    LOOKED_AT,
    MISSING,
    Answers,
    Headers,
    parsed_body,
    value_at,
)

NOTHING: Final[Captured] = MappingProxyType({})
MOST_KEYS: Final = 12  # of an answer, as they are told of where a capture found nothing
_KEY: Final = re.compile(r"[A-Za-z_-]{1,24}[0-9]?")  # what is no token


class StepReading(NamedTuple):
    """The meaning of one answer, with what was captured of it; begins as a `Reading` does."""

    outcome: Outcome
    reason: Reason
    issue_id: bytes = b""
    remaining: int = -1
    captured: Captured = NOTHING
    cookies: str = ""
    said: bytes = b""
    why: str = ""


class Captures:
    """Takes values out of answers. Each is bounded, and a text, a number, true or false."""

    def __init__(self, sources: Mapping[str, Capture]) -> None:
        self._paths = {
            name: path_of(source) for name, source in sources.items() if isinstance(source, str)
        }
        self._places = {
            name: source for name, source in sources.items() if isinstance(source, CaptureFrom)
        }

    def of(self, body: bytes | bytearray, headers: Headers) -> dict[str, Cell]:
        """All values. Raises UnfitError for one that is not there, or can be no value."""
        if not self._paths and not self._places:
            return {}
        parsed = parsed_body(body) if self._paths else MISSING
        found = {name: value_at(parsed, path) for name, path in self._paths.items()}
        for name, place in self._places.items():
            found[name] = _value_in(place, body, headers)
        return {name: _cell(name, value) for name, value in found.items()}


def _cell(name: str, value: object) -> Cell:
    """A value that can be captured. Raises UnfitError."""
    if value is MISSING or value is None:
        raise UnfitError(f"{name!r} is not in the answer")
    try:
        in_text(value)
    except UnfitError as error:
        raise UnfitError(f"{name!r}: {error}") from None
    assert isinstance(value, str | int | float)
    return value


def _value_in(place: CaptureFrom, body: bytes | bytearray, headers: Headers) -> object:
    if place.header is not None:
        return headers.get(place.header.lower())
    text = body[:LOOKED_AT].decode(errors="replace")
    return group_pattern(place.matches or "").first_group(text)


def whole(body: bytes | bytearray) -> bytes:
    """An answer that complains. It is masked before it is cut, so it is told as a whole or not."""
    return bytes(body) if len(body) <= LOOKED_AT else f"({len(body)} bytes)".encode()


def _shape(body: bytes | bytearray) -> bytes:
    """The keys of an answer that may hold new secrets, a token of this user: never its values."""
    parsed = parsed_body(body)
    if isinstance(parsed, dict):
        keys = [key for key, _ in zip(_keys(parsed.items()), range(MOST_KEYS + 1), strict=False)]
        more = ", ..." if len(keys) > MOST_KEYS else ""
        return f"(JSON with {', '.join(keys[:MOST_KEYS])}{more})".encode() if keys else b"({})"
    kind = "no JSON" if parsed is MISSING else "JSON that is no object"
    return f"({kind}, {len(body)} bytes)".encode()


def _keys(items: Iterable[tuple[str, object]]) -> Iterator[str]:
    """The keys of an object as paths, and those of the objects in it; none that may be a value."""
    for key, value in items:
        told = key if _KEY.fullmatch(key) else "?"
        inner = value if isinstance(value, dict) else {}
        yield from (f"{told}.{each if _KEY.fullmatch(each) else '?'}" for each in inner)
        if not inner:
            yield told


class StepAnswers:
    """Reads the answers to a step before the issue: done, or not."""

    def __init__(self, step: BeforeStep) -> None:
        wanted = step.expect.status
        self._expected = statuses_of("2xx" if wanted is None else wanted)
        self._captures = Captures(step.capture)

    def read(self, status: int, body: bytes | bytearray, headers: Headers) -> StepReading:
        cookies = headers.get("set-cookie", "")
        if status not in self._expected:
            outcome = Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN
            said = whole(body) if status >= 400 else _shape(body)
            return StepReading(outcome, Reason.UNMATCHED, cookies=cookies, said=said)
        try:
            captured = self._captures.of(body, headers)
        except UnfitError as error:
            return StepReading(
                *(Outcome.UNKNOWN, Reason.CAPTURE),
                cookies=cookies,
                said=_shape(body),
                why=str(error),
            )
        return StepReading(Outcome.ACCEPTED, Reason.NONE, captured=captured, cookies=cookies)


class IssueAnswers:
    """Reads the answers to the issue, and captures what the question after it needs."""

    def __init__(self, issue: IssueRequest) -> None:
        self._answers = Answers(issue)
        sources = {k: v for k, v in issue.capture.items() if k not in ISSUE_CAPTURES}
        self._captures = Captures(sources)

    def read(self, status: int, body: bytes | bytearray, headers: Headers) -> StepReading:
        reading = self._answers.read(status, body, headers)
        captured: Captured = NOTHING
        why = ""
        if reading.outcome is Outcome.ACCEPTED:
            try:
                captured = self._captures.of(body, headers)
            except UnfitError as error:
                why = str(error)
        cookies = headers.get("set-cookie", "")
        return StepReading(*reading, captured=captured, cookies=cookies, why=why)


class PollAnswers:
    """Reads what became of an accepted issue; `unknown` is not decided yet."""

    def __init__(self, issue: IssueRequest) -> None:
        assert issue.poll is not None
        self._answers = Answers(issue.poll)

    def read(self, status: int, body: bytes | bytearray, headers: Headers) -> StepReading:
        reading = self._answers.read(status, body, headers)
        return StepReading(*reading, cookies=headers.get("set-cookie", ""))
