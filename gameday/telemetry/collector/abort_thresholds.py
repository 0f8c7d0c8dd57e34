"""The thresholds that may end a run: read at every instant, over all that was recorded so far.

Their readings stand beside those of the expressions, as `threshold:<n>`: true is kept, false is
crossed, null is without a sample. As in k6 they are of the traffic since its beginning, with no
moving window. Where in the run a start was due is not known here, so a threshold on the tag
`window` reads null, and is judged in the end.
"""

from collections.abc import Mapping

from gameday.telemetry.collector.settings import Bound
from gameday.traffic import thresholds
from gameday.traffic.metrics import About, RunningTotals


class Thresholds:
    """The metrics of some thresholds, over all that was recorded so far."""

    def __init__(self, bounds: Mapping[str, Bound], tags: Mapping[str, str]) -> None:
        self._wanted = {
            name: (bound.metric, thresholds.parse(bound.threshold))
            for name, bound in bounds.items()
        }
        metrics = sorted({metric for metric, _ in self._wanted.values()})
        self.totals = RunningTotals(metrics, About(tags=tags))

    def read(self, now_ns: int) -> tuple[dict[str, bool | None], dict[str, float | None]]:
        """Readings and figures by name."""
        readings: dict[str, bool | None] = {}
        measured: dict[str, float | None] = {}
        for name, (metric, asked) in self._wanted.items():
            readings[name], measured[name] = self.totals.keeps(metric, asked, now_ns)
        return readings, measured
