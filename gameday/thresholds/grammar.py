"""One threshold: parsed, and held against a metric's figures."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gameday.errors import UsageError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
}
_FORM = re.compile(
    r"\s*(?P<what>count|rate|value|avg|min|max|med|p\(\s*(?P<p>\d+(?:\.\d+)?)\s*\))"
    r"\s*(?P<op><=|>=|===|==|!=|<|>)"
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """`statistic op bound`; the statistic is the key of a metric's figures, such as `p(95)`."""

    text: str
    statistic: str
    percentile: float | None
    op: str
    bound: float


def parse(text: str) -> Threshold:
    """One threshold expression. Raises UsageError with the form to write."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a threshold",
            help="write an aggregation, a comparison and a number: p(95)<200, rate<0.01, count>100",
        )
    percentile = None if match["p"] is None else float(match["p"])
    if percentile is not None and percentile > 100:
        raise UsageError(f"{text!r}: {percentile:g} is no percentile", help="write 0 to 100")
    statistic = match["what"] if percentile is None else f"p({percentile:g})"
    return Threshold(text, statistic, percentile, match["op"], float(match["number"]))


def evaluate(threshold: Threshold, figures: Mapping[str, float] | None) -> bool | None:
    """Whether the figures keep the threshold; None when there is no sample to tell from.

    `figures` are one metric's, such as {"avg": 12.0, "p(95)": 30.1}; None or a missing statistic
    is no sample.
    """
    if figures is None or threshold.statistic not in figures:
        return None
    return _OPERATORS[threshold.op](figures[threshold.statistic], threshold.bound)
