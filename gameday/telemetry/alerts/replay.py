"""Rules over the recorded samples of a run: when each alert would have been pending, and fired.

The samples go through the store and the state machine that the collector uses live, one instant
after the other, so the rules of a run give the alerts that the run recorded. A recorded scrape
holds all that was told at its instant; what it no longer has has gone stale.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gameday.core.clock import NS
from gameday.telemetry.alerts.rules import RuleFile
from gameday.telemetry.alerts.state import AlertInstance, Evaluator
from gameday.telemetry.promql import InstantEvaluator, SeriesStore
from gameday.telemetry.promql.evaluate import PROMETHEUS_3, PromqlSemantics
from gameday.telemetry.promql.labels import Labels, label_set
from gameday.telemetry.samples import Evaluation, Scrape

_SPARE_S: Final = 10.0  # a sample at the far end of a window still has its predecessor
_SOURCE: Final = "samples"


@dataclass(frozen=True, slots=True)
class LabelledScrape:
    """A recorded scrape as the store takes it."""

    t_ns: int
    values: Sequence[tuple[Labels, float]]


def labelled(lines: Iterable[Evaluation | Scrape]) -> list[Evaluation | LabelledScrape]:
    """The lines of a run, made once for all the rules that are replayed over them."""
    known: dict[int, tuple[Mapping[str, str], Labels]] = {}  # by identity: a series is read once
    found: list[Evaluation | LabelledScrape] = []
    for line in lines:
        if isinstance(line, Scrape):
            for series, _ in line.values:
                if id(series) not in known:
                    known[id(series)] = series, label_set(series)
            values = [(known[id(series)][1], value) for series, value in line.values]
            found.append(LabelledScrape(line.t_ns, values))
        else:
            found.append(line)
    return found


@dataclass(frozen=True, slots=True)
class ReplayedInstant:
    """The alerts that are pending or firing at an instant, and why rules had no value, by rule."""

    t_ns: int
    alerts: Sequence[AlertInstance]
    problems: dict[str, str]


class RuleReplay:
    """Some rule files, and the samples they have seen so far; `spare_s` of them are kept at least.

    `wall_offset_ns` is what wall time is ahead of the samples' clock: `time()` and dates read it.
    """

    def __init__(
        self,
        files: Sequence[RuleFile],
        wall_offset_ns: int = 0,
        semantics: PromqlSemantics = PROMETHEUS_3,
        *,
        spare_s: float = 0.0,
    ) -> None:
        self._semantics = semantics
        self._evaluator = Evaluator(files)
        longest_s = max((spare_s, *(file.window_s for file in files)))
        self._store = SeriesStore(longest_s + _SPARE_S, wall_offset_ns=wall_offset_ns)

    def take(self, scrape: LabelledScrape) -> None:
        """One recorded scrape, later than all before it."""
        self._store.append(scrape.t_ns, scrape.values, source=_SOURCE)

    def moment(self, t_ns: int) -> InstantEvaluator:
        """Any expression at that instant, over what was taken so far."""
        return InstantEvaluator(self._store, t_ns, self._semantics)

    def at(self, t_ns: int, moment: InstantEvaluator | None = None) -> ReplayedInstant:
        """Every rule at that instant, over what was taken so far; `moment` is one of the same."""
        moment = moment or self.moment(t_ns)
        alerts = self._evaluator.tick(self._store, t_ns, moment)
        return ReplayedInstant(t_ns, alerts, dict(self._evaluator.problems))


def replay(
    lines: Iterable[Evaluation | LabelledScrape],
    files: Sequence[RuleFile],
    wall_offset_ns: int = 0,
    semantics: PromqlSemantics = PROMETHEUS_3,
) -> Iterator[ReplayedInstant]:
    """What the rules say at each instant at which the run evaluated its own."""
    played = RuleReplay(files, wall_offset_ns, semantics)
    for line in lines:
        if isinstance(line, LabelledScrape):
            played.take(line)
        else:
            yield played.at(line.t_ns)


def period_ns(scrapes: Sequence[LabelledScrape]) -> int:
    """The step of the grid on which the scrapes lie: the shortest between two, 1 s for one."""
    times = [each.t_ns for each in scrapes]
    return min((b - a for a, b in pairwise(times)), default=NS)
