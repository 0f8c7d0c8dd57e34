"""The service's logs said what they were to say in time, and nothing that they were not to.

What was found in them is in `logs.json`. A line that was seen was written: that much stands however
damaged a log is. That one was not written can be said only of a time in which every line can be
read; of any other it is unknown, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gameday.core.clock import NS
from gameday.core.messages import Message
from gameday.evidence.log_file import LogEvidence, LogGap, LogLine, LogMatches
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, unknown, worst
from gameday.spec.experiment import ExpectedLog

LogState = Literal["hit", "late", "missed", "false", "unknown"]
VALIDITY: Final = {"hit": Validity.VALID, "unknown": Validity.UNKNOWN}  # all others: invalid
SHOWN_LINES: Final = 3
_LONGEST_SHOWN: Final = 120  # characters of a line in a reason
_STAMP_NS: Final = 1_000_000  # a time in ms is up to so much before what it tells of


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The outcome of one expectation; `at_ns` is when the line came that decided it.

    `count` is the number of lines in its time, `lines` the first of them as they stand.
    """

    expected: ExpectedLog
    status: LogState
    why: Message
    at_ns: int | None = None
    count: int = 0
    lines: Sequence[LogLine] = ()


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Each expectation is a hit."""
    if not evidence.experiment.expect.logs:
        return lacking("lacks.logs")
    if not evidence.searched_logs.sources:
        return unknown("log.none")
    found = statuses(evidence)
    validities = [VALIDITY.get(one.status, Validity.INVALID) for one in found]
    validity = worst(validities)
    parts = [
        Message("check.logs.one", name=one.expected.name, why=one.why)
        for one, each in zip(found, validities, strict=True)
        if each is validity
    ]
    shown = [
        {
            "name": one.expected.name,
            "status": one.status,
            "why": one.why.text(),
            "at": evidence.seconds(one.at_ns),
            "lines": one.count,
        }
        for one in found
    ]
    return Verdict(validity, Message("check.all", parts=parts), shown)


def statuses(evidence: Evidence) -> list[LogStatus]:
    """The status of each expectation, in the order of the file."""
    logs = evidence.searched_logs
    return [_judge(each, logs, evidence) for each in evidence.experiment.expect.logs]


def _judge(expected: ExpectedLog, logs: LogEvidence, evidence: Evidence) -> LogStatus:
    matches = logs.of(expected.name)
    if matches is None:
        return LogStatus(expected, "unknown", Message("log.not_searched"))
    start_ns = _start_ns(expected, evidence)
    if isinstance(start_ns, Message):
        return LogStatus(expected, "unknown", start_ns)
    end_ns = evidence.traffic_end_ns
    if expected.within is not None:
        end_ns = start_ns + round(expected.within.total_seconds() * NS)
    return _Window(expected, logs, matches, start_ns, end_ns, evidence.traffic_end_ns).judged()


def _start_ns(expected: ExpectedLog, evidence: Evidence) -> int | Message:
    """The instant that it counts from, or why there is none."""
    if expected.from_ == "start":
        return evidence.t0_ns
    method = evidence.experiment.method
    first = min(method, key=lambda fault: fault.at, default=None)
    of = expected.of or (first.id if first is not None and first.id else "")
    injected_ns = evidence.fault(of).injected_ns
    if injected_ns is None:
        return Message("alert.no_fault", fault=repr(of))
    if expected.from_ == "injection":
        return injected_ns
    damage_ns = evidence.anchors.damage_ns
    return Message("alert.no_damage") if damage_ns is None else damage_ns


@dataclass(frozen=True, slots=True)
class _Window:
    """The time of one expectation, and what is known of it."""

    expected: ExpectedLog
    logs: LogEvidence
    matches: LogMatches
    start_ns: int
    end_ns: int
    traffic_end_ns: int

    def judged(self) -> LogStatus:
        """What was seen decides; else whether all of the time can be read."""
        needed, most = self.expected.needed, self.expected.at_most
        inside = self._instants(self.end_ns)
        if most is not None and len(inside) > most:
            why = Message("log.too_many", count=len(inside), at_most=most)
            return self._status("false", why, inside[most], len(inside))
        came_ns = inside[needed - 1] if 0 < needed <= len(inside) else None
        if came_ns is None or most is not None:
            if (blind := self._unknown()) is not None:
                return self._status("unknown", blind, None, len(inside))
            if came_ns is None:
                return self._not_come(inside)
        after_s = max(0.0, (came_ns - self.start_ns) / NS)
        seen = Message("log.seen", after_s=after_s, count=len(inside))
        return self._status("hit", seen, came_ns, len(inside))

    def _not_come(self, inside: Sequence[int]) -> LogStatus:
        """The status where too few lines came in a time of which every line is known."""
        needed = self.expected.needed
        if not needed:
            none = Message("log.none_seen", count=len(inside))
            return self._status("hit", none, None, len(inside))
        until_end = self._instants(self.traffic_end_ns)
        if len(until_end) >= needed:
            at_ns = until_end[needed - 1]
            late = Message("log.late", late_s=(at_ns - self.end_ns) / NS)
            return self._status("late", late, at_ns, len(until_end), self.traffic_end_ns)
        why = Message("log.missed", count=len(inside), at_least=needed)
        return self._status("missed", why, None, len(inside))

    def _instants(self, end_ns: int) -> Sequence[int]:
        since_ns = self.start_ns - _STAMP_NS
        return [each for each in self.matches.instants if since_ns <= each <= end_ns]

    def _status(
        self,
        status: LogState,
        why: Message,
        at_ns: int | None,
        count: int,
        end_ns: int | None = None,
    ) -> LogStatus:
        until_ns = self.end_ns if end_ns is None else end_ns
        since_ns = self.start_ns - _STAMP_NS
        lines = [each for each in self.matches.lines if since_ns <= each.at_ns <= until_ns]
        return LogStatus(self.expected, status, why, at_ns, count, lines[:SHOWN_LINES])

    def _unknown(self) -> Message | None:
        """Why not every line of the time is known; None where it is."""
        if self.end_ns > self.traffic_end_ns:
            return Message("alert.deadline_after_end")
        if not self.matches.whole:
            return Message("log.overflow", count=len(self.matches.instants))
        for source in self.logs.sources:
            gap = next((e for e in source.gaps if e.touches(self.start_ns, self.end_ns)), None)
            if gap is not None:
                return Message("log.gap", file=source.file, why=_gap(gap))
            if source.first_ns is None:
                return Message("log.empty", file=source.file)
        return None


def _gap(gap: LogGap) -> Message:
    shown = gap.shown if len(gap.shown) <= _LONGEST_SHOWN else gap.shown[:_LONGEST_SHOWN] + "…"
    return Message(f"log.gap_{gap.kind}", lines=gap.lines, shown=shown)
