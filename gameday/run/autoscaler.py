"""Autoscaler of a run: replicas of the service follow a metric, as in a cluster.

The rule is that of Kubernetes' HorizontalPodAutoscaler for an average value: as many replicas as
the load needs at its target each, nothing for a difference of a tenth, more at once, and fewer only
when no more were wanted for the whole of the stabilization window. So an experiment shows on a
laptop what the same numbers would do there.
"""

from collections import deque
from dataclasses import replace
from math import ceil, isfinite
from typing import Final

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError
from gameday.evidence.events import AutoscalerScaled, AutoscalerScaling
from gameday.evidence.journal import Journal
from gameday.injection.drivers.scale import scale
from gameday.run.readings import Readings
from gameday.spec.system import Autoscaler
from gameday.spec.undos import ScaleUndo
from gameday.telemetry.catalogue import key

TOLERANCE: Final = 0.1  # Kubernetes' default
LOOK_S: Final = 5.0  # for a reading; where none comes nothing is scaled


class Recommender:
    """The number of replicas that there should be, from one load after the other."""

    def __init__(self, settings: Autoscaler) -> None:
        self._settings = settings
        self._window_ns = int(settings.stabilization.total_seconds() * NS)
        self._wanted: deque[tuple[int, int]] = deque()

    def __call__(self, t_ns: int, load: float, now: int) -> int:
        """Replicas for a load at an instant, where there are `now`.

        Where nothing is known of the window, what is there counts as wanted until now.
        """
        settings, most = self._settings, self._settings.most  # it may ask for more than there is
        ratio = load / (settings.target * now)
        needed = (
            now if abs(ratio - 1) <= TOLERANCE else ceil(max(0, min(load / settings.target, most)))
        )
        while self._wanted and self._wanted[0][0] < t_ns - self._window_ns:
            self._wanted.popleft()
        for count in [needed] if self._wanted else [now, needed]:
            self._wanted.append((t_ns, min(most, max(settings.least, count))))
        newest = self._wanted[-1][1]
        return newest if newest >= now else min(now, max(count for _, count in self._wanted))


class ReplicaScaler:
    """The autoscaler at work; `record` is how the service is scaled, and how many there are."""

    def __init__(
        self,
        settings: Autoscaler,
        record: ScaleUndo,
        readings: Readings,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._recommend = Recommender(settings)
        self._first = record
        self._now = record.replicas
        self._altered = False
        self._scaled_ns = 0
        self._readings = readings
        self._journal = journal
        self._clock = clock

    async def follow(self) -> None:
        """Look at every reading, and scale where another number is wanted."""
        name, seen = key("autoscaler"), 0
        while True:
            news = self._readings.all[seen:]
            seen += len(news)
            for each in news:
                load = each.figures.get(name)
                if load is None or not isfinite(load):
                    continue  # nothing is scaled for what is not known
                wanted = self._recommend(each.t_ns, load, self._now)
                # What was read while it scaled was of other replicas: it is only remembered.
                if wanted != self._now and each.t_ns > self._scaled_ns:
                    await self._scale(wanted, load)
            await self._readings.next(LOOK_S)

    async def take_back(self) -> None:
        """Bring back as many replicas as there were at first, if that was ever altered."""
        if self._altered:
            await self._scale(self._first.replicas, None)

    async def _scale(self, replicas: int, load: float | None) -> None:
        """Scale, with the undo on the disk before; a failure is told, and tried again."""
        begun_ns = self._clock.now_ns()
        await self._journal.write_durably(
            AutoscalerScaling(replicas=replicas, before=self._now, load=load, undo=self._first)
        )
        self._altered, why = True, None
        try:
            await scale(replace(self._first, action="autoscaler", replicas=replicas))
            self._now = replicas
        except GamedayError as error:
            why = error.message
        self._scaled_ns = self._clock.now_ns()
        took_s = round((self._scaled_ns - begun_ns) / NS, 3)
        back = load is None
        self._journal.write(AutoscalerScaled(replicas=replicas, took_s=took_s, why=why, back=back))
