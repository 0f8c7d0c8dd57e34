"""The known traps in alert rules, found by reading: `gameday alerts lint`.

A rule can be valid and still page for nothing, or never. What is looked for is what happened to
others: a shop that sells out pages everybody, a percentile that nobody exports never does.
With the scrapes of a run it is also known which series there are.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Final

from gameday.core.clock import NS
from gameday.core.units import format_duration
from gameday.plan.rot.surroundings import catalogued
from gameday.plan.rules.expressions import TRAFFIC_METRICS
from gameday.spec.experiment import ExpectedAlert, Experiment
from gameday.spec.inputs import FileWarning, Inputs
from gameday.spec.request import Match, OutcomeName
from gameday.telemetry.alerts.bounds import worst_case_s
from gameday.telemetry.alerts.replay import LabelledScrape
from gameday.telemetry.alerts.rules import (
    AlertRule,
    RecordingRule,
    RuleFile,
    load_rules,
    metrics_behind,
    recorded_names,
)
from gameday.telemetry.promql.labels import NAME, Labels
from gameday.telemetry.promql.nodes import (
    Aggregation,
    FunctionCall,
    Node,
    Selector,
    Subquery,
    children,
    selectors,
)

_OUTCOME_LABELS: Final = frozenset({"outcome", "result"})
_STATUS_LABELS: Final = frozenset({"status", "code", "status_code", "http_status", "http_code"})
_NOT_FAILURES: Final[Sequence[OutcomeName]] = ("sold_out", "duplicate")
_GENERATOR: Final = ("k6_dropped_iterations", "k6_vus")
_AVERAGING: Final = frozenset({"avg", "sum"})
_RATES: Final = frozenset({"rate", "irate", "increase", "delta", "idelta", "deriv"})
_ABSENT: Final = frozenset({"absent", "absent_over_time"})
_SCRAPES: Final = 2
_K6_FAILED: Final = "k6_http_req_failed_rate"  # counts every 4xx


def lint(
    inputs: Inputs, scrapes: Sequence[LabelledScrape] = (), scrape_s: float = 1.0
) -> Iterator[FileWarning]:
    """Every trap in the rules of an experiment, where scrapes are `scrape_s` apart.

    Raises FileError for a rule file.
    """
    files = [load_rules(path) for path in inputs.rules]
    experiment, there = inputs.experiment.experiment, _series(scrapes)
    names = () if there else _catalogued(inputs, files)
    for group in (group for file in files for group in file.groups):
        for rule in group.rules:
            found = list(_of_rule(rule, inputs, scrape_s))
            if isinstance(rule, AlertRule):
                found += _of_alert(rule, experiment, inputs.system.system.alert_tells)
                found += _of_series(rule, files, there)
                found += _of_names(rule, names)
            name = rule.alert if isinstance(rule, AlertRule) else rule.record
            yield from (FileWarning(rule.place, f"{name}: {text}") for text in found)


def slow_rules(inputs: Inputs, scrape_s: float = 1.0) -> Iterator[FileWarning]:
    """Expected alerts that may fire only when their fault is over, though most will not.

    That is no trap yet: the bound takes each window to fill, and a rate of errors needs just one.
    """
    experiment = inputs.experiment.experiment
    for group in (group for path in inputs.rules for group in load_rules(path).groups):
        for rule in (each for each in group.rules if isinstance(each, AlertRule)):
            most_s = worst_case_s(rule, group, scrape_s, scrape_s)
            for each in (each for each in experiment.expect.alerts if each.alert == rule.alert):
                lasts = _lasts(each, experiment)
                if lasts and most_s > lasts.total_seconds() > rule.for_ns / NS:
                    text = (
                        f"{rule.alert}: it fires after {most_s:g}s at most (scrape, window,"
                        f" interval, for), and the fault of {experiment.name} lasts"
                        f" {format_duration(lasts)}"
                    )
                    yield FileWarning(rule.place, text)


def _of_rule(rule: AlertRule | RecordingRule, inputs: Inputs, scrape_s: float) -> Iterator[str]:
    issue = inputs.system.system.requests.issue
    for selector in selectors(rule.query.node):
        if why := _counts_refusals(selector, issue.outcomes):
            yield why
    for node in _every(rule.query.node):
        if (
            isinstance(node, Aggregation)
            and node.op in _AVERAGING
            and _has_percentile(node.operand)
        ):
            yield (
                f"{node.op} of percentiles is no percentile: aggregate the buckets"
                " (sum by (le) …) first, then histogram_quantile"
            )
        if isinstance(node, FunctionCall) and node.name in _RATES:
            for arg in node.args:
                if isinstance(arg, Selector | Subquery) and _is_short(arg, scrape_s):
                    yield (
                        f"{node.name} needs two samples, and a window of"
                        f" {(arg.range_ns or 0) / NS:g}s has fewer than that at times:"
                        f" scrapes are {scrape_s:g}s apart"
                    )


def _of_alert(rule: AlertRule, experiment: Experiment, tells: Mapping[str, str]) -> Iterator[str]:
    """Traps that show in what an experiment expects of a rule; `tells` says what it tells of."""
    expected = [each for each in experiment.expect.alerts if each.alert == rule.alert]
    for each in expected:
        lasts = _lasts(each, experiment)
        if lasts and rule.for_ns / NS >= lasts.total_seconds():
            yield (
                f"its for, {rule.for_ns / NS:g}s, is as long as the fault of {experiment.name},"
                f" {format_duration(lasts)}, or longer: it cannot fire"
            )
    names = [each.name for each in selectors(rule.query.node)]
    known = tells.get(rule.alert) == "generator"
    if expected and names and not known and all(n.startswith(_GENERATOR) for n in names):
        yield (
            f"{experiment.name} expects it of the service, and it reads {names[0]}: that tells of"
            " the load generator"
        )


def _lasts(expected: ExpectedAlert, experiment: Experiment) -> timedelta | None:
    """The duration of the fault that an alert is expected of, None where it is none of them."""
    return next((f.duration for f in experiment.method if expected.of in (None, f.id)), None)


def _of_series(
    rule: AlertRule, files: Sequence[RuleFile], there: Sequence[Labels]
) -> Iterator[str]:
    """Series of the rule that no scrape had, where scrapes are known."""
    if not there:
        return
    recorded = recorded_names(files)
    known = {dict(labels).get(NAME, "") for labels in there}
    for selector in _must_be(rule.query.node):
        name = selector.name
        if name in recorded:
            lacking = sorted(metrics_behind([name], files) - known)
            if lacking:
                yield f"{name} is recorded of {', '.join(lacking)}, which the run did not have"
        elif not any(all(m.accepts(labels) for m in selector.matchers) for labels in there):
            what = "no such metric" if name and name not in known else "no series that matches"
            yield f"{selector.text}: the run had {what}"


def _catalogued(inputs: Inputs, files: Sequence[RuleFile]) -> frozenset[str]:
    """The metrics that the system's catalogue has, with those of the traffic and of the rules."""
    return frozenset({*catalogued(inputs.system), *TRAFFIC_METRICS, *recorded_names(files)})


