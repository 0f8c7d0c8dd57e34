"""A real Prometheus as the source: its samples, its values of our expressions, its alerts.

Every expression is asked for at the exact instants of the grid, in the server's own time: how far
its clock is from ours is measured first, so two machines need not agree. What is asked are the
operands of comparisons, once each; the comparison itself is made here, so that "not so" and "no
data" can be told apart. Expressions over the traffic alone (`k6_*`) are evaluated here as ever:
those series are gameday's own, and Prometheus has them later, if at all.

Between two scrapes it can only say the same again: `sampled_ns` says how old its samples may be.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gameday.core.clock import NS, Clock
from gameday.telemetry.promql import Query, Value
from gameday.telemetry.promql.labels import NAME, value_of
from gameday.telemetry.promql.nodes import BinaryExpression, Node, is_scalar, selectors
from gameday.telemetry.promql.query import is_condition
from gameday.telemetry.samples import AlertLine
from gameday.telemetry.sources.prometheus_api import ApiAlert, Prometheus, PrometheusError
from gameday.telemetry.sources.source import DifferentSeries, SourceAnswers, TargetScrape

TARGET: Final = "prometheus"
AT_ONCE: Final = 8  # questions; each is small, and Prometheus takes 20
RULES_EVERY: Final = 10  # instants: rules change when somebody loads others
_OWN: Final = "k6_"


class PrometheusSource:
    """Asks one Prometheus. `scrape_s` is its longest scrape interval of what is read."""

    def __init__(
        self, server: Prometheus, queries: Sequence[Query], scrape_s: float, clock: Clock
    ) -> None:
        self._server = server
        self._clock = clock
        self._scrape_ns = round(scrape_s * NS)
        self._nodes = asked_nodes(queries)
        self._names = sorted({name for query in queries for name in _names(query.node)})
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._ahead_ns: int | None = None
        self._different = DifferentSeries()
        self._rule_problems: dict[str, str] = {}
        self._until_rules = 0

    async def ask(self, t_ns: int) -> SourceAnswers:
        """Everything at once; what cannot be had stands there as why."""
        try:
            if self._ahead_ns is None:
                self._ahead_ns, _ = await self._server.clock_ahead_ns(self._clock)
        except PrometheusError as error:
            return self._nothing(t_ns, error.message)
        wall_ns = t_ns + self._ahead_ns
        series, values, alerts = await asyncio.gather(
            self._series(wall_ns), self._values(wall_ns), self._alerts(self._ahead_ns)
        )
        await self._look_at_rules()
        told, why = alerts
        return SourceAnswers(
            targets=[series],
            values=values,
            alerts=told,
            alerts_problem=why,
            problems=dict(self._rule_problems),
            sampled_ns=t_ns - self._scrape_ns,
        )

    async def close(self) -> None:
        await self._server.close()

    def _nothing(self, t_ns: int, why: str) -> SourceAnswers:
        return SourceAnswers(
            targets=[TargetScrape(TARGET, {}, f"Prometheus: {why}")],
            values=dict.fromkeys((node.text for node in self._nodes), why),
            alerts=(),
            alerts_problem=why,
            sampled_ns=t_ns - self._scrape_ns,
        )

    async def _series(self, wall_ns: int) -> TargetScrape:
        """The newest sample of each series that any expression reads."""
        if not self._names:
            return TargetScrape(TARGET, {})
        found = await self._value(f'{{{NAME}=~"{"|".join(self._names)}"}}', wall_ns)
        if isinstance(found, str):
            return TargetScrape(TARGET, {}, f"Prometheus: {found}")
        every = found.items() if isinstance(found, dict) else ()
        series = {k: v for k, v in every if value_of(k, NAME) in self._names}
        if why := next(filter(None, map(self._different.refuse, series)), ""):
            return TargetScrape(TARGET, {}, f"Prometheus: {why}")
        return TargetScrape(TARGET, series)

    async def _values(self, wall_ns: int) -> Mapping[str, Value | str]:
        found = await asyncio.gather(*(self._value(node.text, wall_ns) for node in self._nodes))
        return {
            node.text: "Prometheus gave another type of value than the expression has"
            if isinstance(value, dict if is_scalar(node) else float)
            else value
            for node, value in zip(self._nodes, found, strict=True)
        }

    async def _value(self, text: str, wall_ns: int) -> Value | str:
        """The value of an expression, or why there is none."""
        async with self._at_once:
            try:
                return await self._server.value(text, wall_ns)
            except PrometheusError as error:
                return error.message

    async def _alerts(self, ahead_ns: int) -> tuple[list[AlertLine], str]:
        """The alerts as `gameday.telemetry.samples` has them, and why nobody knows them."""
        try:
            return [_record(each, ahead_ns) for each in await self._server.alerts()], ""
        except PrometheusError as error:
            return [], error.message

    async def _look_at_rules(self) -> None:
        """Now and then: a rule that Prometheus cannot evaluate never fires."""
        if self._until_rules > 0:
            self._until_rules -= 1
            return
        self._until_rules = RULES_EVERY - 1
        try:
            groups = await self._server.groups()
        except PrometheusError as error:
            self._rule_problems = {"rules": error.message}
            return
        ill = [(g.name, r) for g in groups for r in g.rules if r.health == "err"][:AT_ONCE]
        self._rule_problems = {f"{name} {rule.name}": rule.last_error for name, rule in ill}


def asked_nodes(queries: Sequence[Query]) -> list[Node]:
    """What Prometheus is asked for: operands that read anything but the traffic, each once."""
    every = (node for query in queries for node in _operands(query.node))
    return list({node.text: node for node in every if not _is_own(node)}.values())


def _operands(node: Node) -> Iterator[Node]:
    """The largest parts of an expression that filter nothing."""
    if isinstance(node, BinaryExpression) and is_condition(node):
        yield from _operands(node.lhs)
        yield from _operands(node.rhs)
    else:
        yield node


def _is_own(node: Node) -> bool:
    """True for what our own series suffice for: the traffic's, or none at all."""
    return all(found.name.startswith(_OWN) for found in selectors(node))


def _names(node: Node) -> Iterator[str]:
    return (one.name for one in selectors(node) if one.name and not one.name.startswith(_OWN))


def _record(alert: ApiAlert, ahead_ns: int) -> AlertLine:
    active_ns = alert.active_at - ahead_ns
    return AlertLine(alert.labels, alert.state, active_ns)
