"""k6's abortOnFail: a threshold that is crossed ends the run, as a guard does.

The collector reads the thresholds at every instant, over the traffic since its beginning. One
without a sample is not crossed, and none ends the run before its `delayAbortEval`. What the run
shows is then what a guard leaves: the faults come out, and its performance is not judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gameday.core.clock import NS
from gameday.run.context import Run
from gameday.spec.experiment import Experiment
from gameday.telemetry.catalogue import key
from gameday.telemetry.samples import Evaluation
from gameday.traffic.metrics import request_tags


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


def aborting(experiment: Experiment, t0_ns: int = 0) -> Iterator[Aborting]:
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


def settings(run: Run) -> dict[str, Any]:
    """The collector's settings for these thresholds."""
    issue = run.system.requests.issue
    return {
        "thresholds": {
            one.name: {"metric": one.metric, "threshold": one.threshold}
            for one in aborting(run.experiment)
        },
        "tags": request_tags(issue.method, issue.path),
    }
