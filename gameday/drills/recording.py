"""A recorded run as a source: what was measured, logged and true in it, and what was done.

It is read as it is played, line by line, so that a session of a long run begins at once. The names
of its file are replaced by neutral ones; a log's own instants are moved with it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final, get_args

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.json import DAMAGED, read_lines
from gameday.core.json_objects import json_object
from gameday.core.messages import Message, known
from gameday.drills.hands import ActEnd, AskedAct
from gameday.evidence import events, journal
from gameday.evidence.effective import Effective
from gameday.evidence.outages import anchors
from gameday.evidence.timeline import Timeline, timeline
from gameday.run.responder.hands import Status, StepOutcome
from gameday.telemetry import samples

SAMPLES: Final = "samples.jsonl"
SHOWN_READINGS: Final = ("objective", "guard", "dependency", "drain")
"""The kinds of readings that every run has; others would tell which one it is."""
HIDDEN_LOGS: Final = frozenset(
    {"reaper", "collector", "traffic", "toxiproxy", "initdb", "responder"}
)
"""Logs of gameday's own parts: nobody on call has them, and they tell of the fault."""
LEFT_OUT: Final = "left_out"
"""What a replay tells its facilitator of a part of the recording that it cannot play."""
LONGEST_ACT_S: Final = 60.0
_CURE: Final = "replay a run that went through: gameday runs"
_STATUSES: Final[Mapping[str, Status]] = {each: each for each in get_args(Status)}
_LATEST_LOG_S: Final = 86_400.0  # a line beyond is of another day, or its instant was misread


