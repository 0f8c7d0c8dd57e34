"""k6's abortOnFail: thresholds that end a run when they are crossed, as a guard does.

They are read at every instant, over all that was recorded so far. One without a sample is not
crossed, and none ends the run before its `delayAbortEval`. What the run shows is then what a guard
leaves: the faults come out, and its performance is not judged.

Their readings stand beside those of the expressions, as `threshold:<n>`: true is kept, false is
crossed, null is without a sample. As in k6 they are of the traffic since its beginning, with no
moving window. Where in the run a start was due is not known here, so a threshold on the tag
`window` reads null, and is judged in the end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gameday.core.clock import NS
from gameday.telemetry.catalogue import key
from gameday.telemetry.samples import Evaluation
from gameday.traffic import thresholds
from gameday.traffic.metrics import About, RunningTotals

if TYPE_CHECKING:
    from gameday.spec.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Aborting:
    """One threshold that may end the run, and its name among the readings."""

    name: str
    metric: str
    threshold: str
    not_before_ns: int

    @property
    def text(self) -> str:
        return f"{self.metric} {self.threshold}"

    def trips(self, evaluation: Evaluation) -> str:
        """`crossed` when it may end the run; empty while it need not."""
        early = evaluation.t_ns < self.not_before_ns
        return "" if early or evaluation.readings.get(self.name) is not False else "crossed"


def aborting(experiment: "Experiment", t0_ns: int = 0) -> Iterator[Aborting]:
    """Thresholds of the file that have `abortOnFail`, numbered; `t0_ns` began the traffic."""
    every = (
        (metric, one)
        for metric, thresholds in sorted(experiment.expect.thresholds.items())
        for one in thresholds
        if not isinstance(one, str) and one.abortOnFail
    )
    for n, (metric, one) in enumerate(every):
        delay_ns = round(one.delayAbortEval.total_seconds() * NS)
        yield Aborting(key("threshold", n), metric, one.threshold, t0_ns + delay_ns)


class Thresholds:
    """The metrics of some thresholds, over all that was recorded so far."""

    def __init__(self, watched: Iterable[Aborting], tags: Mapping[str, str]) -> None:
        self._wanted = {one.name: (one.metric, thresholds.parse(one.threshold)) for one in watched}
        metrics = sorted({metric for metric, _ in self._wanted.values()})
        self.totals = RunningTotals(metrics, About(tags=tags))

    def read(self, now_ns: int) -> tuple[dict[str, bool | None], dict[str, float | None]]:
        """Readings and figures by name."""
        readings: dict[str, bool | None] = {}
        measured: dict[str, float | None] = {}
        for name, (metric, asked) in self._wanted.items():
            readings[name], measured[name] = self.totals.keeps(metric, asked, now_ns)
        return readings, measured
