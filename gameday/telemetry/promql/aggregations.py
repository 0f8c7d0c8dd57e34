"""Aggregations: many elements of a vector folded into one for each group of labels."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from gameday.telemetry.promql.arithmetic import mean, quantile, total, variance
from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import NAME, Labels, drop, keep, label_set
from gameday.telemetry.promql.nodes import Aggregation

Vector = dict[Labels, float]
Fold = Callable[[Sequence[float]], float]


def _min(values: Sequence[float]) -> float:
    return min((v for v in values if not math.isnan(v)), default=math.nan)


def _max(values: Sequence[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)


FOLDS: dict[str, Fold] = {
    "sum": total,
    "avg": mean,
    "min": _min,
    "max": _max,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stddev": lambda values: math.sqrt(variance(values)),
    "stdvar": variance,
}
PARAMETERISED = ("topk", "bottomk", "quantile")
COUNT_VALUES = "count_values"
_MOST_RANKED = 1 << 63  # Prometheus counts in 64 bits


def aggregate(node: Aggregation, operand: Vector, param: float | None) -> Vector:
    """The value of an aggregation whose operand and parameter have these values."""
    groups: dict[Labels, list[tuple[Labels, float]]] = {}
    for element in operand.items():
        group = node.groups.get(element[0])
        if group is None:
            group = node.group(element[0])
        found = groups.get(group)
        if found is None:
            groups[group] = [element]
        else:
            found.append(element)
    if node.op in {"topk", "bottomk"}:
        return _ranked(node, groups, 0.0 if param is None else param)
    fold = FOLDS.get(node.op) or _quantile(math.nan if param is None else param)
    return {group: fold([v for _, v in each]) for group, each in groups.items()}


def _quantile(q: float) -> Fold:
    return lambda values: quantile(q, values)


def count_values(node: Aggregation, operand: Vector, label: str) -> Vector:
    """The number of elements of each value, which stands in a label; by group."""
    names = node.names | {NAME if node.without else label}
    regroup = drop if node.without else keep
    counts: dict[Labels, float] = {}
    for labels, value in operand.items():
        group = regroup(label_set({**dict(labels), label: _plain_number(value)}), names)
        counts[group] = counts.get(group, 0.0) + 1
    return counts


def _plain_number(value: float) -> str:
    """A number in full, without an exponent, as few digits as say it exactly."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ranked(
    node: Aggregation, groups: dict[Labels, list[tuple[Labels, float]]], param: float
) -> Vector:
    """The k greatest or least of each group, under their own labels; NaN comes last."""
    if math.isnan(param) or param >= _MOST_RANKED:
        raise EvaluationError(f"{param} is no number of elements", node.text)
    count = int(max(0, param)) if math.isfinite(param) else 0
    sign = -1.0 if node.op == "topk" else 1.0

    def order(element: tuple[Labels, float]) -> tuple[bool, float]:
        value = element[1]
        return (math.isnan(value), 0.0 if math.isnan(value) else sign * value)

    return dict(e for found in groups.values() for e in sorted(found, key=order)[:count])
