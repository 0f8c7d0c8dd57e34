"""Looks of a rule at each instant of a recorded run: whether it held, and its figure.

The figure is the side of the outermost comparison that is measured, and its limit the number on the
other side, so that "it came to 0.4, and more than 0.5 is asked" can be said of a rule that was
silent. Rules that record are evaluated first, as they were live.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.telemetry.alerts.replay import LabelledScrape, RuleReplay, period_ns
from gameday.telemetry.alerts.rules import AlertRule, RuleFile
from gameday.telemetry.promql import EvaluationError, InstantEvaluator, value_of
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.promql.nodes import (
    COMPARISONS,
    BinaryExpression,
    Node,
    Number,
    Selector,
    children,
)
from gameday.telemetry.samples import Evaluation

_OF_A_SERIES: Final = 30  # values that cost as much as to find a series and its window
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


@dataclass(frozen=True, slots=True)
class RulesSeen:
    """Some rules over a run: each at every instant, and why rules had no value, by rule."""

    by_rule: Sequence[Sequence[RuleLook]]
    problems: Mapping[str, str]


def look_at(
    lines: Sequence[Evaluation | LabelledScrape],
    files: Sequence[RuleFile],
    rules: Sequence[AlertRule],
    wall_offset_ns: int = 0,
) -> RulesSeen:
    """The rules at each instant of the run at which it evaluated its own; `files` record."""
    spare_s = max((rule.query.window_s for rule in rules), default=0.0)
    played = RuleReplay(files, wall_offset_ns, spare_s=spare_s)
    asked = [(rule.query.node, comparison(rule.query.node)) for rule in rules]
    found: list[list[RuleLook]] = [[] for _ in rules]
    problems: dict[str, str] = {}
    for line in lines:
        if isinstance(line, LabelledScrape):
            played.take(line)
            continue
        moment = played.moment(line.t_ns)
        problems |= played.at(line.t_ns, moment).problems
        for (node, compared), seen in zip(asked, found, strict=True):
            moment.budget.begin()
            holds = _holds(moment, node)
            seen.append(RuleLook(line.t_ns, holds, _figure(moment, compared)))
    return RulesSeen(found, problems)


def steps_of(
    lines: Sequence[Evaluation | LabelledScrape],
    files: Sequence[RuleFile],
    rules: Sequence[AlertRule],
) -> int:
    """The values that `look_at` reads, about: counted and not timed, so the same everywhere."""
    scrapes = [line for line in lines if isinstance(line, LabelledScrape)]
    values = Counter(value_of(labels, NAME) for each in scrapes for labels, _ in each.values)
    every, step_ns = values.total(), max(1, period_ns(scrapes))
    queries = [*(q for file in files for q in file.queries), *(rule.query for rule in rules)]
    costs = dict[tuple[str, str], int]()  # equal parts of expressions are evaluated once
    for query in queries:
        for by, selector in _reads(query.node, query.node):
            told = values.get(selector.name, every)  # all, where it is recorded by a rule
            window = _OF_A_SERIES + (selector.range_ns or 0) // step_ns
            cost = (1 + query.instants) * (1 + told * window // max(1, len(scrapes)))
            costs[by.text, selector.text] = max(cost, costs.get((by.text, selector.text), 0))
    return (len(lines) - len(scrapes)) * (len(queries) + sum(costs.values()))


def _reads(node: Node, by: Node) -> Iterator[tuple[Node, Selector]]:
    """The selectors of a tree, each with what it is the operand of."""
    if isinstance(node, Selector):
        yield by, node
    for child in children(node):
        yield from _reads(child, node)


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
