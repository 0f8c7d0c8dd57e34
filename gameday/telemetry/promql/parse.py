"""Text becomes a tree, or an error that names the sub-expression gameday cannot evaluate.

The grammar and the types are those of `promql-parser`, which follows Prometheus 2.45. It only
parses; what the evaluator beside this file cannot do exactly as Prometheus does is refused
here, by name, so that an expression is never evaluated to something else than it says.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NoReturn

import promql_parser as grammar

from gameday.core.patterns import compile_pattern
from gameday.telemetry.promql import dates, instant_functions, range_functions
from gameday.telemetry.promql.aggregations import COUNT_VALUES, FOLDS, PARAMETERISED
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
    Moment,
    Negation,
    Node,
    Number,
    Selector,
    Subquery,
    Text,
    children,
    is_range,
    is_scalar,
)
from gameday.telemetry.promql.query import Query
from gameday.telemetry.promql.relabel import relabelling

LONGEST = 4000  # long rules have some hundred characters; bounds the parser's time
MOST_STEPS = 150  # the parser takes time by the cube of the depth, of which they are a bound
MOST_TOGETHER = 150_000
"""Characters of all expressions of one file: reading them takes half a second."""
MOST_INSTANTS = 11_000
"""Instants of all subqueries of an expression: as many as Prometheus has points in a range."""
MOST_INSTANTS_TOGETHER = 5 * MOST_INSTANTS
"""Instants of all subqueries of one file: the first evaluation takes a second."""
# One after the other from the left: an apostrophe in a comment opens nothing.
_QUOTED_OR_COMMENT = re.compile(
    r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*""", re.DOTALL
)
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_STEP = re.compile(r"[-+*/%^<>(]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
# The grammar panics on some durations that are odd numbers (`offset NaN`), and on times before
# 1970, so only plain ones are let in.
_LENGTH = r"(?:(?:\d{1,9}(?:ms|[smhdwy]))+|\d{1,9}(?:\.\d{1,3})?)(?![\w.])"
_TIME = rf"(?:{_LENGTH}|\d{{1,10}}(?:\.\d{{1,9}})?(?![\w.])|(?:start|end)\s*\()"
_ODD_LENGTH = re.compile(
    rf"(?<![\w:])offset(?![\w:])(?!\s*[),=!~])(?!\s*-?\s*{_LENGTH})\s*-?\s*\S*"
    rf"|\[(?!\s*{_LENGTH}\s*(?:\]|:\s*(?:{_LENGTH})?\s*\]))[^\]]*\]?",
    re.IGNORECASE,
)
_ODD_TIME = re.compile(rf"@(?!\s*\+?\s*{_TIME})\s*\S*", re.IGNORECASE)
# The grammar takes a byte for a character: Go joins bytes to UTF-8, or keeps what is none.
_BYTE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:x[89a-fA-F][0-9a-fA-F]|[23][0-7]{2}))")
_UNDERSCORED = re.compile(r"(?<![\w.:])\d+(?:_\d+)+(?=[^\w]|$)")
FUNCTIONS = frozenset(instant_functions.NAMES) | frozenset(range_functions.NAMES)
AGGREGATIONS = frozenset({*FOLDS, *PARAMETERISED, COUNT_VALUES})


def parse(text: str) -> Query:
    """Read an expression. Raises PromqlError.

    The last ones are remembered: a file is checked, looked at for bounds, and checked again in
    its short form.
    """
    return _parse(text)


@lru_cache(maxsize=512)
def _parse(text: str) -> Query:
    query = parse_any(text)
    if is_range(query.node):
        raise PromqlError("is a range, not a value: put a function such as rate around it", text)
    if isinstance(query.node, Text):
        raise PromqlError("is a text, not a value", text)
    return query


def parse_any(text: str) -> Query:
    """Read an expression whatever it is, a range or a text too; it is not remembered.

    Raises PromqlError.
    """
    _refuse_unreadable(text)
    try:
        node = _node(grammar.parse(_without_underscores(text)))
    except ValueError as error:
        raise PromqlError(f"is not PromQL: {error}", text.strip()) from error
    return _affordable(Query(text, node))


def parse_selector(text: str) -> Selector:
    """Read what selects series, as `up{job="x"}`. Raises PromqlError."""
    node = parse_any(text).node
    if not isinstance(node, Selector) or (node.range_ns, node.offset_ns, node.at) != _PLAIN:
        raise PromqlError("selects no series by their labels alone", text.strip())
    return node


