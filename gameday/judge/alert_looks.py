"""Rules looked at over a recorded run, to find why an alert broke its promise.

Only what is needed is read and evaluated, all broken rules together, and no more than `MOST_STEPS`
in all: a run of hours with thousands of series would take longer to judge than it took. Steps are
counted, not timed, so that a run is judged alike on every machine.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from gameday.judge.alert_replay import RecordedRun
from gameday.telemetry.alerts.looks import RuleLook, RulesSeen, look_at, steps_of
from gameday.telemetry.alerts.replay import period_ns
from gameday.telemetry.alerts.rules import (
    ALERTS,
    ALERTS_FOR_STATE,
    AlertRule,
    Group,
    RecordingRule,
    RuleFile,
)
from gameday.telemetry.promql import PromqlError, parse
from gameday.telemetry.promql.labels import Labels
from gameday.telemetry.promql.nodes import selectors

MOST_STEPS: Final = 60_000_000
"""Values that are read to find causes, about: some five seconds of work."""
_SHORTER: Final = 6


def named_by(files: Sequence[RuleFile]) -> frozenset[str] | None:
    """The metrics that rules name; None where one asks for some by more than a name."""
    read = [each for file in files for query in file.queries for each in selectors(query.node)]
    return frozenset(each.name for each in read) if all(each.name for each in read) else None


def only(files: Sequence[RuleFile], alerts: Collection[str]) -> list[RuleFile]:
    """The rules that record, and these alerts; all where a rule reads alerts."""
    read = {name for file in files for query in file.queries for name in query.metric_names()}
    if read & {ALERTS, ALERTS_FOR_STATE}:
        return list(files)

    def part(group: Group) -> Group:
        rules = [r for r in group.rules if isinstance(r, RecordingRule) or r.alert in alerts]
        return replace(group, rules=tuple(rules))

    return [replace(file, groups=tuple(map(part, file.groups))) for file in files]


class RunLooks:
    """Some rules over a run, and how much may still be evaluated for them."""

    def __init__(
        self, run: RecordedRun, files: Sequence[RuleFile], rules: Sequence[AlertRule]
    ) -> None:
        self.run = run
        self._files, self._rules = files, rules
        self._left = MOST_STEPS

    def look(self, files: Sequence[RuleFile], rules: Sequence[AlertRule]) -> RulesSeen | None:
        """The rules over the run; None where that is more than may be done."""
        steps = steps_of(self.run.samples, files, rules)
        if steps > self._left:
            return None
        self._left -= steps
        return look_at(self.run.samples, files, rules, self.run.wall_offset_ns)

    @cached_property
    def with_shorter_windows(self) -> Mapping[str, tuple[int, Sequence[RuleLook]]]:
        """Rules with shorter windows over the run, by alert, each with its longest window (ns)."""
        step_ns = period_ns(self.run.scrapes)
        made = [made for rule in self._rules if (made := _shorter(rule, step_ns)) is not None]
        found = self.look(only(self._files, ()), [rule for rule, _ in made]) if made else None
        if found is None:
            return {}
        pairs = zip(made, found.by_rule, strict=True)
        return {rule.alert: (longest_ns, looks) for (rule, longest_ns), looks in pairs}

    @cached_property
    def series(self) -> Sequence[Labels]:
        """Every series that was read."""
        return list({labels: None for each in self.run.scrapes for labels, _ in each.values})


def _shorter(rule: AlertRule, step_ns: int) -> tuple[AlertRule, int] | None:
    """The rule with shorter windows, and the longest that it has; None where none is long."""
    text, longest_ns = rule.query.text, 0
    for selector in sorted(selectors(rule.query.node), key=lambda s: -len(s.text)):
        if selector.range_ns is None or not selector.text.endswith("]"):
            continue
        shorter_ns = max(3 * step_ns, selector.range_ns // _SHORTER)
        if shorter_ns < selector.range_ns:
            head = selector.text.rpartition("[")[0]
            text = text.replace(selector.text, f"{head}[{shorter_ns // 10**6}ms]")
            longest_ns = max(longest_ns, selector.range_ns)
    try:
        return (replace(rule, query=parse(text)), longest_ns) if longest_ns else None
    except PromqlError:
        return None
