"""Evaluation of the series at one instant: every named expression, and every alert rule.

A reading is true, false, or null for no data; a figure is the number on the left of the
comparison, where there is exactly one. An expression that cannot be evaluated on this data (a
match that is many to many, say) reads null, and the line says why under `problems`. Expressions
and rules of one instant share their common parts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.alerts.state import Evaluator
from gameday.telemetry.catalogue import key
from gameday.telemetry.promql import (
    EvaluationError,
    InstantEvaluator,
    Query,
    SeriesStore,
    parse,
    reading_at,
)
from gameday.telemetry.samples import AlertLine, LiveEvaluation
from gameday.telemetry.sources.source import AnsweredInstant, SourceAnswers

_SPARE_S: Final = 10.0  # samples that come late still have their predecessors
MOST_ALERTS: Final = 2_000  # bounds a line of the samples, and the time to write it
ALERTS_CHARACTERS: Final = 512 * 1024  # as MOST_ALERTS, where labels are long
LONGEST_WHY: Final = 500  # an error may quote a whole expression


class SeriesEvaluator:
    """The expressions and rules of a run, and the store they are evaluated over."""

    def __init__(
        self, expressions: Mapping[str, str], rules: Sequence[Path], wall_offset_ns: int
    ) -> None:
        self.queries = {name: parse(text) for name, text in expressions.items()}
        files = [load_rules(path) for path in rules]
        self._alerts = Evaluator(files, self.queries.values())
        asked_s = [file.window_s for file in files]
        asked_s += [query.window_s for query in self.queries.values()]
        longest_s = max(asked_s, default=0.0)
        self.store = SeriesStore(longest_s + _SPARE_S, wall_offset_ns=wall_offset_ns)

    def at(self, t_ns: int, answers: SourceAnswers | None = None) -> LiveEvaluation:
        """Everything at that instant, with what a source has evaluated already."""
        answers = answers or SourceAnswers(targets=(), sampled_ns=t_ns)
        moment = AnsweredInstant(self.store, t_ns, answers.values)
        problems = dict(answers.problems)
        every = answers.alerts
        if every is None:  # first: other expressions may read what recording rules write
            every = [
                AlertLine(dict(alert.labels), alert.state, alert.active_at_ns)
                for alert in self._alerts.tick(self.store, t_ns, moment)
            ]
            problems |= self._alerts.problems
        readings: dict[str, bool | None] = {}
        figures: dict[str, float | None] = {}
        for name, query in self.queries.items():
            moment.budget.begin()
            try:
                figures[name], truth = _figure(query, moment), reading_at(query, moment)
            except EvaluationError as error:
                problems[name] = error.message
                figures[name] = truth = None
            if not name.startswith(key("dependency")):
                readings[name] = truth
        alerts = few_enough(every)
        if len(alerts) < len(every):
            problems["alerts"] = f"{len(every)} are too many to tell: {len(alerts)} are told"
        return LiveEvaluation(
            t_ns=t_ns,
            readings=readings,
            figures=figures,
            alerts=alerts,
            problems={name: why[:LONGEST_WHY] for name, why in problems.items()} or None,
            sampled=None if answers.sampled_ns == t_ns else answers.sampled_ns,
            alerts_problem=answers.alerts_problem[:LONGEST_WHY] or None,
        )


def few_enough(alerts: Sequence[AlertLine], most: int = ALERTS_CHARACTERS) -> Sequence[AlertLine]:
    """As many as fit into `most` characters of labels, in their order; all, nearly always.

    One of each name and state comes first, with its name alone where its labels are too long.
    """
    sizes = [sum(len(k) + len(v) for k, v in each.labels.items()) for each in alerts]
    if sum(sizes) <= most and len(alerts) <= MOST_ALERTS:
        return alerts
    first: dict[tuple[str, str], int] = {}
    for n, each in enumerate(alerts):
        first.setdefault((each.name, each.state), n)
    room = most // 2 // len(first)
    kept = {
        n: replace(alerts[n], labels={"alertname": name}) if sizes[n] > room else alerts[n]
        for (name, _), n in first.items()
    }
    left = most // 2
    for n, each in enumerate(alerts):
        if n not in kept and sizes[n] <= left and len(kept) < MOST_ALERTS:
            left -= sizes[n]
            kept[n] = each
    return [kept[n] for n in sorted(kept)]


def _figure(query: Query, moment: InstantEvaluator) -> float | None:
    """The left operand as a number: None where it is no value, several, or not finite."""
    value = moment.value(query.operands()[0].node)
    numbers = list(value.values()) if isinstance(value, dict) else [value]
    if len(numbers) != 1 or not math.isfinite(numbers[0]):
        return None
    return float(numbers[0])