def _refuse_unreadable(text: str) -> None:
    """Raise PromqlError for what the grammar takes too long for, reads otherwise, or panics at."""
    if len(text) > LONGEST:
        raise PromqlError(f"is longer than {LONGEST} characters", text[:60] + "…")
    if _steps(text) > MOST_STEPS:
        raise PromqlError(f"has more than {MOST_STEPS} operators and brackets", text[:60] + "…")
    for passed_over in _QUOTED_OR_COMMENT.findall(text):
        if passed_over[0] in "\"'" and (byte := _BYTE.search(passed_over)) is not None:
            raise PromqlError("write the character itself instead of its bytes", byte[1])
    bare = _QUOTED_OR_COMMENT.sub("", text)
    if (odd := _ODD_LENGTH.search(bare)) is not None:
        raise PromqlError("a duration is a number of seconds, or 5m, 1h30m, 250ms …", odd[0])
    if (odd := _ODD_TIME.search(bare)) is not None:
        problem = "a time is a number of seconds since 1970, start() or end()"
        raise PromqlError(problem, odd[0])


def _affordable(query: Query) -> Query:
    """The query, unless its subqueries multiply to more than can be evaluated every second."""
    if query.instants > MOST_INSTANTS:
        problem = f"its subqueries come to {query.instants} instants, more than {MOST_INSTANTS}"
        help = "a longer step after the colon, such as [1h:1m]; without one it is a second"
        raise PromqlError(problem, query.text.strip(), help=help)
    return query


def _without_underscores(text: str) -> str:
    """The text with `1_000` as `1000`, which the grammar does not know; quotes stay as they are."""
    if "_" not in text:
        return text
    parts, at = [], 0
    for passed_over in _QUOTED_OR_COMMENT.finditer(text):
        parts += [_plain_digits(text[at : passed_over.start()]), passed_over[0]]
        at = passed_over.end()
    return "".join([*parts, _plain_digits(text[at:])])


def _plain_digits(text: str) -> str:
    return _UNDERSCORED.sub(lambda number: number[0].replace("_", ""), text)


def _steps(text: str) -> int:
    """An upper bound of the brackets and operators in a text, outside of quotes and comments.

    The grammar's own trees cost time that grows with the cube of their depth, so the depth is
    bounded before they are made.
    """
    return len(_STEP.findall(_QUOTED_OR_COMMENT.sub("", text)))


def _node(tree: Any) -> Node:
    translate = _TRANSLATORS.get(type(tree))
    if translate is None:
        _refuse(tree, f"{type(tree).__name__} is not supported")
    return translate(tree)


def _refuse(tree: Any, problem: str) -> NoReturn:
    raise PromqlError(problem, tree.prettify(), help="`gameday` evaluates a subset of PromQL")


def _number(tree: Any) -> Number:
    return Number(tree.prettify(), float(tree.val))


def _text(tree: Any) -> Text:
    return Text(json.dumps(tree.val, ensure_ascii=False), tree.val)


def _selector(tree: Any) -> Selector:
    if tree.matchers.or_matchers:
        _refuse(tree, "`or` between label matchers is not supported")
    name = [Matcher(NAME, "=", tree.name)] if tree.name else []
    rest = [_matcher(tree, found) for found in tree.matchers.matchers]
    return Selector(tree.prettify(), (*name, *rest), _ns(tree.offset), at=_moment(tree.at))


