"""The service's metrics, every one present from the start at zero.

Counters and histograms are updated where things happen. Gauges that are read from other parts
(open requests and their age, connections, control state) are worked out when somebody scrapes,
by `Live`, so that they are never older than the scrape.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from system_under_test.control import Control
from system_under_test.lane import AnyLane

OUTCOMES = (
    "issued", "duplicate", "sold_out", "not_found", "closed", "invalid", "limited", "paused",
    "unavailable", "unknown",
)  # fmt: skip
DEPENDENCIES = ("redis", "postgres")
SECONDS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15,
    0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0,
)  # fmt: skip
OVER_S = (0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """Counters and histograms, with one child looked up per label value."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        requests = Counter(
            "issuance_requests", "Issue requests by outcome.", ["outcome"], registry=self.registry
        )
        self.requests = {outcome: requests.labels(outcome) for outcome in OUTCOMES}
        self.request_seconds = Histogram(
            "issuance_request_seconds", "Whole issue requests.", buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.fenced = Counter(
            "issuance_fenced", "Decisions overtaken by a new epoch.", registry=self.registry
        )
        seconds = Histogram(
            "dependency_seconds", "Calls and pings; a failed one until it failed.", ["dependency"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        errors = Counter(
            "dependency_errors", "Calls and pings that failed.", ["dependency"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = {name: seconds.labels(name) for name in DEPENDENCIES}
        self._errors = {name: errors.labels(name) for name in DEPENDENCIES}

    def dependency(self, name: str) -> Callable[[float, bool], None]:
        """A function that notes one call to `name`: how long it took, whether it worked."""
        seconds, errors = self._seconds[name], self._errors[name]

        def observe(elapsed_s: float, worked: bool) -> None:  # noqa: FBT001 - a callback's shape
            seconds.observe(elapsed_s)
            if not worked:
                errors.inc()

        return observe


@dataclass(slots=True)
class Books:
    """The counts in the stores when last compared; `redis_remaining` only for current views."""

    rows: dict[str, int] = field(default_factory=dict)
    redis_remaining: dict[str, int] = field(default_factory=dict)
    drift: dict[str, int] = field(default_factory=dict)


class Live(Collector):
    """Gauges worked out at the moment of the scrape, in the scraping thread."""

    def __init__(self, control: Control, unsettled: Callable[[], int]) -> None:
        self._control, self._unsettled = control, unsettled
        self.lanes: dict[str, AnyLane] = {}
        self.open: dict[object, float] = {}
        self.books = Books()

    def watch(self, name: str, lane: AnyLane) -> None:
        """Report the connections of `lane` under the dependency `name`."""
        self.lanes[name] = lane

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._requests()
        yield from self._connections()
        yield from self._control_state()
        yield from self._coupons()

    def _requests(self) -> Iterator[GaugeMetricFamily]:
        now = time.perf_counter()
        ages = [now - began for began in list(self.open.values())]
        yield _gauge("issuance_in_flight", "Issue requests not yet answered.", len(ages))
        yield _gauge(
            "issuance_oldest_in_flight_seconds", "Age of the oldest.", max(ages, default=0.0)
        )
        over = GaugeMetricFamily(
            "issuance_in_flight_over", "Unanswered for longer than `le` seconds.", labels=["le"]
        )
        for bound in OVER_S:
            over.add_metric([str(bound)], sum(age > bound for age in ages))
        yield over
        yield _gauge("issuance_unsettled", "Reservations to be settled.", self._unsettled())

    def _connections(self) -> Iterator[GaugeMetricFamily]:
        used = GaugeMetricFamily("pool_in_use", "Connections in use.", labels=["dependency"])
        size = GaugeMetricFamily("pool_size", "Connections wanted.", labels=["dependency"])
        live = GaugeMetricFamily("pool_live", "Connections open.", labels=["dependency"])
        for name, lane in self.lanes.items():
            used.add_metric([name], lane.in_use)
            size.add_metric([name], lane.pace.connections)
            live.add_metric([name], lane.live)
        yield from (used, size, live)

    def _control_state(self) -> Iterator[GaugeMetricFamily]:
        campaigns = self._control.open
        strategy = GaugeMetricFamily(
            "issuance_strategy", "1 where every open campaign uses it.", labels=["strategy"]
        )
        for name in DEPENDENCIES:
            used = all(c.strategy == name for c in campaigns) if campaigns else name == "redis"
            strategy.add_metric([name], used)
        yield strategy
        paused = [c.paused_s or 0.0 for c in campaigns if c.paused]
        yield _gauge("issuance_paused", "1 while a campaign is paused.", bool(paused))
        yield _gauge("issuance_paused_seconds", "Longest pause.", max(paused, default=0.0))
        yield _gauge(
            "issuance_limit_users", "1 while users are limited.", self._control.limit_users
        )

    def _coupons(self) -> Iterator[GaugeMetricFamily]:
        books, campaigns = self.books, self._control.open
        families = {
            name: GaugeMetricFamily(name, text, labels=["coupon"])
            for name, text in (
                ("issuance_stock", "Coupons there are to issue."),
                ("issuance_remaining", "Stock less recorded rows."),
                ("issuance_redis_remaining", "What Redis holds as left, while current."),
                ("issuance_rows", "Recorded issues."),
            )
        }
        for campaign in campaigns:
            families["issuance_stock"].add_metric([campaign.code], campaign.stock)
            rows = books.rows.get(campaign.code)
            if rows is not None:
                families["issuance_rows"].add_metric([campaign.code], rows)
                left = campaign.stock - rows
                families["issuance_remaining"].add_metric([campaign.code], left)
        for code, left in books.redis_remaining.items():
            families["issuance_redis_remaining"].add_metric([code], left)
        yield from families.values()
        over = [books.rows.get(c.code, 0) - c.stock for c in campaigns]
        yield _gauge("issuance_over_issued", "Rows beyond the stock.", max(0, *over, 0))
        yield _gauge(
            "issuance_store_drift",
            "Rows and holders that differ while both are current.",
            sum(books.drift.values()),
        )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
