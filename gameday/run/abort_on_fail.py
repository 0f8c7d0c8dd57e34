"""k6's abortOnFail: a threshold that is crossed ends the run, as a guard does.

The collector reads the thresholds at every instant, over the traffic since its beginning. One
without a sample is not crossed, and none ends the run before its `delayAbortEval`. What the run
shows is then what a guard leaves: the faults come out, and its performance is not judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.core.clock import NS
from gameday.evidence.events import GuardTripped
from gameday.run.context import Run
from gameday.run.readings import truth
from gameday.spec.experiment import Experiment
from gameday.telemetry.samples import Evaluation
from gameday.traffic.metrics import request_tags

SILENT_S = 6.0


@dataclass(frozen=True, slots=True)
class Aborting:
    """One threshold that may end the run, and its name among the readings."""

    name: str
    metric: str
    threshold: str
    delay_s: float

    @property
    def text(self) -> str:
        return f"{self.metric} {self.threshold}"


def aborting(experiment: Experiment) -> Iterator[Aborting]:
    """Thresholds of the file that have `abortOnFail`, numbered."""
    every = (
        (metric, one)
        for metric, thresholds in sorted(experiment.expect.thresholds.items())
        for one in thresholds
        if not isinstance(one, str) and one.abortOnFail
    )
    for n, (metric, one) in enumerate(every):
        yield Aborting(f"threshold:{n}", metric, one.threshold, one.delayAbortEval.total_seconds())


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


async def thresholds(run: Run) -> None:
    """Abort when a threshold that may do so is crossed."""
    watched = list(aborting(run.experiment))
    seen = 0
    while watched:
        await run.readings.next(SILENT_S)
        for evaluation in run.readings.all[seen:]:
            since_s = (evaluation.t_ns - run.at_ns(0)) / NS
            one = first_crossed(watched, evaluation, since_s)
            if one is not None:
                run.journal.write(GuardTripped(guard=one.text, why="crossed"))
                run.abort("guard", f"{one.text} is crossed")
                return
        seen = len(run.readings.all)


def first_crossed(
    watched: Sequence[Aborting], evaluation: Evaluation, since_s: float
) -> Aborting | None:
    """The first that is crossed, `since_s` after t = 0, and need not wait any longer."""
    ready = (one for one in watched if since_s >= one.delay_s)
    return next((one for one in ready if truth(evaluation, one.name) is False), None)
