"""An expression as a statement with three answers: true, false, or no data.

PromQL has one word for "not so" and for "never heard of it": an empty vector. gameday must tell
them apart, so the operands of the outermost comparison are evaluated by themselves:

- a comparison: no data where an operand is empty, else true if any element is left. An operand
  that is a comparison itself (`1 < x < 5`) is false, not without data, where it is false;
- `a and b`: false where one is false, without data where one is, else true if the vector is;
- `a or b`: true where the vector is, else without data where one is, else false;
- `a unless b`: false where a is false, without data where one is, else true if the vector is.
  A right side that is no comparison is a presence test: empty means "no such thing", not no data;
- anything else: no data where it is empty, else true if any value is neither 0 nor NaN;
  `absent` always has data.
"""

from gameday.telemetry.promql.evaluate import (
    PROMETHEUS_3,
    InstantEvaluator,
    PromqlSemantics,
    is_true,
)
from gameday.telemetry.promql.nodes import SETS, BinaryExpression, FunctionCall, Node
from gameday.telemetry.promql.query import Query, is_condition
from gameday.telemetry.promql.store import SeriesStore

_ABSENCE = frozenset({"absent", "absent_over_time"})


def reading(
    query: Query, store: SeriesStore, t_ns: int, semantics: PromqlSemantics = PROMETHEUS_3
) -> bool | None:
    """True, false, or None for no data. Raises EvaluationError."""
    return reading_at(query, InstantEvaluator(store, t_ns, semantics))


def reading_at(query: Query, moment: InstantEvaluator) -> bool | None:
    """The same, sharing what was evaluated at this moment already."""
    return _read(query.node, moment)


def _read(node: Node, moment: InstantEvaluator) -> bool | None:
    if isinstance(node, BinaryExpression) and is_condition(node):
        return _read_set(node, moment) if node.op in SETS else _read_comparison(node, moment)
    value = moment.value(node)
    if not isinstance(value, dict):
        return is_true(value)
    if not value and not (isinstance(node, FunctionCall) and node.name in _ABSENCE):
        return None
    return any(is_true(v) for v in value.values())


def _read_comparison(node: BinaryExpression, moment: InstantEvaluator) -> bool | None:
    sides = [_has_data(side, moment) for side in (node.lhs, node.rhs)]
    if None in sides:
        return None
    return all(sides) and bool(moment.value(node))


def _has_data(node: Node, moment: InstantEvaluator) -> bool | None:
    """True for an operand with a value, None for an empty one, False for one filtered away."""
    if is_condition(node):
        return _read(node, moment)
    value = moment.value(node)
    return True if not isinstance(value, dict) or value else None


def _read_set(node: BinaryExpression, moment: InstantEvaluator) -> bool | None:
    lhs, rhs = _read(node.lhs, moment), _read(node.rhs, moment)
    if node.op == "unless" and not is_condition(node.rhs):
        rhs = bool(moment.value(node.rhs))
    left = bool(moment.value(node))
    if node.op == "or":
        return left or (None if None in (lhs, rhs) else False)
    if lhs is False or (node.op == "and" and rhs is False):
        return False
    return None if None in (lhs, rhs) else left
