"""One instant of the grid: scrape, fold, put into the store, evaluate, write.

The values carry the instant's exact timestamp, not the one at which the answer came.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gameday.core.clock import Clock, wall_time_ns
from gameday.core.secrets.redaction import Hidden
from gameday.spec.users import read_users
from gameday.spec.users_hidden import hiding
from gameday.telemetry.collector.abort_thresholds import Thresholds
from gameday.telemetry.collector.evaluation import SeriesEvaluator
from gameday.telemetry.collector.samples_writer import SamplesWriter
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import CollectorSettings, ReceiverSettings, ScrapeTarget
from gameday.telemetry.promql.labels import Labels, label_set, labels
from gameday.telemetry.samples import LiveEvaluation
from gameday.telemetry.sources.fault_windows import FaultWindows
from gameday.telemetry.sources.notifications import (
    Alertmanager,
    OwnBridge,
    RemoteBridge,
    RoutingError,
)
from gameday.telemetry.sources.prometheus import PrometheusSource
from gameday.telemetry.sources.prometheus_api import Prometheus
from gameday.telemetry.sources.routing import Routing, exposition
from gameday.telemetry.sources.scrapes import ScrapeSource
from gameday.telemetry.sources.source import Source, TargetScrape
from gameday.traffic.metrics import LiveTraffic

_MS = 1_000_000


class Instants:
    """The work of each instant, and the state that a collector keeps between two of them."""

    def __init__(self, settings: CollectorSettings, clock: Clock) -> None:
        self._clock = clock
        wall_offset_ns = wall_time_ns() - clock.now_ns()
        rules = settings.rules if settings.prometheus is None else ()  # it has rules of its own
        self._evaluation = SeriesEvaluator(settings.expressions, rules, wall_offset_ns)
        self._routing = _routing_of(settings, clock)
        self._series_to = _bridge_at(settings, settings.series_to, clock)
        self._faults = FaultWindows(settings.journal)
        self._scrapes = settings.prometheus is None
        self._scraper: Scraper | None = None
        self._dismissed: list[str] = []
        self._source = self._source_of(settings)
        self._thresholds = Thresholds(settings.thresholds, settings.tags)
        totals = self._thresholds.totals
        self._traffic = LiveTraffic(settings.history_dir, totals, settings.scenarios)
        self._writer = SamplesWriter(settings.samples, *_masks(settings))

    async def open(self) -> None:
        """Open the port for notifications, where one is asked for. Raises UsageError."""
        await self._routing.open()

    async def measure(self, t_ns: int) -> LiveEvaluation:
        """Everything of the instant `t_ns`, recorded."""
        late_ms = (self._clock.now_ns() - t_ns) / _MS
        told = await self._source.ask(t_ns)
        answers = told.targets
        traffic = self._read_traffic()
        self._keep(t_ns, answers, traffic)
        found = self._evaluation.at(t_ns, told)
        series = {**traffic, **self._faults.series()}
        routing = await self._routing.exchange(series)
        await self._show(series)
        readings, figures = self._thresholds.read(t_ns)
        live = replace(
            found,
            readings={**found.readings, **readings},
            figures={**found.figures, **figures},
            down={answer.target: answer.problem for answer in answers if not answer.up},
            traffic=self._traffic.moment(),
            up={answer.target: answer.up for answer in answers},
            routing=routing,
            late_ms=round(late_ms, 3),
        )
        scraped = {k: v for answer in answers for k, v in answer.series.items()}
        own = {**traffic, **self._ups(answers)}
        self._writer.write({**scraped, **own}, live, own)
        return live

    async def _show(self, series: Mapping[Labels, float]) -> None:
        """Put the series where a Prometheus scrapes them that this run is not measured by.

        What is drawn of them then is missing where that fails, and nothing else.
        """
        if self._series_to is not None:
            with suppress(RoutingError):
                await self._series_to.put_series(exposition(series))

    def retarget(self, targets: Sequence[ScrapeTarget]) -> None:
        """Ask these from the next instant on; the series of those that are gone end there.

        A Prometheus finds its targets itself.
        """
        if self._scraper is not None:
            self._dismissed += self._scraper.retarget(targets)

    async def close(self) -> None:
        await self._source.close()
        await self._routing.close()
        if self._series_to is not None:
            await self._series_to.close()
        self._traffic.close()
        self._writer.close()

    def _read_traffic(self) -> dict[Labels, float]:
        """Every `k6_*` series, after all that was recorded until now."""
        self._traffic.read(self._clock.now_ns())
        every = (one for fold in self._traffic.folds.values() for one in fold.series())
        return {label_set(pairs): value for pairs, value in every}

    def _source_of(self, settings: CollectorSettings) -> Source:
        timeout_s, asked = settings.scrape_timeout_s, settings.prometheus
        if asked is None:
            self._scraper = Scraper(settings.targets, timeout_s, settings.tls)
            return ScrapeSource(self._scraper)
        server = Prometheus(asked.url, asked.headers, timeout_s, settings.tls)
        queries = list(self._evaluation.queries.values())
        return PrometheusSource(server, queries, asked.scrape_s, self._clock)

    def _keep(
        self, t_ns: int, answers: Sequence[TargetScrape], traffic: Mapping[Labels, float]
    ) -> None:
        """Into the store goes what is evaluated here: a Prometheus evaluates its own."""
        store = self._evaluation.store
        for answer in answers if self._scrapes else ():
            store.append(t_ns, {**answer.series, **self._ups([answer])}.items(), answer.target)
        for name in self._dismissed:
            store.append(t_ns, (), source=name)
        self._dismissed.clear()
        store.append(t_ns, traffic.items(), source="")

    def _ups(self, answers: Sequence[TargetScrape]) -> dict[Labels, float]:
        """`up` of the targets that we scrape; that of others is Prometheus' to tell."""
        if not self._scrapes:
            return {}
        return {labels("up", instance=answer.target): float(answer.up) for answer in answers}


def _routing_of(settings: CollectorSettings, clock: Clock) -> Routing:
    asked, manager, timeout_s = settings.receiver, settings.alertmanager, settings.scrape_timeout_s
    receiver: OwnBridge | RemoteBridge | None = _bridge_at(settings, asked, clock)
    if receiver is None and asked is not None:
        receiver = OwnBridge(asked.host, asked.port, asked.token, clock)
    if manager is None:
        return Routing(receiver, None)
    known = Alertmanager(manager.url, manager.headers, timeout_s, settings.tls)
    return Routing(receiver, known)


def _bridge_at(
    settings: CollectorSettings, asked: ReceiverSettings | None, clock: Clock
) -> RemoteBridge | None:
    if asked is None or not asked.url:
        return None
    return RemoteBridge(asked.url, asked.token, settings.scrape_timeout_s, settings.tls, clock)


def _masks(settings: CollectorSettings) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """What hides secrets in a text, and in a label. Raises UsageError for no file of users.

    Labels are words of expressions, too, and those stay.
    """
    words = _words(settings)
    text, label = Hidden(settings.hidden), Hidden(settings.hidden, words)
    users = settings.users
    if users is None:
        return text, label
    table = read_users(Path(users.file))
    hide_label = hiding(label, users, table)
    return hiding(text, users, table), lambda told: told if told in words else hide_label(told)


def _words(settings: CollectorSettings) -> str:
    """The text of expressions and rules: labels they name must be readable in the samples."""
    rules = [path.read_text("utf-8", "replace") for path in settings.rules]
    return "\n".join([*settings.expressions.values(), *rules])
