"""The state that a step is to bring about, looked for on each replica by itself.

What is read of all replicas together tells nothing of one that is not scraped, and not which one
lags behind. So each is asked for its metrics once more, and the probe is evaluated on them alone.
A probe that counts or adds up replicas, or needs more than the sample of now (a rate, a subquery,
an offset), says nothing about one: what was read of all of them stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gameday.core.clock import Clock
from gameday.injection import replicas
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.spec.undos import ProjectUndo, ScaleUndo
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget
from gameday.telemetry.promql import (
    EvaluationError,
    Query,
    SeriesStore,
    parse,
    range_functions,
    reading,
)
from gameday.telemetry.promql.nodes import (
    Aggregation,
    FunctionCall,
    Node,
    Selector,
    Subquery,
    children,
)

ANSWER_S: Final = 2.0
_OF_ONE: Final = frozenset({"min", "max", "avg", "group"})
"""Aggregations that are of one replica what they are of all."""
_OF_ONE_SAMPLE: Final = frozenset(
    f"{name}_over_time" for name in ("last", "min", "max", "avg", "quantile", "present", "absent")
)
"""Functions of a range that one sample in it has an answer to."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas of the service of a compose project, behind `base_url` the first of them."""

    project: ProjectUndo
    service: str
    base_url: str
    metrics: str
    tls: Tls

    @classmethod
    def of(cls, system: System, known: ScaleUndo | None) -> "Replicas | None":
        """Those of a system; None where the stack has no replicas that can be told apart."""
        if known is None or not system.metrics:
            return None
        base_url, metrics = (
            urlsplit(system.admin_url or system.base_url),
            urlsplit(system.metrics[0]),
        )
        if metrics.netloc != base_url.netloc:
            return None
        return cls(known.project, known.name, base_url.geturl(), metrics.path, system.tls)

    async def addresses(self) -> Mapping[str, str]:
        """The address of each by its name. Raises EngineError."""
        return await replicas.addresses(self.project, self.service, self.base_url)

    async def without(self, probe: str, clock: Clock, *, wanted: bool) -> list[str]:
        """The names of those whose own metrics do not read as `wanted`. Raises EngineError."""
        found = await self.addresses()
        query = parse(probe)
        if len(found) < 2 or not is_of_one(query):
            return []
        away = [name for name, url in found.items() if not url]
        targets = [
            ScrapeTarget(name=name, url=urlsplit(url)._replace(path=self.metrics).geturl())
            for name, url in found.items()
            if url
        ]
        scraper = Scraper(targets, ANSWER_S, self.tls)
        try:
            answers = await scraper.ask_all()
        finally:
            await scraper.close()
        for answer in answers:
            store, now_ns = SeriesStore(retention_s=query.window_s), clock.now_ns()
            store.append(now_ns, answer.series.items(), source=answer.target)
            if not answer.up or _read(query, store, now_ns) is (not wanted):
                away.append(answer.target)
        return sorted(away)


def _read(query: Query, store: SeriesStore, t_ns: int) -> bool | None:
    try:
        return reading(query, store, t_ns)
    except EvaluationError:
        return None


def is_of_one(query: Query) -> bool:
    """True if a probe asks of the one sample of a replica what it asks of all."""
    return _is_of_one(query.node)


def _is_of_one(node: Node) -> bool:
    match node:
        case Aggregation():
            fits = node.op in _OF_ONE
        case FunctionCall():
            fits = node.name not in range_functions.NAMES or node.name in _OF_ONE_SAMPLE
        case Selector():
            fits = not node.offset_ns and node.at is None
        case _:
            fits = not isinstance(node, Subquery)
    return fits and all(map(_is_of_one, children(node)))
