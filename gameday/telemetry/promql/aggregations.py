"""Aggregations: many elements of a vector folded into one for each group of labels."""

import math
from collections.abc import Callable, Sequence

from gameday.telemetry.promql.arithmetic import quantile, total
from gameday.telemetry.promql.labels import NAME, Labels, drop, keep
from gameday.telemetry.promql.nodes import Aggregation

Vector = dict[Labels, float]
Fold = Callable[[Sequence[float]], float]


def _avg(values: Sequence[float]) -> float:
    return total(values) / len(values)


def _stdvar(values: Sequence[float]) -> float:
    mean = _avg(values)
    return total([(v - mean) * (v - mean) for v in values]) / len(values)


def _min(values: Sequence[float]) -> float:
    return min((v for v in values if not math.isnan(v)), default=math.nan)


def _max(values: Sequence[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)


FOLDS: dict[str, Fold] = {
    "sum": total,
    "avg": _avg,
    "min": _min,
    "max": _max,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stddev": lambda values: math.sqrt(_stdvar(values)),
    "stdvar": _stdvar,
}
PARAMETERISED = ("topk", "bottomk", "quantile")


def aggregate(node: Aggregation, operand: Vector, param: float | None) -> Vector:
    """The value of an aggregation whose operand and parameter have these values."""
    groups: dict[Labels, list[tuple[Labels, float]]] = {}
    names = node.names | {NAME} if node.without else node.names
    regroup = drop if node.without else keep
    for element in operand.items():
        groups.setdefault(regroup(element[0], names), []).append(element)
    if node.op in {"topk", "bottomk"}:
        return _ranked(node.op, groups, param or 0.0)
    fold = FOLDS.get(node.op) or _quantile(math.nan if param is None else param)
    return {group: fold([v for _, v in found]) for group, found in groups.items()}


def _quantile(q: float) -> Fold:
    return lambda values: quantile(q, values)


def _ranked(op: str, groups: dict[Labels, list[tuple[Labels, float]]], param: float) -> Vector:
    """The k greatest or least of each group, under their own labels; NaN comes last."""
    count = 0 if math.isnan(param) else int(max(0, min(param, 1e9)))
    sign = -1.0 if op == "topk" else 1.0

    def order(element: tuple[Labels, float]) -> tuple[bool, float]:
        value = element[1]
        return (math.isnan(value), 0.0 if math.isnan(value) else sign * value)

    return dict(e for found in groups.values() for e in sorted(found, key=order)[:count])
