"""k6's thresholds, over the traffic as a whole.

Three things are gameday's own. Without a sample a threshold is unknown, not kept. Refusals while a
step refuses on purpose (a pause) do not count in `http_req_failed`. And when the workers kept
their schedule only nearly, a latency closer to its bound than they lagged proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, worst
from gameday.traffic import metrics, thresholds
from gameday.traffic.thresholds import ThresholdExpression


@dataclass(frozen=True, slots=True)
class Held:
    """One threshold of the file, its metric's figure, and what follows."""

    key: str
    threshold: ThresholdExpression
    figure: float | None
    validity: Validity
    case: str = "check.thresholds.figure"
    lag_ms: float = 0.0

    @property
    def message(self) -> Message:
        said = {"metric": self.key, "threshold": self.threshold.text}
        return Message(self.case, figure=self.figure, lag_ms=self.lag_ms, **said)


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every threshold of the file is kept."""
    wanted = evidence.experiment.expect.threshold_texts
    if not wanted:
        return lacking("lacks.thresholds")
    lag_ms = _doubt_ms(evidence)
    held = [
        _hold(evidence, key, thresholds.parse(text), lag_ms)
        for key, texts in sorted(wanted.items())
        for text in texts
    ]
    verdict = worst([one.validity for one in held])
    told = [one for one in held if one.validity is verdict]
    shown = [
        {"metric": one.key, "threshold": one.threshold.text, "measured": one.figure} for one in held
    ]
    return Verdict(verdict, Message("check.all", parts=[one.message for one in told]), shown)


def _doubt_ms(evidence: Evidence) -> float:
    """The error of a latency (ms) because the workers lagged; 0 when they kept the schedule."""
    status = evidence.generator
    return status.lag_p99_ms if status.status == "degraded" else 0.0


def _hold(evidence: Evidence, key: str, threshold: ThresholdExpression, doubt_ms: float) -> Held:
    figures = figures_of(evidence, key, threshold)
    kept = thresholds.evaluate(threshold, figures)
    if kept is None or figures is None:
        return Held(key, threshold, None, Validity.UNKNOWN, "check.thresholds.no_sample")
    figure = figures[threshold.statistic]
    if thresholds.at_least(threshold.statistic, figures):
        return Held(key, threshold, figure, _validity(kept=kept), "check.thresholds.at_least")
    margin = abs(figure - threshold.bound)
    if thresholds.parse_key(key).kind == "trend" and margin < doubt_ms:
        close = "check.thresholds.close"
        return Held(key, threshold, figure, Validity.UNKNOWN, close, doubt_ms)
    return Held(key, threshold, figure, _validity(kept=kept))


def _validity(*, kept: bool) -> Validity:
    return Validity.VALID if kept else Validity.INVALID


def figures_of(
    evidence: Evidence, key: str, threshold: ThresholdExpression
) -> Mapping[str, float] | None:
    """The figures of one metric, or of a tagged part of it."""
    percentiles = () if threshold.percentile is None else (threshold.percentile,)
    starts = evidence.attempts.records
    return metrics.measure(starts, key, percentiles=percentiles, about=evidence.about)