def _of_names(rule: AlertRule, names: Collection[str]) -> Iterator[str]:
    """Metrics that begin like those of the system or the traffic, and are none of them.

    What others tell (an exporter's, say) stands in no catalogue.
    """
    words = {name.partition("_")[0] for name in names}
    for name in dict.fromkeys(s.name for s in _must_be(rule.query.node)):
        if name and names and name not in names and name.partition("_")[0] in words:
            near = get_close_matches(name, names, n=1)
            told = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"{name}: no such metric, so it never fires{told}"


def _must_be(node: Node) -> Iterator[Selector]:
    """The selectors of a tree but those of which the absence is asked for, or that stand in for."""
    if isinstance(node, FunctionCall) and node.name in _ABSENT:
        return
    if isinstance(node, Selector):
        yield node
    for child in children(node):
        yield from _must_be(child)


def _counts_refusals(selector: Selector, outcomes: Mapping[OutcomeName, Match]) -> str:
    """Why what the selector counts as failed is an ordinary answer, "" where it is not."""
    if selector.name == _K6_FAILED:
        return f"{_K6_FAILED} counts each 4xx: whoever is told that it is sold out counts as failed"
    for matcher in selector.matchers:
        if matcher.op == "=":
            continue  # asked for by name: meant
        if matcher.name in _OUTCOME_LABELS:
            fine: Sequence[str] = ["issued"]
            others: Sequence[str] = _NOT_FAILURES
        elif matcher.name in _STATUS_LABELS:
            fine = _statuses(outcomes.get("issued"))
            others = [code for name in _NOT_FAILURES for code in _statuses(outcomes.get(name))]
        else:
            continue
        if any(matcher.accepts(((matcher.name, each),)) for each in fine):
            continue
        hit = [each for each in others if matcher.accepts(((matcher.name, each),))]
        if hit := [each for each in dict.fromkeys(hit) if each not in fine]:
            return (
                f"{selector.text} counts {', '.join(hit)} as failed: the system's answer to who"
                " comes too late or again, so an ordinary end of a sale would page"
            )
    return ""


def _statuses(match: Match | None) -> Sequence[str]:
    if match is None:
        return ()
    return [str(each) for each in sorted(match.statuses)]


def _has_percentile(node: Node) -> bool:
    if isinstance(node, FunctionCall) and node.name == "histogram_quantile":
        return True
    if isinstance(node, Selector):
        return any(m.name == "quantile" for m in node.matchers)
    return any(_has_percentile(child) for child in children(node))


def _is_short(node: Selector | Subquery, scrape_s: float) -> bool:
    if isinstance(node, Subquery):
        step_s = (node.step_ns or NS) / NS
        return node.range_ns / NS < _SCRAPES * step_s
    return node.range_ns is not None and node.range_ns / NS < _SCRAPES * scrape_s


def _every(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _every(child)


def _series(scrapes: Sequence[LabelledScrape]) -> list[Labels]:
    return list({labels: None for each in scrapes for labels, _ in each.values})
