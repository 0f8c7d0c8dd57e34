"""A parsed expression, and what can be known about it before there is any data."""

from dataclasses import dataclass

from gameday.core.clock import NS
from gameday.telemetry.promql.nodes import (
    COMPARISONS,
    SETS,
    BinaryExpression,
    Node,
    Selector,
    selectors,
)

LOOKBACK_S = 300.0  # Prometheus' default, 5 min


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
        """Seconds that the expression looks back: ranges, offsets and the default lookback."""
        return max((_reach_ns(found) for found in selectors(self.node)), default=0) / NS


def is_condition(node: Node) -> bool:
    """See `Query.is_condition`."""
    if not isinstance(node, BinaryExpression):
        return False
    if node.op in SETS:
        return is_condition(node.lhs) or is_condition(node.rhs)
    return node.op in COMPARISONS and not node.returns_bool


def _reach_ns(selector: Selector) -> int:
    back = selector.range_ns if selector.range_ns is not None else int(LOOKBACK_S * NS)
    return max(0, back + selector.offset_ns)
