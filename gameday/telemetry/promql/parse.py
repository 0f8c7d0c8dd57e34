"""Text becomes a tree, or an error that names the sub-expression gameday cannot evaluate.

The grammar and the types are those of `promql-parser`, which follows Prometheus 2.45. It only
parses; what the evaluator beside this file cannot do exactly as Prometheus does is refused
here, by name, so that an expression is never evaluated to something else than it says.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, NoReturn

import promql_parser as grammar

from gameday.telemetry.promql import functions, ranges
from gameday.telemetry.promql.aggregations import FOLDS, PARAMETERISED
from gameday.telemetry.promql.errors import PromqlError
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.promql.nodes import (
    ARITHMETIC,
    COMPARISONS,
    SETS,
    Aggregation,
    BinaryExpression,
    FunctionCall,
    Matcher,
    Matching,
    Negation,
    Node,
    Number,
    Selector,
    is_scalar,
)
from gameday.telemetry.promql.patterns import compile_pattern
from gameday.telemetry.promql.query import Query

LONGEST = 4000  # long rules have some hundred characters; bounds the parser's time
MOST_STEPS = 150  # the parser takes time by the cube of the depth, of which they are a bound
MOST_TOGETHER = 150_000
"""Characters of all expressions of one file: reading them takes half a second."""
_QUOTED = re.compile(r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`""", re.DOTALL)
_STEP = re.compile(r"[-+*/%^<>(]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
# The grammar panics on some durations that are plain numbers (`offset NaN`), so none is let in.
_LENGTH = r"(?:\d{1,9}(?:ms|[smhdwy]))+"
_UNITLESS = re.compile(rf"\boffset\s+(?!-?\s*{_LENGTH}\b)\S*|\[(?!\s*{_LENGTH}\s*[\]:])[^\]]*\]?")
FUNCTIONS = frozenset(functions.NAMES) | frozenset(ranges.NAMES)
AGGREGATIONS = frozenset(FOLDS) | frozenset(PARAMETERISED)


def parse(text: str) -> Query:
    """Read an expression. Raises PromqlError.

    The last ones are remembered: a file is checked, looked at for bounds, and checked again in
    its short form.
    """
    return _parse(text)


@lru_cache(maxsize=512)
def _parse(text: str) -> Query:
    if len(text) > LONGEST:
        raise PromqlError(f"is longer than {LONGEST} characters", text[:60] + "…")
    if _steps(text) > MOST_STEPS:
        raise PromqlError(f"has more than {MOST_STEPS} operators and brackets", text[:60] + "…")
    unitless = _UNITLESS.search(_QUOTED.sub("", text))
    if unitless is not None:
        raise PromqlError("a duration is a whole number and ms, s, m, h, d, w or y", unitless[0])
    try:
        node = _node(grammar.parse(text))
    except ValueError as error:
        raise PromqlError(f"is not PromQL: {error}", text.strip()) from error
    if isinstance(node, Selector) and node.range_ns is not None:
        raise PromqlError("is a range, not a value: put a function such as rate around it", text)
    return Query(text, node)


def _steps(text: str) -> int:
    """An upper bound of the brackets and operators in a text, outside of label matchers.

    The grammar's own trees cost time that grows with the cube of their depth, so the depth is
    bounded before they are made.
    """
    return len(_STEP.findall(_QUOTED.sub("", text)))


def _node(tree: Any) -> Node:
    translate = _TRANSLATORS.get(type(tree))
    if translate is None:
        _refuse(tree, f"{_WORDS.get(type(tree), type(tree).__name__)} is not supported")
    return translate(tree)


def _refuse(tree: Any, problem: str) -> NoReturn:
    raise PromqlError(problem, tree.prettify(), help="`gameday` evaluates a subset of PromQL")


def _number(tree: Any) -> Number:
    return Number(tree.prettify(), float(tree.val))


def _selector(tree: Any) -> Selector:
    if tree.at is not None:
        _refuse(tree, "the @ modifier is not supported")
    if tree.matchers.or_matchers:
        _refuse(tree, "`or` between label matchers is not supported")
    name = [Matcher(NAME, "=", tree.name)] if tree.name else []
    rest = [_matcher(tree, found) for found in tree.matchers.matchers]
    return Selector(tree.prettify(), (*name, *rest), _ns(tree.offset))


def _matcher(tree: Any, found: Any) -> Matcher:
    op = _MATCH_OPS[str(found.op)]
    if op in {"=", "!="}:
        return Matcher(found.name, op, found.value)
    try:
        return Matcher(found.name, op, found.value, compile_pattern(found.value))
    except ValueError as error:
        raise PromqlError(str(error), tree.prettify()) from error


def _range(tree: Any) -> Selector:
    inner = _selector(tree.vector_selector)
    return Selector(tree.prettify(), inner.matchers, inner.offset_ns, _ns(tree.range))


def _ns(length: timedelta | None) -> int:
    return 0 if length is None else length // timedelta(microseconds=1) * 1000


def _call(tree: Any) -> FunctionCall:
    name = tree.func.name
    if name not in FUNCTIONS:
        _refuse(tree, f"the function {name} is not supported")
    args = tuple(_node(arg) for arg in tree.args)
    for given, arg in zip(tree.args, args, strict=True):
        ranged = isinstance(arg, Selector) and arg.range_ns is not None
        if ranged != (name in ranges.NAMES and not is_scalar(arg)):
            _refuse(given, f"{name} takes {'an instant vector' if ranged else 'a range'} here")
    return FunctionCall(f"{name}({', '.join(arg.text for arg in args)})", name, args)


def _aggregation(tree: Any) -> Aggregation:
    op = str(tree.op)
    if op not in AGGREGATIONS:
        _refuse(tree, f"the aggregation {op} is not supported")
    without = tree.modifier is not None and "Without" in str(tree.modifier.type)
    names = frozenset(tree.modifier.labels if tree.modifier is not None else ())
    param = None if tree.param is None else _node(tree.param)
    operand = _node(tree.expr)
    kept = "" if tree.modifier is None else f" {'without' if without else 'by'} ({_names(names)}) "
    inside = operand.text if param is None else f"{param.text}, {operand.text}"
    return Aggregation(f"{op}{kept}({inside})", op, operand, names, without, param)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _negation(tree: Any) -> Negation:
    operand = _node(tree.expr)
    return Negation(f"-{_inner(tree.expr, operand)}", operand)


def _inner(tree: Any, node: Node) -> str:
    """The text of an operand, in the brackets it stands in.

    Texts are made from their parts' texts: the grammar writes the whole tree out for each of its
    nodes, which takes time with the cube of their number.
    """
    return f"({node.text})" if isinstance(tree, grammar.ParenExpr) else node.text


def _parens(tree: Any) -> Node:
    return _node(tree.expr)


def _binary(tree: Any) -> BinaryExpression:
    op = str(tree.op)
    if op not in COMPARISONS | SETS | ARITHMETIC:
        _refuse(tree, f"the operator {op} is not supported")
    modifier = tree.modifier
    left, right = tree.lhs, tree.rhs
    lhs, rhs = _node(left), _node(right)
    if modifier is None:
        return BinaryExpression(f"{_inner(left, lhs)} {op} {_inner(right, rhs)}", op, lhs, rhs)
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        _refuse(tree, "fill values are not supported")
    matching, as_bool = _matching(modifier), bool(modifier.return_bool)
    between = f"{op}{' bool' if as_bool else ''}{_matching_text(matching)}"
    text = f"{_inner(left, lhs)} {between} {_inner(right, rhs)}"
    return BinaryExpression(text, op, lhs, rhs, matching, as_bool)


def _matching_text(matching: Matching) -> str:
    words = ""
    if matching.on or matching.names:
        words = f" {'on' if matching.on else 'ignoring'} ({_names(matching.names)})"
    if matching.one != "both":
        group = "group_left" if matching.one == "right" else "group_right"
        words += f" {group} ({', '.join(matching.include)})"
    return words


def _matching(modifier: Any) -> Matching:
    names = frozenset(modifier.matching.labels if modifier.matching is not None else ())
    on = modifier.matching is not None and "Include" in str(modifier.matching.type)
    one = _UNIQUE_SIDE.get(str(modifier.card).rpartition(".")[2], "both")
    return Matching(names, on, one, tuple(modifier.group_labels or ()))


_MATCH_OPS: dict[str, Literal["=", "!=", "=~", "!~"]] = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}
_UNIQUE_SIDE: dict[str, Literal["both", "left", "right"]] = {
    "ManyToOne": "right",
    "OneToMany": "left",
}
_TRANSLATORS: dict[type, Callable[[Any], Node]] = {
    grammar.NumberLiteral: _number,
    grammar.VectorSelector: _selector,
    grammar.MatrixSelector: _range,
    grammar.Call: _call,
    grammar.AggregateExpr: _aggregation,
    grammar.UnaryExpr: _negation,
    grammar.ParenExpr: _parens,
    grammar.BinaryExpr: _binary,
}
_WORDS = {grammar.SubqueryExpr: "a subquery", grammar.StringLiteral: "a string"}
