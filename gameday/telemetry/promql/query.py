"""A parsed expression, and what can be known about it before there is any data."""

from dataclasses import dataclass

from gameday.core.clock import NS
from gameday.telemetry.promql.nodes import (
    COMPARISONS,
    SETS,
    BinaryExpression,
    Node,
    Selector,
    Subquery,
    children,
    selectors,
)

LOOKBACK_S = 300.0  # Prometheus' default, 5 min
EVALUATION_S = 1.0  # between evaluations of a run; the step of a subquery that says none

CHEAP_INSTANTS = 50
"""Instants that take as long as one at which everything is evaluated: six days of seconds, as
rules of burn rates have them, are then as many as may be."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression: its text as written, and its tree."""

    text: str
    node: Node

    @property
    def is_condition(self) -> bool:
        """The outermost operator filters: a comparison without `bool`, or a set of such."""
        return is_condition(self.node)

    def operands(self) -> tuple["Query", ...]:
        """Both sides of the outermost comparison; the query itself where there is none."""
        if not isinstance(self.node, BinaryExpression) or self.node.op not in COMPARISONS:
            return (self,)
        return tuple(Query(side.text, side) for side in (self.node.lhs, self.node.rhs))

    def metric_names(self) -> frozenset[str]:
        """The names of the metrics that the expression asks for by name."""
        return frozenset(found.name for found in selectors(self.node) if found.name)

    @property
    def window_s(self) -> float:
        """Seconds that the expression looks back: ranges, offsets and the default lookback.

        A fixed time (`@ 1609746000`) is any number of seconds away, and not counted.
        """
        return _reach_ns(self.node) / NS

    @property
    def instants(self) -> int:
        """The number of instants at which subqueries have their expressions evaluated, at most.

        Of those that are cheap many count as one.
        """
        return _instants(self.node)


def is_condition(node: Node) -> bool:
    """See `Query.is_condition`."""
    if not isinstance(node, BinaryExpression):
        return False
    if node.op in SETS:
        return is_condition(node.lhs) or is_condition(node.rhs)
    return node.op in COMPARISONS and not node.returns_bool


def _reach_ns(node: Node) -> int:
    if isinstance(node, Selector):
        back = node.range_ns if node.range_ns is not None else int(LOOKBACK_S * NS)
        return max(0, back + node.offset_ns)
    inside = max((_reach_ns(child) for child in children(node)), default=0)
    if isinstance(node, Subquery):
        return max(0, inside + node.range_ns + node.offset_ns)
    return inside


def _instants(node: Node) -> int:
    inside = sum(_instants(child) for child in children(node))
    if isinstance(node, Subquery):
        steps = node.range_ns // (node.step_ns or int(EVALUATION_S * NS)) + 1
        if node.is_cheap:
            steps = steps // CHEAP_INSTANTS + 1
        return steps * (1 + inside)
    return inside
