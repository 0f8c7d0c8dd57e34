"""The service's logs in a run directory: which they are, and a reader of their JSON lines.

A log is a JSON object a line, with a time that has a zone. What is none of that is a gap: somewhere
between its neighbours something was said that nobody can read, so nothing can be said of that time
but what was seen. Reading is bounded in bytes, in lines of one, and in time.
"""

import math
import re
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.json import DAMAGED, parse
from gameday.core.patterns import Pattern, compile_pattern
from gameday.evidence.log_file import (
    GapKind,
    LogEvidence,
    LogGap,
    LogLine,
    LogMatches,
    LogSource,
)
from gameday.spec.experiment import ExpectedLog

MOST_BYTES: Final = 256 * files.MIB  # of one log; what comes after it is a gap
LONGEST_LINE: Final = files.MIB
MOST_READ_S: Final = 40.0  # for all logs of a run: whoever waits for the verdict is not kept longer
MOST_MATCHES: Final = 100_000
MOST_SHOWN: Final = 300
SHOWN_PER_S: Final = 3
LONGEST_SHOWN: Final = 300  # characters
MOST_GAPS: Final = 1_000
SLACK_NS: Final = 5 * NS  # clocks of containers and of files differ by less
TIMES: Final = ("time", "timestamp", "@timestamp", "ts")
MESSAGES: Final = ("message", "msg")
_SERVICE: Final = re.compile(r"service(-\d+)?\.log", re.ASCII)
_LOSS: Final = b"(gameday: "  # what follows was lost, and nobody knows when it was written
_LARGEST_S: Final = 1e11  # in the year 5138; a larger number counts something smaller than seconds
_SMALLER: Final = 1e3


def log_names(run_dir: Path) -> list[str]:
    """The service's logs in a run directory."""
    folder = run_dir / "logs"
    return sorted(path.name for path in folder.glob("*.log") if is_service_log(path.name))


def is_service_log(name: str) -> bool:
    """True for a file that a stack keeps of the service, or of one of its replicas."""
    return _SERVICE.fullmatch(name) is not None


