"""What a rule saw at each instant of a recorded run: whether it held, its figure, its series.

The figure is the side of the outermost comparison that is measured, and its limit the number on the
other side, so that "it came to 0.4, and more than 0.5 is asked" can be said of a rule that was
silent. Rules that record are evaluated first, as they were live.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gameday.telemetry.alerts.replay import LabelledScrape, RuleReplay
from gameday.telemetry.alerts.rules import AlertRule, RuleFile
from gameday.telemetry.promql import EvaluationError, InstantEvaluator
from gameday.telemetry.promql.nodes import COMPARISONS, BinaryExpression, Node, Number
from gameday.telemetry.samples import Evaluation

_MIRRORED: Mapping[str, str] = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class AskedFigure:
    """`measured op limit`: the outermost comparison of a rule with a number."""

    measured: Node
    op: str
    limit: float

    @property
    def wants_more(self) -> bool:
        """The rule holds when its figure is large."""
        return self.op in (">", ">=")


@dataclass(frozen=True, slots=True)
class RuleLook:
    """A rule at one instant; `figure` None: no single comparison with a number, or no data."""

    t_ns: int
    holds: bool
    figure: float | None


def comparison(node: Node) -> AskedFigure | None:
    """The outermost comparison of an expression with a number, None where there is none."""
    if not isinstance(node, BinaryExpression) or node.op not in COMPARISONS:
        return None
    if isinstance(node.rhs, Number):
        return AskedFigure(node.lhs, node.op, node.rhs.value)
    if isinstance(node.lhs, Number):
        return AskedFigure(node.rhs, _MIRRORED[node.op], node.lhs.value)
    return None


def looks(
    lines: Sequence[Evaluation | LabelledScrape],
    files: Sequence[RuleFile],
    rule: AlertRule,
    wall_offset_ns: int = 0,
) -> Iterator[RuleLook]:
    """The rule at each instant at which the run evaluated its own; `files` say what is recorded."""
    played = RuleReplay(files, wall_offset_ns, spare_s=rule.query.window_s)
    compared = comparison(rule.query.node)
    for line in lines:
        if isinstance(line, LabelledScrape):
            played.take(line)
            continue
        played.at(line.t_ns)
        moment = played.moment(line.t_ns)
        yield RuleLook(line.t_ns, _holds(moment, rule.query.node), _figure(moment, compared))


def _holds(moment: InstantEvaluator, node: Node) -> bool:
    try:
        value = moment.value(node)
    except EvaluationError:
        return False
    return bool(value) if isinstance(value, dict) else True


def _figure(moment: InstantEvaluator, compared: AskedFigure | None) -> float | None:
    """The figure that is nearest to the limit or furthest beyond it."""
    if compared is None:
        return None
    try:
        value = moment.value(compared.measured)
    except EvaluationError:
        return None
    found = [
        v for v in (value.values() if isinstance(value, dict) else [value]) if math.isfinite(v)
    ]
    if not found:
        return None
    return max(found) if compared.wants_more else min(found)
