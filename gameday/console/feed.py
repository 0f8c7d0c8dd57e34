"""The feed: what a run directory holds so far, read as it grows, for every page alike.

It is read by one thread at a time, a little at each turn. A page has a place in it, its cursor: the
number of records it has, and how far in the samples it is. So a page that comes back later goes on
where it was, and a new one begins at the beginning. Samples of hours are kept in memory up to a
number; pages are told nothing older.
"""

import json
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.console import charts
from gameday.console.shown import Item, item, seconds_from
from gameday.core.clock import SystemClock
from gameday.core.files.tail import Tail
from gameday.core.json_objects import json_object, read_object
from gameday.evidence import events, sealed_inputs
from gameday.evidence.effective import Effective
from gameday.evidence.journal import JOURNAL_FILE, Record, RecordOf, parse, unsealed
from gameday.evidence.read import read_effective
from gameday.evidence.sealed_box import Box, boxes_of
from gameday.injection.heal import process_lives
from gameday.telemetry.promql import Labels, SeriesStore, label_set, value_of
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.samples import LiveEvaluation

MOST_TICKS: Final = 7200  # two hours of seconds
KEPT_S: Final = 2400.0  # of samples for the query box: a drill of 30 min, and to spare
AT_ONCE: Final = 400  # lines of one turn: a long run is caught up with in steps
MOST_UNOPENED: Final = 100_000  # sealed records that wait for the key; a journal has no more
_OURS: Final = ("gameday_", "ALERTS")  # series that tell what was broken, or what was judged


