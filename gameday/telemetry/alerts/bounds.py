"""The longest that a rule may take from a fault to a firing alert, known before anything runs.

A fault shows in the next scrape; the windows of the expression must fill with it; the rule is
evaluated once an interval, and then for as long as `for` says. What an Alertmanager adds
(`group_wait`) comes on top. A slower effect of the fault itself is not counted: nobody knows it.
"""

import math

from gameday.core.clock import NS
from gameday.telemetry.alerts.rules import AlertRule, Group
from gameday.telemetry.promql.nodes import Node, Selector, Subquery, children


def worst_case_s(rule: AlertRule, group: Group, scrape_s: float, evaluation_s: float) -> float:
    """Seconds from the fault until the alert fires, at most, where the fault shows at once."""
    step_s = evaluation_s if group.interval_ns is None else group.interval_ns / NS
    pending_s = math.ceil(rule.for_ns / NS / step_s) * step_s
    window_s = (_window_ns(rule.query.node) + group.offset_ns) / NS
    return scrape_s + window_s + step_s + pending_s


def _window_ns(node: Node) -> int:
    """The longest window that must fill, with those that stand in subqueries, and offsets."""
    if isinstance(node, Selector):
        return max(0, (node.range_ns or 0) + node.offset_ns)
    inside = max((_window_ns(child) for child in children(node)), default=0)
    if isinstance(node, Subquery):
        return max(0, inside + node.range_ns + node.offset_ns)
    return inside
