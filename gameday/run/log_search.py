"""The search of the service's logs at the end of a run, for the lines that are expected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gameday.evidence.log_file import LogEvidence
from gameday.evidence.service_logs import LogReader
from gameday.run.context import Begun
from gameday.spec.experiment import ExpectedLog


@dataclass(frozen=True, slots=True)
class Began:
    """The beginning of a run by both clocks, in ns."""

    at_ns: int
    wall_ns: int


def search(begun: Begun, expected: Sequence[ExpectedLog], began: Began) -> None:
    """Write `logs.json`, where lines are expected. Raises OSError."""
    if not expected:
        return
    reader = LogReader(
        expected,
        offset_ns=began.wall_ns - began.at_ns,
        begun_ns=began.at_ns,
        ended_ns=begun.clock.now_ns(),
    )
    found = reader.read(begun.dir)
    _masked(found, begun).write(begun.dir / "logs.json")


def _masked(found: LogEvidence, begun: Begun) -> LogEvidence:
    """The same without secrets: a log may not have been rewritten, as on a full disk."""
    hide = begun.journal.hide
    return LogEvidence(
        [
            replace(source, gaps=[replace(gap, shown=hide(gap.shown)) for gap in source.gaps])
            for source in found.sources
        ],
        [
            replace(each, lines=[replace(line, text=hide(line.text)) for line in each.lines])
            for each in found.matches
        ],
    )