def _moment(at: Any) -> Moment:
    """The instant after `@`; a number is rounded to milliseconds, as Prometheus does."""
    if at is None:
        return None
    edge = _EDGES.get(str(at.type))
    if edge is not None:
        return edge
    since_us: int = (at.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return (since_us + 500) // 1000 * 1_000_000


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
    text = tree.prettify()
    return Selector(text, inner.matchers, inner.offset_ns, _length_ns(tree, tree.range), inner.at)


def _subquery(tree: Any) -> Subquery:
    operand, at = _node(tree.expr), _moment(tree.at)
    if is_scalar(operand) or is_range(operand) or isinstance(operand, Text):
        _refuse(tree, "a subquery is of an instant vector")
    range_ns, offset_ns = _length_ns(tree, tree.range), _ns(tree.offset)
    step_ns = None if tree.step is None else _length_ns(tree, tree.step)
    text = f"{_inner(tree.expr, operand)}[{_length(range_ns)}:{_length(step_ns or 0)}]"
    if at is not None:
        text += f" @ {at / 10**9:.3f}" if isinstance(at, int) else f" @ {at}()"
    if offset_ns:
        text += f" offset {'-' if offset_ns < 0 else ''}{_length(abs(offset_ns))}"
    return Subquery(
        text=text,
        operand=operand,
        range_ns=range_ns,
        step_ns=step_ns,
        offset_ns=offset_ns,
        at=at,
        is_settled=_is_settled(operand),
        is_timeless=_is_timeless(operand),
    )


def _is_settled(node: Node) -> bool:
    if isinstance(node, Selector | Subquery) and (node.at is not None or node.offset_ns < 0):
        return False
    return all(_is_settled(child) for child in children(node))


def _is_timeless(node: Node) -> bool:
    if isinstance(node, FunctionCall) and node.name in {"time", "timestamp"}:
        return False
    return all(_is_timeless(child) for child in children(node))


def _length(ns: int) -> str:
    """A duration as PromQL writes it, "" for none."""
    return str(grammar.display_duration(timedelta(microseconds=ns // 1000))) if ns else ""


def _length_ns(tree: Any, length: timedelta) -> int:
    """The length of a range or of a step, which the grammar lets be a plain 0."""
    if not length:
        raise PromqlError("a range and its step must be longer than 0", tree.prettify())
    return _ns(length)


def _ns(length: timedelta | None) -> int:
    return 0 if length is None else length // timedelta(microseconds=1) * 1000


def _call(tree: Any) -> FunctionCall:
    name = tree.func.name
    if name not in FUNCTIONS:
        _refuse(tree, f"the function {name} is not supported")
    args = tuple(_node(arg) for arg in tree.args)
    for given, arg in zip(tree.args, args, strict=True):
        ranged = is_range(arg)
        if ranged != (name in range_functions.NAMES and not is_scalar(arg)):
            _refuse(given, f"{name} takes {'an instant vector' if ranged else 'a range'} here")
        if name == "predict_linear" and isinstance(arg, Subquery) and arg.at is not None:
            _refuse(given, "Prometheus has no value for predict_linear of a subquery with @")
    text = f"{name}({', '.join(arg.text for arg in args)})"
    if name in dates.PARTS and not args:
        args = (_NOW,)
    if name not in instant_functions.RELABELLING:
        return FunctionCall(text, name, args)
    try:
        return FunctionCall(text, name, args, relabelling(name, args))
    except ValueError as error:
        raise PromqlError(str(error), text) from error


def _aggregation(tree: Any) -> Aggregation:
    op = str(tree.op)
    if op not in AGGREGATIONS:
        _refuse(tree, f"the aggregation {op} is not supported")
    without = tree.modifier is not None and "Without" in str(tree.modifier.type)
    names = frozenset(tree.modifier.labels if tree.modifier is not None else ())
    param = None if tree.param is None else _node(tree.param)
    operand = _node(tree.expr)
    if op == COUNT_VALUES and isinstance(param, Text) and not param.value:
        _refuse(tree, "'' is not a name for a label")
    kept = "" if tree.modifier is None else f" {'without' if without else 'by'} ({_names(names)}) "
    inside = operand.text if param is None else f"{param.text}, {operand.text}"
    return Aggregation(f"{op}{kept}({inside})", op, operand, names, without, param)


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_quoted, sorted(names)))


def _quoted(name: str) -> str:
    """A label's name, in quotes where it is none of the old ones."""
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


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
        words += f" {group} ({', '.join(map(_quoted, matching.include))})"
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
    grammar.StringLiteral: _text,
    grammar.VectorSelector: _selector,
    grammar.MatrixSelector: _range,
    grammar.SubqueryExpr: _subquery,
    grammar.Call: _call,
    grammar.AggregateExpr: _aggregation,
    grammar.UnaryExpr: _negation,
    grammar.ParenExpr: _parens,
    grammar.BinaryExpr: _binary,
}
_EDGES: dict[str, Literal["start", "end"]] = {
    "AtModifierType.Start": "start",
    "AtModifierType.End": "end",
}
_PLAIN = (None, 0, None)  # neither a range nor an offset nor a time
_NOW = FunctionCall("vector(time())", "vector", (FunctionCall("time()", "time", ()),))
