"""k6's thresholds, over the traffic as a whole.

Three things are gameday's own. Without a sample a threshold is unknown, not kept. Refusals while a
step refuses on purpose (a pause) do not count in `http_req_failed`. And when the workers kept
their schedule only nearly, a latency closer to its bound than they lagged proves nothing.
"""

from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.verdict import NotApplicable, Validity, Verdict, lacking, worst
from gameday.traffic import metrics, thresholds
from gameday.traffic.thresholds import ThresholdOutcome

_VALIDITY = {True: Validity.VALID, False: Validity.INVALID, None: Validity.UNKNOWN}


def check(evidence: Evidence) -> Verdict | NotApplicable:
    """Every threshold of the file is kept."""
    wanted = evidence.experiment.expect.threshold_texts
    if not wanted:
        return lacking("lacks.thresholds")
    outcomes = [
        metrics.threshold_outcome(
            evidence.attempts.records,
            key,
            thresholds.parse(text),
            status=evidence.generator,
            about=evidence.about,
        )
        for key, texts in sorted(wanted.items())
        for text in texts
    ]
    verdict = worst([_VALIDITY[one.kept] for one in outcomes])
    decisive = [_message(one) for one in outcomes if _VALIDITY[one.kept] is verdict]
    measured = [
        {"metric": one.metric, "threshold": one.threshold.text, "measured": _figure(one)}
        for one in outcomes
    ]
    return Verdict(verdict, Message("check.all", parts=decisive), measured)


def _figure(one: ThresholdOutcome) -> float | None:
    return None if one.case == "no_sample" else one.figure


def _message(one: ThresholdOutcome) -> Message:
    about = {"metric": one.metric, "threshold": one.threshold.text}
    return Message(f"check.thresholds.{one.case}", figure=_figure(one), lag_ms=one.lag_ms, **about)