@dataclass(frozen=True, slots=True)
class Instant:
    """Something that was so, `at_s` from t = 0; as `DrillTruth` has it."""

    at_s: float
    what: str
    fault: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded run. Times are in seconds from its t = 0; `begins_s` is before it."""

    dir: Path
    records: Sequence[journal.Record]
    effective: Effective
    t0_ns: int
    wall_t0: datetime
    begins_s: float
    ends_s: float
    truth: Sequence[Instant]
    names: Mapping[str, str]
    """The neutral names by those of the file."""

    @property
    def fault_at_s(self) -> float | None:
        return next((each.at_s for each in self.truth if each.what == "injected"), None)

    def measured(
        self, move: Callable[[float], float], damaged: Callable[[str], None]
    ) -> Iterator[tuple[float | None, bytes]]:
        """The lines of its samples as `move` moves them, and the instants at which they were taken.

        None for one that only names series. They end at the first that cannot be read: `damaged`
        is told which that is.
        """

        def read(line: Any) -> tuple[float | None, bytes]:
            at_s = None if "series" in line else (int(line["t"]) - self.t0_ns) / NS
            shown = moved(line, move, self)
            samples.evaluation_of(shown)
            return at_s, shown

        path, largest = self.dir / SAMPLES, samples.LARGEST_BYTES
        return read_lines(path, samples.LONGEST_LINE, read, damaged, largest=largest, end=b"\n")

    def logs(self) -> Sequence[Path]:
        """The logs that somebody on call would have."""
        found = sorted((self.dir / "logs").glob("*.log"))
        return [path for path in found if path.stem not in HIDDEN_LOGS]

    def neutral(self, text: str) -> str:
        """A text without the names of the file."""
        for own, shown in self.names.items():
            text = text.replace(own, shown)
        return text


def load_recording(run_dir: Path) -> Recording:
    """The recorded run in a directory. Raises UsageError for one that cannot be played."""
    records = _records(run_dir)
    effective = _effective(run_dir)
    line = timeline(records, ())
    started = line.started
    if line.t0_ns is None or started is None or not started.wall_ns:
        raise UsageError(f"{run_dir}: its traffic never began", help=_CURE)
    seen = list(_evaluations(run_dir / SAMPLES))
    if not seen:
        raise UsageError(f"{run_dir}: nothing was measured in this run", help=_CURE)
    first_ns = line.first_ns or line.t0_ns
    wall_s = started.wall_ns / NS + (line.t0_ns - first_ns) / NS
    return Recording(
        dir=run_dir,
        records=records,
        effective=effective,
        t0_ns=line.t0_ns,
        wall_t0=datetime.fromtimestamp(wall_s, UTC),
        begins_s=(seen[0].t_ns - line.t0_ns) / NS,
        ends_s=(seen[-1].t_ns - line.t0_ns) / NS,
        truth=_told_truth(records, line.t0_ns) or _truth(line, effective, seen),
        names=_neutral_names(effective),
    )


def _records(run_dir: Path) -> Sequence[journal.Record]:
    try:
        records = journal.read(run_dir / journal.JOURNAL_FILE).records
    except FileNotFoundError:
        raise UsageError(f"{run_dir}: there is no journal in it", help=_CURE) from None
    if any(isinstance(each.event, events.Sealed) for each in records):
        raise UsageError(f"{run_dir}: this drill has not been debriefed yet", help=_CURE)
    return records


def _effective(run_dir: Path) -> Effective:
    raw = files.read(run_dir / "inputs" / "effective.json", 16 * files.MIB, "recorded run")
    try:
        return Effective.model_validate_json(raw)
    except ValueError as error:
        raise UsageError(f"{run_dir}: effective.json cannot be read", help=_CURE) from error


def _evaluations(path: Path) -> Iterator[samples.Evaluation]:
    """The evaluations alone: what was scraped is much more, and not needed to begin."""
    try:
        file = files.open_file(path, samples.LARGEST_BYTES)
    except OSError:
        return
    with file:
        try:
            for _, raw in files.lines(file, samples.LONGEST_LINE):
                seen = samples.evaluation_of(raw) if b'"readings"' in raw[:80] else None
                if seen is not None:
                    yield seen
        except DAMAGED:
            return  # what came before it is played


def _told_truth(records: Sequence[journal.Record], t0_ns: int) -> Sequence[Instant]:
    """Facts of a session that had no system of its own."""
    return [
        Instant(
            (record.t_ns - t0_ns) / NS, record.event.what, record.event.fault, record.event.text
        )
        for record in journal.every(records, events.DrillTruth)
        if record.event.what != LEFT_OUT
    ]


def _truth(
    line: Timeline, effective: Effective, seen: Sequence[samples.Evaluation]
) -> Sequence[Instant]:
    """Facts of a run, from its faults and what was measured."""
    return sorted(_facts(line, effective, seen), key=lambda each: each.at_s)


def _facts(
    line: Timeline, effective: Effective, seen: Sequence[samples.Evaluation]
) -> Iterator[Instant]:
    t0_ns = line.t0_ns or 0

    def at_s(t_ns: int) -> float:
        return (t_ns - t0_ns) / NS

    for fault in line.faults:
        what = f"{fault.fault} {fault.target}".strip()
        if fault.injected_ns is not None:
            yield Instant(at_s(fault.injected_ns), "injected", fault.id, what)
        if fault.removed_ns is not None:
            yield Instant(at_s(fault.removed_ns), "removed", fault.id, what)
    found = anchors(effective, line, seen, None)
    if found.damage_ns is not None:
        yield Instant(at_s(found.damage_ns), "damage")
    if found.recovered_ns is not None:
        yield Instant(at_s(found.recovered_ns), "recovered")


def _neutral_names(effective: Effective) -> Mapping[str, str]:
    """Scenarios s1 …, faults f1 …, the coupon and the run itself; the longest first."""
    experiment = effective.experiment
    found = {name: f"s{number}" for number, name in enumerate(experiment.traffic, start=1)}
    ids = [fault.id or fault.fault for fault in experiment.method]
    found |= {id_: f"f{number}" for number, id_ in enumerate(ids, start=1)}
    found |= {effective.run: "drill", effective.coupon: "DRILL"}
    return dict(sorted(found.items(), key=lambda each: (-len(each[0]), each[0])))


def moved(line: object, move: Callable[[float], float], recording: Recording) -> bytes:
    """A line of samples at another instant; `move` tells it, in ns, of one of the recording."""
    at = dict(json_object(line))
    if "series" in at:
        at = {"series": [[n, _relabelled(labels, recording)] for n, labels in at["series"]]}
        return _line(at)
    for key in ("t", "sampled"):
        if at.get(key) is not None:
            at[key] = round(move(at[key]))
    if "readings" not in at:
        return _line(at)
    for key in ("readings", "figures"):
        at[key] = {n: v for n, v in at.get(key, {}).items() if _is_shown(n)}
    at["alerts"] = [{**each, "active_at": round(move(each["active_at"]))} for each in at["alerts"]]
    routing = at.get("routing")
    if isinstance(routing, dict) and routing.get("notified"):
        notified = [{**each, "at": round(move(each["at"]))} for each in routing["notified"]]
        at["routing"] = {**routing, "notified": notified}
    return _line(at)


def _line(fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _relabelled(labels: Mapping[str, str], recording: Recording) -> Mapping[str, str]:
    """Labels by neutral names; the coupon may be a part of a value, all else is a whole one."""
    names = recording.names
    return {name: names.get(value, value) if name != "__name__" else value
            for name, value in labels.items()}  # fmt: skip


def _is_shown(name: str) -> bool:
    return name.partition(":")[0] in SHOWN_READINGS


# How the dates of logs are written, and the zone that is meant where they name none: UTC, or None
# for that of the machine. The last is that of JSON: seconds since 1970, or thousandths and so on.
_EPOCH: Final = "%s"
_FORMS: Final[Mapping[str, tzinfo | None]] = {
    "%Y-%m-%dT%H:%M:%S": UTC,
    "%Y-%m-%d %H:%M:%S": UTC,
    "%Y/%m/%d %H:%M:%S": None,
    "%d/%b/%Y:%H:%M:%S": None,
    "%d %b %Y %H:%M:%S": None,
    _EPOCH: UTC,
}
_FIELDS: Final = {"%Y": r"\d{4}", "%b": "[A-Z][a-z]{2}"}
_WITHIN: Final = 80  # characters in which the instant of a line stands
_WITHIN_JSON: Final = 4000  # its keys are in any order


def _pattern(form: str) -> re.Pattern[str]:
    """An instant of a form: the date, the fraction of its second, and the zone."""
    if form == _EPOCH:
        return re.compile(r'"(?:ts|time|timestamp|@timestamp)"\s*:\s*"?'
                          r"(\d{10})(\.\d{1,9}|\d{3}|\d{6}|\d{9})?()(?![\d.])")  # fmt: skip
    date = re.sub("%.", lambda field: _FIELDS.get(field[0], r"\d\d"), form)
    zone = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)\b)?"
    return re.compile(rf"(?<!\d)({date})([.,]\d{{1,9}})?({zone})")


_PATTERNS: Final = {form: _pattern(form) for form in _FORMS}


@dataclass(frozen=True, slots=True)
class _Written:
    """An instant as a line writes it, from its place `begin` to `end`."""

    form: str
    instant: datetime
    begin: int
    end: int
    fraction: str
    zone: str

    def again(self, instant: datetime) -> str:
        """Another instant, written in the same way."""
        now = instant.astimezone(self.instant.tzinfo)
        date = str(int(now.timestamp())) if self.form == _EPOCH else now.strftime(self.form)
        point = self.fraction[:1].strip("0123456789")
        digits = len(self.fraction) - len(point)
        return f"{date}{point}{f'{now.microsecond:06}'[:digits]:0<{digits}}{self.zone}"


def log_lines(path: Path, recording: Recording) -> Iterator[tuple[float, str]]:
    """The lines of a log, and the instant that each has, from t = 0; else that of the one before.

    Those before the first instant have that one, too: what stands in them is not known to have
    been there earlier. A log without any has no lines here.
    """
    at_s = next((each for each, _ in _dated(path, recording) if each is not None), None)
    if at_s is None:
        return
    for found, text in _dated(path, recording):
        at_s = at_s if found is None else found
        yield at_s, text


def _dated(path: Path, recording: Recording) -> Iterator[tuple[float | None, str]]:
    """The lines of a log, and the instants of those that have one."""
    with files.open_file(path) as file:
        for raw in file:
            text = raw.decode(errors="replace").rstrip("\n")
            found = _written(text)
            at_s = None if found is None else (found.instant - recording.wall_t0).total_seconds()
            yield (None if at_s is None or abs(at_s) > _LATEST_LOG_S else at_s), text


def redated(text: str, by: Callable[[datetime], datetime]) -> str:
    """A line of a log at another instant."""
    found = _written(text)
    if found is None:
        return text
    return text[: found.begin] + found.again(by(found.instant)) + text[found.end :]


def _written(text: str) -> _Written | None:
    """The first instant of a line."""
    head = text[: _WITHIN_JSON if text.startswith("{") else _WITHIN]
    found = [(match, form) for form, each in _PATTERNS.items() if (match := each.search(head))]
    for match, form in sorted(found, key=lambda each: each[0].start(1)):
        date, fraction, zone = match[1], match[2] or "", match[3]
        try:
            instant = _meant(form, date, zone.strip())
        except (ValueError, OverflowError, OSError):
            continue  # no date that there is
        micros = int(fraction.lstrip(".,")[:6].ljust(6, "0"))
        instant = instant.replace(microsecond=micros)
        return _Written(form, instant, match.start(1), match.end(3), fraction, zone)
    return None


def _meant(form: str, date: str, zone: str) -> datetime:
    """The second that is meant. Raises ValueError, OverflowError or OSError for none."""
    if form == _EPOCH:
        return datetime.fromtimestamp(int(date), UTC)
    if not zone and _FORMS[form] is None:
        return datetime.strptime(date, form).astimezone()
    named = "+0000" if zone in ("", "Z", "UTC", "GMT") else zone
    return datetime.strptime(f"{date} {named}", f"{form} %z")


class RecordedActs:
    """Ends of the acts of a recorded run: by its action, or the text of a step by hand."""

    def __init__(self, records: Sequence[journal.Record]) -> None:
        self._ends: dict[str, events.StepDone | events.ActionDone] = {}
        begun: dict[tuple[int | str, bool], str] = {}
        for record in records:
            match record.event:
                case events.StepStarted(step=step, do=do, text=text, undoing=undoing):
                    begun[step, undoing] = do or text
                case events.StepDone(step=step, undoing=undoing) as done:
                    self._note(begun.get((step, undoing), ""), done)
                case events.ActionDone(do=do, undoing=False) as done:
                    self._note(do, done)
                case _:
                    pass

    def end_of(self, act: AskedAct, speed: float = 1.0) -> ActEnd:
        """The recorded end of an act; where nobody did it, that it is not known."""
        key = act.action or (act.step.text if act.step is not None else "")
        if key not in self._ends:
            return ActEnd(StepOutcome("not_applicable", None, Message("drill.not_recorded")))
        done = self._ends[key]
        status = _STATUSES.get(done.status, "failed")
        verified = done.verified if isinstance(done, events.StepDone) else None
        why = Message("drill.recorded", why=known(done.message, done.why or done.status))
        took_s = min(LONGEST_ACT_S, max(0.0, done.took_s or 0.0))
        return ActEnd(StepOutcome(status, verified, why), took_s / speed)

    def _note(self, key: str, done: events.StepDone | events.ActionDone) -> None:
        """Keep the first that worked; else the last."""
        before = self._ends.get(key)
        if key and (before is None or before.status != "done"):
            self._ends[key] = done
