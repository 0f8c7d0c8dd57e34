"""Parameters of a request, read as Prometheus reads them, and the errors that it answers with.

A form in the body comes before what stands in the address. Times are seconds since 1970 or
RFC 3339, durations seconds or `1m30s`; inside they are whole milliseconds, as samples are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import parse_qsl

from gameday.core.clock import NS, Clock
from gameday.core.errors import excerpt
from gameday.telemetry.alerts.rules import parse_prometheus_duration
from gameday.telemetry.promql import PromqlError, parse_selector
from gameday.telemetry.promql.nodes import Selector

MOST_FIELDS: Final = 200
MOST_MATCHERS: Final = 50
EARLIEST_MS, LATEST_MS = -(2**53), 2**53  # 285,000 years; a float still tells milliseconds apart
_MS: Final = 1_000_000
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[-+]\d\d:\d\d)", re.ASCII
)
# What clients of Go send for "since ever" and "for ever".
_ENDS: Final = {
    "-292273086-05-16T16:47:06Z": EARLIEST_MS,
    "292277025-08-18T07:12:54.999999999Z": LATEST_MS,
}
ErrorType = Literal["bad_data", "execution", "timeout", "unavailable", "not_found", "internal"]
STATUS: Final[Mapping[ErrorType, int]] = {
    "bad_data": 400,
    "execution": 422,
    "timeout": 503,
    "unavailable": 503,
    "not_found": 404,
    "internal": 500,
}


class QueryApiError(Exception):
    """A request that is answered with an error of this type; `status` where another one fits."""

    def __init__(self, type_: ErrorType, problem: str, status: int = 0) -> None:
        super().__init__(problem)
        self.type = type_
        self.problem = problem
        self.status = status or STATUS[type_]


class AnswerDeadline:
    """The instant by which an answer must be there."""

    def __init__(self, clock: Clock, within_s: float) -> None:
        self._clock = clock
        self._until_ns = clock.now_ns() + int(within_s * NS)

    def check(self, where: str = "expression evaluation") -> None:
        """Raise QueryApiError when it has passed."""
        if self._clock.now_ns() > self._until_ns:
            raise QueryApiError("timeout", f"query timed out in {where}")


@dataclass(frozen=True, slots=True)
class RequestForm:
    """The fields of a request; one may be there several times."""

    fields: Mapping[str, Sequence[str]]

    def text(self, name: str) -> str:
        """The first value of a field, "" where there is none."""
        return next(iter(self.fields.get(name, ())), "")

    def time_ms(self, name: str, default_ms: int | None = None) -> int:
        """A time, or the default where none is given. Raises QueryApiError."""
        text = self.text(name)
        if not text and default_ms is not None:
            return default_ms
        try:
            return parse_time_ms(text)
        except ValueError as error:
            said = f"invalid time value for '{name}': " if default_ms is not None else ""
            raise _invalid(name, f"{said}{error}") from None

    def duration_ns(self, name: str) -> int:
        """A duration. Raises QueryApiError."""
        try:
            return parse_duration_ns(self.text(name))
        except ValueError as error:
            raise _invalid(name, str(error)) from None

    def span_ms(self) -> tuple[int, int]:
        """The time from `start` to `end`, all there is by default. Raises QueryApiError."""
        start_ms, end_ms = self.time_ms("start", EARLIEST_MS), self.time_ms("end", LATEST_MS)
        if end_ms < start_ms:
            raise _invalid("end", "end timestamp must not be before start time")
        return start_ms, end_ms

    def selectors(self) -> list[Selector]:
        """What `match[]` selects. Raises QueryApiError."""
        every = self.fields.get("match[]", ())
        if len(every) > MOST_MATCHERS:
            raise _invalid("match[]", f"more than {MOST_MATCHERS}")
        try:
            return [parse_selector(text) for text in every]
        except (PromqlError, RecursionError) as error:
            raise _invalid("match[]", str(error)) from None

    def limit(self) -> int | None:
        """The most results that are wanted; 0 and nothing are all of them. Raises QueryApiError."""
        text = self.text("limit")
        if not re.fullmatch(r"\d{0,9}", text, re.ASCII):
            raise _invalid("limit", f"cannot parse {excerpt(text)!r} to a limit")
        return int(text or 0) or None


def read_form(query: bytes, body: bytes) -> RequestForm:
    """The fields of a request's body and of its address. Raises QueryApiError."""
    fields: dict[str, list[str]] = {}
    try:
        for part in (body, query):
            for name, value in parse_qsl(
                part.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS
            ):
                fields.setdefault(name, []).append(value)
    except ValueError:
        raise QueryApiError("bad_data", f"more than {MOST_FIELDS} fields") from None
    return RequestForm(fields)


def parse_time_ms(text: str) -> int:
    """Seconds since 1970 or RFC 3339 → milliseconds. Raises ValueError."""
    problem = f'cannot parse "{excerpt(text)}" to a valid timestamp'
    if _NUMBER.fullmatch(text):
        return _checked_ms(_of_seconds(float(text)), problem)
    if text in _ENDS:
        return _ENDS[text]
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(problem)
    try:
        at = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(problem) from None
    seconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 1000 + int((found[2] or "").ljust(3, "0")[:3])


def _of_seconds(seconds: float) -> int:
    """Milliseconds as Prometheus comes to them: the fraction is rounded, then cut."""
    if abs(seconds) > LATEST_MS / 1000:
        return LATEST_MS + 1
    fraction = round((seconds - int(seconds)) * 1000) / 1000
    return (int(seconds) * NS + int(fraction * NS)) // _MS


def _checked_ms(found_ms: int, problem: str) -> int:
    if not EARLIEST_MS <= found_ms <= LATEST_MS:
        raise ValueError(problem)
    return found_ms


def parse_duration_ns(text: str) -> int:
    """Seconds, or `1m30s` → nanoseconds. Raises ValueError."""
    problem = f'cannot parse "{excerpt(text)}" to a valid duration'
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if abs(seconds) > 2**63 / NS:
            raise ValueError(f"{problem}. It overflows int64")
        return int(seconds * NS)
    try:
        return parse_prometheus_duration(text)
    except ValueError:
        raise ValueError(problem) from None


def _invalid(name: str, problem: str) -> QueryApiError:
    return QueryApiError("bad_data", f'invalid parameter "{name}": {problem}')
