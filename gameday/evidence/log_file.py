"""The file `logs.json`: what was found in the service's logs of the lines that are expected.

The logs of a run are anybody's text of any length. They are read once, when the run is over and
the secrets are out of them, and only what the experiment asks about is kept here: when each line
that is meant was written, some of them as they stand, and what could not be read. Judging reads
this file alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

from gameday.core import files
from gameday.core.json_objects import read_object

LARGEST_BYTES: Final = 512 * files.MIB
_LARGEST: Final = 2**63


GapKind = Literal[
    "not_json", "torn", "no_time", "other_time", "too_long", "too_large", "too_slow", "unreadable"
]
"""No JSON object; cut off at the end; without a time that has a zone; not of this run's time; not
read, as it is too long, or the log is too large or takes too long, or cannot be read at all."""


def _instant(value: object) -> int | None:
    if value is None or (type(value) is int and -_LARGEST <= value < _LARGEST):
        return value
    raise ValueError(value)


def _instants(value: object) -> Sequence[int]:
    if isinstance(value, list) and all(
        type(each) is int and abs(each) < _LARGEST for each in value
    ):
        return value
    raise ValueError(value)


@dataclass(frozen=True, slots=True)
class LogGap:
    """Lines that could not be read, written between two instants; None where nobody knows one.

    `shown` is the first of them, and `kind` what is wrong with it.
    """

    kind: GapKind
    lines: int
    shown: str = ""
    after_ns: Annotated[int | None, _instant] = None
    before_ns: Annotated[int | None, _instant] = None

    def touches(self, start_ns: int, end_ns: int) -> bool:
        """True if one of its lines may have been written between the two instants.

        Whichever of its own is the earlier: where a log is out of order, nobody knows which is.
        """
        if self.after_ns is None or self.before_ns is None:
            begun = self.before_ns is None or self.before_ns >= start_ns
            return begun and (self.after_ns is None or self.after_ns <= end_ns)
        first, last = sorted((self.after_ns, self.before_ns))
        return last >= start_ns and first <= end_ns


@dataclass(frozen=True, slots=True)
class LogSource:
    """One log of the service, by its path in the run directory; `lines` are those that were read.

    `first_ns` and `last_ns` are the earliest and the latest instant of them.
    """

    file: str
    bytes: int
    lines: int
    gaps: Sequence[LogGap] = ()
    first_ns: Annotated[int | None, _instant] = None
    last_ns: Annotated[int | None, _instant] = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that was meant, cut where it is long; `place` is its file and line, from 1."""

    at_ns: int
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class LogMatches:
    """The lines that one expectation means: when each was written, in order, and some of them.

    `whole` is False where there were more than are kept.
    """

    name: str
    instants: Annotated[Sequence[int], _instants] = ()
    lines: Sequence[LogLine] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """What was found in all logs of the service."""

    sources: Sequence[LogSource] = ()
    matches: Sequence[LogMatches] = ()

    def write(self, path: Path) -> None:
        """As JSON. Raises OSError."""
        files.replace(path, [json.dumps(asdict(self)).encode(), b"\n"])

    def of(self, name: str) -> LogMatches | None:
        """What was found for the expectation of this name."""
        return next((each for each in self.matches if each.name == name), None)


def log_evidence_of(file: BinaryIO) -> LogEvidence:
    """The file as it was written. Raises ValueError."""
    return read_object(LogEvidence, json.loads(file.read()))
