"""Operators between two values: numbers, vectors, and how the elements of two vectors pair up.

A comparison without `bool` filters: elements for which it is false are gone, the others keep
the value of the vector's side. Elements pair up by their labels; what has no partner is gone.
"""

from collections.abc import Callable

from gameday.telemetry.promql.arithmetic import ARITHMETIC, COMPARISON
from gameday.telemetry.promql.errors import EvaluationError
from gameday.telemetry.promql.labels import NAME, Labels, drop, keep, nameless, show, value_of
from gameday.telemetry.promql.nodes import BinaryExpression, Matching

Vector = dict[Labels, float]
Pair = Callable[[float, float], float | None]


def apply(
    node: BinaryExpression,
    lhs: float | Vector,
    rhs: float | Vector,
    *,
    unique_before_filter: bool = True,
) -> float | Vector:
    """The value of a binary node whose sides have these values. Raises EvaluationError.

    With `unique_before_filter` elements that a comparison filters out must match uniquely, too.
    """
    if not isinstance(lhs, dict) and not isinstance(rhs, dict):
        return _of_numbers(node, lhs, rhs)
    if isinstance(lhs, dict) and isinstance(rhs, dict):
        if node.op in _SETS:
            return _SETS[node.op](lhs, rhs, node.matching)
        return _of_vectors(node, lhs, rhs, all_unique=unique_before_filter)
    return _of_vector_and_number(node, lhs, rhs)


def put(out: Vector, node: BinaryExpression, labels: Labels, value: float) -> None:
    """Add an element, of which there can be only one with these labels."""
    if labels in out:
        raise EvaluationError(f"two results have the labels {show(labels)}", node.text)
    out[labels] = value


def _of_numbers(node: BinaryExpression, a: float, b: float) -> float:
    if node.op in COMPARISON:
        return float(COMPARISON[node.op](a, b))
    return ARITHMETIC[node.op](a, b)


def _drops_name(node: BinaryExpression) -> bool:
    return node.returns_bool or node.op in ARITHMETIC


def _pair(node: BinaryExpression) -> Pair:
    """The operation on two matched numbers: a number, or None for an element filtered out."""
    if node.op in ARITHMETIC:
        return ARITHMETIC[node.op]
    compare = COMPARISON[node.op]
    if node.returns_bool:
        return lambda a, b: float(compare(a, b))
    return lambda a, b: a if compare(a, b) else None


def _of_vector_and_number(
    node: BinaryExpression, lhs: float | Vector, rhs: float | Vector
) -> Vector:
    pair, out = _pair(node), Vector()
    swapped = not isinstance(lhs, dict)
    vector = rhs if isinstance(rhs, dict) else lhs
    number = lhs if swapped else rhs
    if not isinstance(vector, dict) or isinstance(number, dict):
        raise TypeError(f"{node.text!r} is not between a vector and a number")
    for labels, found in vector.items():
        value = pair(number, found) if swapped else pair(found, number)
        if value is None:
            continue
        if swapped and node.op in COMPARISON and not node.returns_bool:
            value = found
        put(out, node, nameless(labels) if _drops_name(node) else labels, value)
    return out


def _signature(matching: Matching) -> Callable[[Labels], Labels]:
    if matching.on:
        return lambda labels: keep(labels, matching.names)
    without = matching.names | {NAME}
    return lambda labels: drop(labels, without)


def _of_vectors(node: BinaryExpression, lhs: Vector, rhs: Vector, *, all_unique: bool) -> Vector:
    if not lhs or not rhs:
        return {}
    matching, swapped = node.matching, node.matching.one == "left"
    many, one = (rhs, lhs) if swapped else (lhs, rhs)
    signature, pair, out = _signature(matching), _pair(node), Vector()
    partners = _unique_side(node, one, signature)
    met: set[object] = set()
    for labels, found in many.items():
        group = signature(labels)
        partner = partners.get(group)
        if partner is None:
            continue
        value = pair(partner[1], found) if swapped else pair(found, partner[1])
        if value is None and not all_unique:
            continue
        result = _result_labels(node, labels, partner[0])
        identity = group if matching.one == "both" else (group, result)
        if identity in met:
            raise EvaluationError(
                f"many elements on the left match {show(group)}: say group_left"
                if matching.one == "both"
                else f"two results have the labels {show(result)}",
                node.text,
            )
        met.add(identity)
        if value is None:
            continue
        put(out, node, result, value)
    return out


def _unique_side(
    node: BinaryExpression, one: Vector, signature: Callable[[Labels], Labels]
) -> dict[Labels, tuple[Labels, float]]:
    partners: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in one.items():
        group = signature(labels)
        if group in partners:
            raise EvaluationError(
                f"{show(partners[group][0])} and {show(labels)} both match {show(group)} "
                "on the side that must be unique",
                node.text,
            )
        partners[group] = (labels, value)
    return partners


def _result_labels(node: BinaryExpression, many: Labels, one: Labels) -> Labels:
    matching = node.matching
    labels = nameless(many) if _drops_name(node) else many
    if matching.one == "both":
        labels = keep(labels, matching.names) if matching.on else drop(labels, matching.names)
    if not matching.include:
        return labels
    added = ((name, value_of(one, name)) for name in matching.include)
    kept = drop(labels, matching.include)
    return tuple(sorted((*kept, *((name, value) for name, value in added if value))))


def _and(lhs: Vector, rhs: Vector, matching: Matching) -> Vector:
    signature = _signature(matching)
    present = {signature(labels) for labels in rhs}
    return {labels: v for labels, v in lhs.items() if signature(labels) in present}


def _unless(lhs: Vector, rhs: Vector, matching: Matching) -> Vector:
    signature = _signature(matching)
    present = {signature(labels) for labels in rhs}
    return {labels: v for labels, v in lhs.items() if signature(labels) not in present}


def _or(lhs: Vector, rhs: Vector, matching: Matching) -> Vector:
    signature = _signature(matching)
    present = {signature(labels) for labels in lhs}
    added = {labels: v for labels, v in rhs.items() if signature(labels) not in present}
    return {**lhs, **added}


_SETS: dict[str, Callable[[Vector, Vector, Matching], Vector]] = {
    "and": _and,
    "or": _or,
    "unless": _unless,
}
