"""One threshold: parsed, and held against a metric's figures."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from gameday.core.errors import UsageError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
}
# k6 reads `p` alone as p(0), the least; nobody means that, so it is refused here.
_FLOAT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FORM = re.compile(
    rf"\s*(?P<what>count|rate|value|avg|min|max|med|p\(\s*(?P<p>{_FLOAT})\s*\))"
    r"\s*(?P<op><=|>=|===|==|!=|<|>)"
    rf"\s*(?P<number>{_FLOAT})\s*"
)


_LONGEST = 200  # k6's own expressions have some tens of characters


@dataclass(frozen=True, slots=True)
class ThresholdExpression:
    """`statistic op bound`; the statistic is the key of a metric's figures, such as `p(95)`."""

    text: str
    statistic: str
    percentile: float | None
    op: str
    bound: float


def parse(text: str) -> ThresholdExpression:
    """One threshold expression. Raises UsageError with the form to write."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not isfinite(float(match["number"])):
        raise UsageError(
            f"{text!r} is not a threshold",
            help="write an aggregation, a comparison and a number: p(95)<200, rate<0.01, count>100",
        )
    percentile = None if match["p"] is None else float(match["p"])
    if percentile is not None and not 0 <= percentile <= 100:
        raise UsageError(f"{text!r}: {percentile:g} is no percentile", help="write 0 to 100")
    statistic = match["what"] if percentile is None else f"p({percentile:g})"
    return ThresholdExpression(text, statistic, percentile, match["op"], float(match["number"]))


def at_least(statistic: str, figures: Mapping[str, float]) -> bool:
    """True if a trend's figure is only a lower bound: requests were open in the end.

    `known_to_p` is the percentile up to which the figures are exact.
    """
    if not figures.get("censored"):
        return False
    if statistic in ("avg", "max"):
        return True
    percentile = {"med": 50.0, "min": 0.0}.get(statistic)
    if statistic.startswith("p("):
        percentile = float(statistic[2:-1])
    return percentile is not None and percentile > figures["known_to_p"]


def evaluate(threshold: ThresholdExpression, figures: Mapping[str, float] | None) -> bool | None:
    """True if the figures keep the threshold; None when there is no sample to tell from.

    `figures` are one metric's, such as {"avg": 12.0, "p(95)": 30.1}; None or a missing statistic
    is no sample. A figure that is only "at least" fails every upper bound, since whoever did not
    answer might as well have never answered; it keeps a lower bound that it is beyond, and of
    another nobody knows.
    """
    if figures is None or threshold.statistic not in figures:
        return None
    figure, op = figures[threshold.statistic], threshold.op
    if not at_least(threshold.statistic, figures):
        return _OPERATORS[op](figure, threshold.bound)
    if op in ("<", "<="):
        return False
    beyond = figure > threshold.bound or (op == ">=" and figure == threshold.bound)
    if op in ("==", "==="):
        return False if beyond else None
    return True if beyond else None