def loss(log: str, what: str) -> bytes:
    """A line for a log of which something is lost, whenever that was written."""
    return b"\n%s%s: %s)\n" % (_LOSS, log.encode(errors="replace"), what.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A line of a log: an object of whatever somebody else's program wrote."""

    fields: Any

    def first(self, names: Sequence[str]) -> Any:
        """The first of these fields that is there, None where none is."""
        return next((self.fields[name] for name in names if name in self.fields), None)

    def field(self, key: str) -> Any:
        """A field by its name, which may have dots in it, or by the names of objects it is in."""
        found = self.fields
        if key in found:
            return found[key]
        for name in key.split("."):
            if not isinstance(found, dict) or name not in found:
                return None
            found = found[name]
        return found


class LogPattern:
    """The lines that an expectation means. Raises ValueError for a pattern that RE2 cannot take."""

    def __init__(self, expected: ExpectedLog) -> None:
        self._text = searched(expected.pattern) if expected.pattern else None
        self._fields = [(key, compile_pattern(text)) for key, text in expected.fields.items()]

    def means(self, line: JsonLine) -> bool:
        """True for a line that has the message and the fields."""
        if self._text is not None:
            message = line.first(MESSAGES)
            if message is None or not self._text.matches(_plain(message)):
                return False
        return all(
            (value := line.field(key)) is not None and pattern.matches(_plain(value))
            for key, pattern in self._fields
        )


def searched(text: str) -> Pattern:
    """A pattern that matches where `text` is found. Raises ValueError with what RE2 cannot take."""
    compile_pattern(text)
    return compile_pattern(f".*(?:{text}).*")


def _plain(value: Any) -> str:
    """A value as its pattern reads it: text as it is, numbers and truth values as JSON has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def instant_ns(line: JsonLine) -> int | None:
    """When a line was written, in ns since 1970; None where it does not say so with a zone."""
    value = line.first(TIMES)
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
            return None if at.tzinfo is None else round(at.timestamp() * 1_000_000) * 1000
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e20:
        return None
    size = 1.0
    while value / size > _LARGEST_S:
        size *= _SMALLER
    exact = value * round(NS / size) if size <= NS else math.nan
    return None if math.isnan(exact) else int(exact)


@dataclass
class LogReader:
    """Reads the service's logs of a run for some expectations.

    `offset_ns` is what wall time is ahead of the run's clock, `begun_ns` and `ended_ns` are the
    run's bounds in that clock: a line from outside of them was written by another clock.
    """

    expected: Sequence[ExpectedLog]
    offset_ns: int
    begun_ns: int
    ended_ns: int
    most_bytes: int = MOST_BYTES
    most_s: float = MOST_READ_S
    _found: dict[str, LogMatches] = field(default_factory=dict)
    _by: float = 0.0

    def read(self, run_dir: Path) -> LogEvidence:
        """Everything that the logs say about the expectations."""
        self._by = time.monotonic() + self.most_s
        matchers = [_Matcher(each) for each in self.expected]
        sources = [
            self._source(run_dir / "logs" / name, f"logs/{name}", matchers)
            for name in log_names(run_dir)
        ]
        return LogEvidence(sources, [each.found() for each in matchers])

    def _source(self, path: Path, name: str, matchers: "Sequence[_Matcher]") -> LogSource:
        made = _Source(name)
        try:
            with files.open_file(path) as file:
                for number, raw in self._lines(file, made):
                    at_ns, line = self._line(raw, made)
                    if line is None:
                        continue
                    for matcher in matchers:
                        if matcher.means(line):
                            matcher.take(at_ns, f"{name}:{number}", raw)
        except OSError as error:
            made.gap("unreadable", error.strerror or "")
        return made.source()

    def _lines(self, file: Any, made: "_Source") -> Iterator[tuple[int, bytes]]:
        """Lines with their numbers, up to the bounds; a line that is too long is a gap."""
        number = 0
        while raw := file.readline(LONGEST_LINE):
            number += 1
            made.bytes += len(raw)
            if not raw.endswith(b"\n") and len(raw) == LONGEST_LINE:
                made.gap("too_long", _excerpt(raw))
                while rest := file.readline(LONGEST_LINE):
                    made.bytes += len(rest)
                    if rest.endswith(b"\n"):
                        break
            elif raw.strip():
                yield number, raw
            if made.bytes > self.most_bytes:
                made.gap("too_large", "")
                return
            if number % 1000 == 0 and time.monotonic() > self._by:
                made.gap("too_slow", "")
                return

    def _line(self, raw: bytes, made: "_Source") -> tuple[int, JsonLine | None]:
        """A line and its instant on the run's clock; None for one that was noted as a gap."""
        try:
            fields = parse(raw)
        except DAMAGED:
            fields = None
        if not isinstance(fields, dict):
            made.gap("not_json" if raw.endswith(b"\n") else "torn", _excerpt(raw))
            if raw.startswith(_LOSS):
                made.lose()
            return 0, None
        line = JsonLine(fields)
        wall_ns = instant_ns(line)
        if wall_ns is None:
            made.gap("no_time", _excerpt(raw))
            return 0, None
        at_ns = wall_ns - self.offset_ns
        if not self.begun_ns - SLACK_NS <= at_ns <= self.ended_ns + SLACK_NS:
            made.gap("other_time", _excerpt(raw))
            return 0, None
        made.line(at_ns)
        return at_ns, line


class _Source:
    """One log as it is read.

    A gap lies between two lines that are in order with every other of the log: none before them is
    later, none after them is earlier. Between others a stray clock or two threads may have written
    anything: a stamp far in the future ends no gap, and neither does one of the past.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.bytes = 0
        self._lines = 0
        self._first: int | None = None
        self._last: int | None = None
        self._in_order = array("q")  # those lines, as far as is known by now
        self._gaps: list[LogGap] = []
        self._behind: list[int] = []  # of each gap: how many of those lines stand before it
        self._unbound: set[int] = set()
        self._open = False  # nothing was read since the last gap
        self._full = False  # the last gap holds all that may come

    def line(self, at_ns: int) -> None:
        """A line that was read."""
        self._lines += 1
        self._open = False
        while self._in_order and self._in_order[-1] > at_ns:
            self._in_order.pop()
        for number in range(len(self._behind) - 1, -1, -1):
            if self._behind[number] <= len(self._in_order):
                break
            self._behind[number] = len(self._in_order)
        if self._last is None or self._last <= at_ns:
            self._in_order.append(at_ns)
            self._last = at_ns
        self._first = at_ns if self._first is None else min(self._first, at_ns)

    def gap(self, kind: GapKind, shown: str) -> None:
        """A line that was not."""
        if self._open or len(self._gaps) >= MOST_GAPS:
            self._full = self._full or not self._open
            self._gaps[-1] = replace(self._gaps[-1], lines=self._gaps[-1].lines + 1)
            return
        self._gaps.append(LogGap(kind, 1, shown))
        self._behind.append(len(self._in_order))
        self._open = True

    def lose(self) -> None:
        """Say of the last gap that what is missing there may be of any time."""
        self._unbound.add(len(self._gaps) - 1)

    def source(self) -> LogSource:
        gaps = [
            replace(gap, after_ns=self._line(behind - 1), before_ns=self._line(behind))
            for gap, behind in zip(self._gaps, self._behind, strict=True)
        ]
        if self._full:
            gaps[-1] = replace(gaps[-1], before_ns=None)
        for number in self._unbound:
            gaps[number] = replace(gaps[number], after_ns=None, before_ns=None)
        return LogSource(self._name, self.bytes, self._lines, gaps, self._first, self._last)

    def _line(self, number: int) -> int | None:
        return self._in_order[number] if 0 <= number < len(self._in_order) else None


class _Matcher:
    """The lines that one expectation means, as they are found."""

    def __init__(self, expected: ExpectedLog) -> None:
        self._name = expected.name
        self.means = LogPattern(expected).means
        self._instants: list[int] = []
        self._lines: list[LogLine] = []
        self._in_second: dict[int, int] = {}
        self._whole = True

    def take(self, at_ns: int, place: str, raw: bytes) -> None:
        """A line that is meant, and where it stands."""
        if len(self._instants) >= MOST_MATCHES:
            self._whole = False
            return
        self._instants.append(at_ns)
        second = at_ns // NS
        seen = self._in_second[second] = self._in_second.get(second, 0) + 1
        if seen <= SHOWN_PER_S and len(self._lines) < MOST_SHOWN:
            self._lines.append(LogLine(at_ns, place, _excerpt(raw)))

    def found(self) -> LogMatches:
        lines = sorted(self._lines, key=lambda each: each.at_ns)
        return LogMatches(self._name, sorted(self._instants), lines, self._whole)


def _excerpt(raw: bytes) -> str:
    """A line as it is kept: cut where it is long, half a character replaced."""
    text = raw[: 4 * LONGEST_SHOWN].decode(errors="replace").strip()
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