@dataclass(frozen=True, slots=True)
class AlertTold:
    """An alert as it stands at one instant."""

    name: str
    state: str
    labels: Mapping[str, str]
    since: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The samples of one instant: the figures of the charts, and the alerts.

    `alerts` is None where nobody knows which there are; `at` is where it ends in the file.
    """

    at: int
    t: float
    figures: Mapping[str, charts.Figures]
    alerts: Sequence[AlertTold] | None
    rate_per_s: float | None


@dataclass(frozen=True, slots=True)
class SessionState:
    """Stand of the session: `phase` is starting, running or over; `now` is what its clock says.

    `taken` says that somebody has acknowledged; `taken_by` is who has it, by a hand-over perhaps.
    `zero` is when the traffic began, as all times here in seconds from the first record.
    """

    run: str
    phase: str
    mode: str
    now: float
    zero: float
    began_wall_ms: int | None
    debriefed: bool
    paused: bool
    taken: bool
    taken_by: str


class Feed:
    """A run directory, followed. `box` opens what is sealed in it, where its key is at hand.

    Times that pages are told count from the first record; the traffic begins at the state's `zero`.
    """

    def __init__(self, run_dir: Path, box: Box | None = None) -> None:
        self.run_dir = run_dir
        self.items: list[Item] = []
        self.ticks: deque[Tick] = deque(maxlen=MOST_TICKS)
        self.store = SeriesStore(KEPT_S)
        self.t0_ns: int | None = None
        self.began: RecordOf[events.RunStarted] | None = None
        self.began_ns: int | None = None
        self.drill: events.DrillStarted | None = None
        self.over_ns: int | None = None
        self.debriefed = False
        self.paused = False
        self.taken = False
        self.taken_by = ""
        self.sampled_ns = 0
        self.box = box
        self._last_ns = 0
        self._unopened: list[Record] = []
        self._path = run_dir / JOURNAL_FILE
        self._journal = Tail(self._path)
        self._samples = Tail(run_dir / "samples.jsonl")
        self._series: dict[int, Labels] = {}
        self._clock = SystemClock()

    def read(self) -> bool:
        """Take in what was written since; False when that is all there is for now."""
        if self._some(self._journal, self._take_record):
            return True  # samples are told apart by what the journal says of the run
        if self.began_ns is None or self._some(self._samples, self._take_sample):
            return self.began_ns is not None
        if self.over_ns is None and self._is_killed():
            self.over_ns = self._last_ns
        return False

    def _is_killed(self) -> bool:
        """Say whether the process of the run is gone, though it never said how it ended."""
        if self.began is None or self.began.event.controller is None:
            return False
        return not process_lives(self.began.event)

    def _some(self, tail: Tail, take: Callable[[bytes, int], None]) -> bool:
        for count, line in enumerate(tail.lines(), 1):
            take(line, tail.at)
            if count >= AT_ONCE:
                return True
        return False

    @property
    def effective(self) -> Effective | None:
        """The run's inputs, where they lie open, or in a box whose key is at hand."""
        found = read_effective(self.run_dir)
        if found is not None or self.box is None:
            return found
        try:
            raw = sealed_inputs.contents(self.run_dir, self.box).get("effective.json")
            return None if raw is None else Effective.model_validate(json.loads(raw))
        except (OSError, ValueError):
            return None

    def since_began(self, t_ns: int) -> float:
        """Seconds from the first record, to the millisecond."""
        return seconds_from(self.began_ns or 0, t_ns)

    def state(self) -> SessionState:
        """The state of the session, now."""
        now_ns = self._clock.now_ns() if self.over_ns is None else self.over_ns
        begun = self.t0_ns is not None or (self.drill is not None and self.drill.mode != "live")
        zero_ns = self.t0_ns if self.t0_ns is not None else self.began_ns
        wall_ns = None if self.began is None else self.began.event.wall_ns
        return SessionState(
            run=self.run_dir.name,
            phase="over" if self.over_ns is not None else "running" if begun else "starting",
            mode=self.drill.mode if self.drill is not None else "run",
            now=self.since_began(now_ns),
            zero=self.since_began(zero_ns or 0),
            began_wall_ms=None if wall_ns is None else wall_ns // 10**6,
            debriefed=self.debriefed,
            paused=self.paused,
            taken=self.taken,
            taken_by=self.taken_by,
        )

    def hides_nothing(self, *, leads: bool) -> bool:
        """Say whether there is no record, up to now, that such a session is told only later."""
        return self.debriefed or (leads and self.box is not None)

    def items_after(self, seq: int, *, leads: bool, looks: bool) -> Iterator[Item]:
        """The items after that number, which a session may be told.

        `looks` is an observer's: of a run that is no drill, all that is not for who leads.
        """
        all_of_it = leads or self.debriefed or (looks and self.drill is None)
        low = bisect_right(self.items, seq, key=lambda each: each.seq)
        for each in self.items[low:]:
            if all_of_it or not each.secret:
                yield each

    def ticks_after(self, at: int) -> list[Tick]:
        """The ticks that end beyond that place of the file."""
        found: list[Tick] = []
        for tick in reversed(self.ticks):
            if tick.at <= at:
                break
            found.append(tick)
        return found[::-1]

    def _take_record(self, line: bytes, _at: int) -> None:
        """Take in a line of the journal; what cannot be opened yet is kept until it can."""
        try:
            record = unsealed([parse(line, checked=True)[0]], self._path, self.box)[0]
        except ValueError:
            return
        self._last_ns = max(self._last_ns, record.t_ns)
        if not isinstance(record.event, events.Sealed):
            self._take(record)
        elif len(self._unopened) < MOST_UNOPENED:
            self._unopened.append(record)

    def _take(self, record: Record) -> None:
        self._note(record)
        insort(self.items, item(record, self.since_began(record.t_ns)), key=lambda each: each.seq)

    def _note(self, record: Record) -> None:
        if self.began_ns is None:
            self.began_ns = record.t_ns
        match record.event:
            case events.RunStarted() as began:
                self.began = RecordOf(record.seq, record.t_ns, began)
                if began.wall_ns is not None:
                    self.store.wall_offset_ns = began.wall_ns - record.t_ns
            case events.Phase(t0_ns=int() as t0_ns):
                self.t0_ns = t0_ns
            case events.RunEnded() | events.RunRefused():
                self.over_ns = record.t_ns
            case _:
                self._note_session(record.event)

    def _note_session(self, event: events.Event) -> None:
        """Note how far a drill is, and who has the incident."""
        match event:
            case events.DrillStarted():
                self.drill = event
            case events.DrillPaused() | events.DrillResumed():
                self.paused = isinstance(event, events.DrillPaused)
            case events.DrillDebriefed():
                self._debrief(event)
            case events.AlertAcknowledged(by=by):
                self.taken = True
                self.taken_by = self.taken_by or by or "?"
            case events.OrderGiven(order="hand-over", to=str() as to):
                self.taken_by = to
            case _:
                pass

    def _debrief(self, debriefed: events.DrillDebriefed) -> None:
        """From here on everybody may be told all of it: open what could not be opened before."""
        self.box = self.box or next(iter(boxes_of([debriefed])), None)
        records, self._unopened = self._unopened, []
        for record in unsealed(records, self._path, self.box):
            if not isinstance(record.event, events.Sealed):
                self._take(record)
        self.debriefed = True  # not before all is there: a page may look at any time

    def _take_sample(self, line: bytes, at: int) -> None:
        """Take in a line of the samples; one that is damaged is passed over."""
        try:
            fields = json_object(json.loads(line))
            if "series" in fields:
                self._series.update(
                    {int(id_): label_set(dict(each)) for id_, each in fields["series"]}
                )
            elif "readings" in fields:
                self.ticks.append(self._tick(read_object(LiveEvaluation, fields), at))
            else:
                self._scrape(fields["t"], fields["values"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return

    def _scrape(self, t_ns: int, values: Sequence[tuple[int, float]]) -> None:
        series = ((self._series[id_], float(value)) for id_, value in values)
        kept = (each for each in series if not value_of(each[0], NAME).startswith(_OURS))
        self.store.append(t_ns, kept, source="samples")
        self.sampled_ns = max(self.sampled_ns, t_ns)

    def _tick(self, seen: LiveEvaluation, at: int) -> Tick:
        alerts = [
            AlertTold(each.name, each.state, each.labels, self.since_began(each.active_at_ns))
            for each in seen.alerts
        ]
        return Tick(
            at=at,
            t=self.since_began(seen.t_ns),
            figures=charts.figures(self.store, seen),
            alerts=None if seen.alerts_problem else alerts,
            rate_per_s=None if seen.traffic is None else round(seen.traffic.rate_per_s, 2),
        )
