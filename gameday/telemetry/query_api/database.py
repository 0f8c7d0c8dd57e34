"""The samples of a run in memory, read on as they are appended, with its rules evaluated over them.

Instants are wall time in whole milliseconds, as in a Prometheus that had scraped them: a query
comes to what it would come to there. Rules are evaluated at the instants at which the run did;
what they record is there, and so are `ALERTS` and `ALERTS_FOR_STATE`. Where a run has no rule
files yet, or keeps them sealed until a drill is over, its alerts are those that it has recorded.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from gameday.core.errors import GamedayError
from gameday.core.files.tail import Tail
from gameday.core.json import DAMAGED
from gameday.telemetry.alerts.rules import ALERTS, ALERTS_FOR_STATE, load_rules
from gameday.telemetry.alerts.state import AlertInstance, EvaluatedGroup, Evaluator
from gameday.telemetry.promql import (
    InstantEvaluator,
    Labels,
    PromqlSemantics,
    SeriesStore,
    label_set,
    parse,
)
from gameday.telemetry.query_api.settings import QueryApiSettings
from gameday.telemetry.samples import Evaluation, SamplesReader, Scrape

AT_ONCE: Final = 200  # lines of one turn: whoever asks meanwhile is not kept waiting for long
_MS: Final = 1_000_000
_FOR_EVER_S: Final = 1e9
_SOURCE: Final = "samples"


class SampleDatabase:
    """All samples of a run so far. It is used by one thread at a time."""

    def __init__(self, settings: QueryApiSettings) -> None:
        self.store = SeriesStore(_FOR_EVER_S)
        self.last_ns: int | None = None
        self._settings = settings
        self._tail = Tail(settings.samples)
        self._reader = SamplesReader()
        self._labels: dict[int, tuple[Mapping[str, str], Labels]] = {}
        self._evaluator: Evaluator | None = None
        self._recorded: Sequence[AlertInstance] = ()
        self._scrapes: deque[tuple[int, int]] = deque()  # each one's instant and samples
        self._kept = 0
        self._damage = self._rules_problem = ""

    def read_on(self, most: int = AT_ONCE) -> bool:
        """Take in what was appended; False when that is all there is for now."""
        if self._damage:
            return False
        count = 0
        for raw in islice(self._tail.lines(), most):
            count += 1
            try:
                self._take(self._reader.line(raw))
            except DAMAGED:
                self._damage = f"{self._settings.samples.name}: a line cannot be read"
                return False
        return count == most

    @property
    def now_ns(self) -> int | None:
        """The last instant of a run that is over, None where it is under way."""
        return self.last_ns if self._settings.is_over else None

    @property
    def semantics(self) -> PromqlSemantics:
        """The rules by which everything is evaluated."""
        return self._settings.semantics

    @property
    def warnings(self) -> list[str]:
        """Warnings for those who ask: what they should know of the samples."""
        found = []
        if self._damage:
            found.append(f"{self._damage}: nothing after it is told")
        if self.store.forgotten_ns is not None:
            before_s = self.store.forgotten_ns // (1000 * _MS)
            found.append(f"samples before {before_s} are no longer in memory")
        return found

    @property
    def rules_problem(self) -> str:
        """The reason why the rules of the run are not evaluated, "" where they are."""
        return self._rules_problem

    def groups(self) -> list[EvaluatedGroup]:
        """The groups of rules, as they were evaluated last."""
        return [] if self._evaluator is None else self._evaluator.groups()

    def alerts(self) -> list[AlertInstance]:
        """Every alert that is pending or firing at the last instant."""
        if self._evaluator is None:
            return list(self._recorded)
        return [alert for group in self.groups() for rule in group.rules for alert in rule.alerts]

    def _take(self, line: Evaluation | Scrape | None) -> None:
        if isinstance(line, Scrape):
            self._take_scrape(line)
        elif line is not None:
            self._evaluate(line)

    def _take_scrape(self, scrape: Scrape) -> None:
        t_ns = self._wall_ns(scrape.t_ns)
        values = [(self._labels_of(series), value) for series, value in scrape.values]
        self.store.append(t_ns, values, source=_SOURCE)
        self.last_ns = t_ns
        self._scrapes.append((t_ns, len(values)))
        self._kept += len(values)
        if self._kept > self._settings.bounds.kept:
            self._forget()

    def _labels_of(self, series: Mapping[str, str]) -> Labels:
        """The label set of a series, made once: the reader has one object for each."""
        known = self._labels.get(id(series))
        if known is None or known[0] is not series:
            known = self._labels[id(series)] = series, label_set(series)
        return known[1]

    def _forget(self) -> None:
        """Forget the oldest quarter of what may be kept."""
        while self._scrapes and self._kept > 0.75 * self._settings.bounds.kept:
            _, gone = self._scrapes.popleft()
            self._kept -= gone
        if self._scrapes:
            self.store.forget_before(self._scrapes[0][0])

    def _evaluate(self, line: Evaluation) -> None:
        if self._evaluator is None:
            self._evaluator = self._load_rules()
        t_ns = self._wall_ns(line.t_ns)
        if self._evaluator is not None:
            moment = InstantEvaluator(self.store, t_ns, self.semantics)
            self._evaluator.tick(self.store, t_ns, moment)
            return
        self._recorded = [
            AlertInstance(
                labels=label_set(each.labels),
                state=each.state,
                active_at_ns=self._wall_ns(each.active_at_ns),
                fired_at_ns=None,
                value=1.0,
            )
            for each in line.alerts
        ]

    def _load_rules(self) -> Evaluator | None:
        """The rules of the run, from its first evaluation on; None where there are no files."""
        folder = self._settings.rules
        paths = (
            sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else ()
        )
        if not paths or self._rules_problem:
            return None
        try:
            files = [load_rules(path) for path in paths]
        except GamedayError as error:
            self._rules_problem = error.message.rpartition("/")[2]
            return None
        return Evaluator(files, [parse(ALERTS), parse(ALERTS_FOR_STATE)])

    def _wall_ns(self, t_ns: int) -> int:
        return (t_ns + self._settings.wall_offset_ns + _MS // 2) // _MS * _MS
