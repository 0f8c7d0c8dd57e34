"""Result of traffic that is over: its figures, its thresholds, and the rate it is valid for.

When the generator could not keep its schedule the run says nothing about the system's speed, so
its thresholds are unknown, not crossed. The same holds for a figure that is closer to its bound
than a generator that was nearly in time had lagged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gameday.core import settings
from gameday.core.clock import NS
from gameday.core.errors import ExitCode
from gameday.run.load_test.request import Load
from gameday.run.load_test.session import Sent, about
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic import metrics, thresholds
from gameday.traffic.forecast import planned_starts, scenarios_of, traffic_end_s
from gameday.traffic.history import History, Outcome, Reason, read
from gameday.traffic.metrics.percentiles import PERCENTILES
from gameday.traffic.thresholds import ThresholdOutcome

BOOKS = (
    *("scheduled", "started", "dropped", "never_started"),
    *("completed", "failed", "interrupted"),
)
MOST_FAILURES = 8  # they fit on a screen; what is rarer is in the records


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """Everything that is known in the end. `parts` are the figures of tagged metrics."""

    load: Load
    sent: Sent
    summary: metrics.TrafficSummary
    generator: metrics.GeneratorStatus
    held: Sequence[ThresholdOutcome]
    parts: Mapping[str, Mapping[str, float]]
    length_s: float
    failures: Mapping[str, int]

    @property
    def exit_code(self) -> int:
        if self.sent.ended == "interrupted":
            return ExitCode.ABORTED
        # What ended the traffic may hold again for all that came back after that.
        if any(one.kept is False for one in self.held) or self.sent.ended == "threshold":
            return ExitCode.INVALID
        silent = self.summary.completed == 0
        unsure = any(one.kept is None for one in self.held)
        if silent or unsure or self.generator.status == "limited" or self.sent.ended == "worker":
            return ExitCode.UNKNOWN
        return ExitCode.PASSED

    @property
    def all_metrics(self) -> dict[str, Mapping[str, float]]:
        """Every metric, and the tagged parts that a threshold is about, by their keys."""
        return {**self.summary.metrics, **self.parts}

    def as_json(self) -> object:
        """The summary for machines, in gameday's own shape."""
        total, status = self.summary, self.generator
        return {
            "schema": 1,
            "run": self.sent.run,
            "ended": self.sent.ended,
            "why": self.sent.why,
            "exit_code": self.exit_code,
            "length_s": round(self.length_s, 3),
            "traffic": {name: getattr(total, name) for name in BOOKS}
            | {
                "outcomes": dict(total.outcomes),
                "failures": dict(self.failures),
                "metrics": {name: dict(one) for name, one in total.metrics.items()},
                "generator": {
                    "status": status.status,
                    "reasons": list(map(str, status.reasons)),
                    "speaks_up_to_per_s": status.speaks_up_to_per_s,
                    "lag_p95_ms": status.lag_p95_ms,
                    "lag_p99_ms": status.lag_p99_ms,
                },
            },
            "thresholds": [
                {
                    "metric": one.metric,
                    "threshold": one.threshold.text,
                    "kept": one.kept,
                    "measured": one.figure,
                    "why": one.why,
                }
                for one in self.held
            ],
        }


def judge(load: Load, sent: Sent, history_dir: Path) -> LoadResult:
    """Read what the workers wrote, and judge it. Raises AccountingError for a contradiction."""
    histories = [read(path) for path in sorted(history_dir.glob("*.bin"))]
    planned = planned_starts(scenarios_of(load.experiment))
    starts, tags = metrics.Starts(histories), about(load)
    summary = metrics.summary(starts, planned, about=tags)
    end_ns = sent.t0_ns + round(traffic_end_s(load.experiment) * NS)
    until_ns = end_ns if sent.until_ns is None else min(end_ns, sent.until_ns)
    generator = metrics.generator(
        starts,
        tightest_bound_ms(load.experiment),
        until_ns=until_ns,
        vitals=sent.vitals,
        rule=metrics.Rule(**settings.current().figures("generator")),
    )
    held = [
        metrics.threshold_outcome(
            starts,
            metric,
            thresholds.parse(text),
            status=generator,
            percentiles=PERCENTILES,
            about=tags,
        )
        for metric, texts in load.experiment.expect.threshold_texts.items()
        for text in texts
    ]
    if generator.status == "limited":
        held = [
            one if one.kept is None else replace(one, kept=None, case="limited") for one in held
        ]
    parts = {one.metric: one.figures for one in held if one.figures and "{" in one.metric}
    return LoadResult(
        load=load,
        sent=sent,
        summary=summary,
        generator=generator,
        held=held,
        parts={name: figures for name, figures in parts.items() if figures},
        length_s=_length_s(histories, sent.t0_ns),
        failures=_failures(starts),
    )


def _failures(starts: metrics.Starts) -> dict[str, int]:
    """Why starts failed or were dropped, the most frequent first."""
    outcome = np.asarray(starts["outcome"])
    bad = np.isin(outcome, (Outcome.REFUSED, Outcome.UNKNOWN, Outcome.DROPPED))
    status, reason = np.asarray(starts["status"])[bad], np.asarray(starts["reason"])[bad]
    found: Counter[str] = Counter()
    # Of a start that asked again, the answer that came in the end is not what was late.
    asked_again = (np.asarray(starts["attempts"])[bad] > 1) & (reason == Reason.TIMEOUT)
    both = np.where(asked_again, 0, status).astype(np.int64) << 8 | reason
    for code, count in zip(*np.unique(both, return_counts=True), strict=True):
        found[_failure(int(code) >> 8, Reason(int(code) & 0xFF))] += int(count)
    return dict(found.most_common(MOST_FAILURES))


_AFTER_A_STATUS = {
    Reason.RESET: "body cut",
    Reason.TIMEOUT: "body stalled",
    Reason.GARBAGE: "body broken",
    Reason.TOO_LARGE: "answer too large",
    Reason.INTERRUPTED: "body open at the end",
}


def _failure(status: int, reason: Reason) -> str:
    """Reason why a start failed, in words; a status line alone is no answer."""
    if not status:
        return reason.text
    what = _AFTER_A_STATUS.get(reason)
    return f"status {status}" if what is None else f"{what} after status {status}"


def _length_s(histories: Sequence[History], t0_ns: int) -> float:
    ends = [int(history.records["ended_ns"].max(initial=0)) for history in histories]
    return max(max(ends, default=0) - t0_ns, 0) / NS
