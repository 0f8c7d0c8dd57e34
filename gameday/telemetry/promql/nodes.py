"""The tree of an expression, in the subset of PromQL that gameday evaluates.

Each node carries its own text, so that an error can name a sub-expression and equal
sub-expressions can share one evaluation. Parentheses are gone: the tree says the order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gameday.core.patterns import Pattern
from gameday.telemetry.promql.labels import NAME, Labels, drop, keep, value_of

_REMEMBERED = 10_000  # label sets of one aggregation: some times what a system has
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SETS = frozenset({"and", "or", "unless"})
ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
SCALAR_CALLS = frozenset({"pi", "scalar", "time"})
Moment = int | Literal["start", "end"] | None
"""The instant after `@`: wall time in ns, an end of the query's span, or None for "now"."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: `name op value`; `pattern` is the value of a regular expression."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str
    pattern: Pattern | None = None

    def accepts(self, series: Labels) -> bool:
        found = value_of(series, self.name)
        if self.pattern is None:
            return (found == self.value) == (self.op == "=")
        return self.pattern.matches(found) == (self.op == "=~")


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    text: str
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A constant text; only some functions take one."""

    text: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by their labels: the last sample of each, or with `range_ns` all of a window."""

    text: str
    matchers: tuple[Matcher, ...]
    offset_ns: int = 0
    range_ns: int | None = None
    at: Moment = None

    @property
    def name(self) -> str:
        """The metric's name where the selector asks for exactly one, else ""."""
        names = [m.value for m in self.matchers if m.name == NAME and m.op == "="]
        return names[0] if names else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subquery:
    """The values of an expression at each multiple of a step within a window.

    `is_settled` says that what it was at an instant can no longer change once later samples
    come: nothing in it looks ahead, or at a fixed time. `is_timeless` says that nothing in it is
    the time itself: without samples it is the same at each instant.
    """

    text: str
    operand: "Node"
    range_ns: int
    step_ns: int | None
    offset_ns: int
    at: Moment
    is_settled: bool
    is_timeless: bool = False

    @property
    def is_cheap(self) -> bool:
        """Most of its instants need no evaluation: they are remembered, or have no samples."""
        return self.is_settled and self.is_timeless


Relabel = Callable[[Labels, Callable[[int], None]], Labels]
"""Labels made of others; the function beside them is told the cost, in values of a budget."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function of its arguments; `relabel` is what one of labels does to each element's."""

    text: str
    name: str
    args: tuple["Node", ...]
    relabel: Relabel | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """Many elements folded into one for each group of labels.

    `groups` remembers the group of a label set: the same come with each evaluation.
    """

    text: str
    op: str
    operand: "Node"
    names: frozenset[str]
    without: bool
    param: "Node | None" = None
    groups: dict[Labels, Labels] = field(default_factory=dict, compare=False, repr=False)

    def group(self, labels: Labels) -> Labels:
        """The labels of the group that an element with these belongs to."""
        if self.without:
            found = drop(labels, self.names | {NAME})
        else:
            found = keep(labels, self.names)
        if len(self.groups) >= _REMEMBERED:
            self.groups.clear()
        self.groups[labels] = found
        return found


@dataclass(frozen=True, slots=True)
class Negation:
    """Unary minus."""

    text: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Matching:
    """The rule by which elements of two vectors match; `one` is the side that must be unique."""

    names: frozenset[str] = frozenset()
    on: bool = False
    one: Literal["both", "left", "right"] = "both"
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BinaryExpression:
    """An operator between two expressions; with `returns_bool` a comparison gives 0 or 1."""

    text: str
    op: str
    lhs: "Node"
    rhs: "Node"
    matching: Matching = Matching()
    returns_bool: bool = False


Node = (
    Number | Text | Selector | Subquery | FunctionCall | Aggregation | Negation | BinaryExpression
)


def is_range(node: Node) -> bool:
    """A node has windows of samples for a value."""
    return isinstance(node, Subquery) or (isinstance(node, Selector) and node.range_ns is not None)


def is_scalar(node: Node) -> bool:
    """A node has one number for a value, not a vector."""
    match node:
        case Number():
            return True
        case FunctionCall():
            return node.name in SCALAR_CALLS
        case Negation():
            return is_scalar(node.operand)
        case BinaryExpression():
            return is_scalar(node.lhs) and is_scalar(node.rhs)
        case _:
            return False


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below."""
    match node:
        case FunctionCall():
            return node.args
        case Aggregation():
            return (node.operand,) if node.param is None else (node.operand, node.param)
        case Negation() | Subquery():
            return (node.operand,)
        case BinaryExpression():
            return (node.lhs, node.rhs)
        case _:
            return ()


def may_read(node: Node, name: str) -> bool:
    """A node may read series of this name."""
    return any(
        all(matcher.accepts(((NAME, name),)) for matcher in each.matchers if matcher.name == NAME)
        for each in selectors(node)
    )


def selectors(node: Node) -> list[Selector]:
    """Every selector of the tree, from left to right."""
    if isinstance(node, Selector):
        return [node]
    return [found for child in children(node) for found in selectors(child)]
