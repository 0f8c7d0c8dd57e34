"""A test file for `promtool test rules` that reproduces the alerts of a recorded run.

Its input series are the recorded samples that the rules may read, its expectations the alerts that
fire right before, at and right after each change. promtool evaluates every rule at each step of
the grid, also where the run did not look, and takes no heed of a group's own interval: what is
expected is replayed in the same way, so that the file holds. Wall time begins at 0 there, so rules
that read `time()` or dates have other values than in the run.
Source: prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gameday.core.clock import NS
from gameday.telemetry.alerts.replay import LabelledScrape, RuleReplay, period_ns
from gameday.telemetry.alerts.rules import RuleFile
from gameday.telemetry.alerts.state import AlertInstance
from gameday.telemetry.promql.evaluate import PROMETHEUS_3, PromqlSemantics
from gameday.telemetry.promql.labels import NAME, Labels, show, value_of
from gameday.telemetry.promql.nodes import Node, may_read

_MISSING: Final = object()
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PromtoolTest:
    """The text of the file, and the numbers of its series and expectations."""

    text: str
    series: int
    expectations: int


def promtool_test(
    scrapes: Sequence[LabelledScrape],
    files: Sequence[RuleFile],
    shown_as: Mapping[str, str],
    name: str,
    semantics: PromqlSemantics = PROMETHEUS_3,
) -> PromtoolTest:
    """The test file; `shown_as` maps the path of each rule file to how the test names it."""
    step_ns = period_ns(scrapes)
    first_ns = scrapes[0].t_ns
    by_step = {(each.t_ns - first_ns) // step_ns: each for each in scrapes}
    steps = max(by_step) + 1
    plain = [_as_promtool(file) for file in files]
    nodes = [query.node for file in files for query in file.queries]
    series = list(_input_series(by_step, steps, nodes))
    expected = list(_expectations(by_step, steps, plain, semantics, step_ns))
    interval = _duration(step_ns)
    lines = [f"rule_files: {json.dumps([shown_as[str(file.path)] for file in files])}"]
    lines += [f"evaluation_interval: {interval}", "tests:"]
    lines += [f"  - name: {json.dumps(name)}", f"    interval: {interval}"]
    lines += ["    input_series:", *series] if series else ["    input_series: []"]
    lines += ["    alert_rule_test:", *expected]
    return PromtoolTest("\n".join(lines) + "\n", len(series), len(expected))


def _as_promtool(file: RuleFile) -> RuleFile:
    """The file with groups that are evaluated at each step."""
    return replace(file, groups=tuple(replace(each, interval_ns=None) for each in file.groups))


def _input_series(
    by_step: Mapping[int, LabelledScrape], steps: int, nodes: Sequence[Node]
) -> Iterator[str]:
    read: dict[str, bool] = {}
    values: dict[Labels, dict[int, float]] = {}
    for step, scrape in by_step.items():
        for labels, value in scrape.values:
            name = value_of(labels, NAME)
            if name not in read:
                read[name] = any(may_read(node, name) for node in nodes)
            if read[name]:
                values.setdefault(labels, {})[step] = value
    for series, points in values.items():
        yield _item(series=_selector(series), values=" ".join(_runs(points, by_step, steps)))


def _runs(
    points: Mapping[int, float], scraped: Mapping[int, LabelledScrape], steps: int
) -> Iterator[str]:
    """A series in the notation of promtool, equal neighbours in one: `1x3` is four ones."""
    before: object = _MISSING
    tokens = []
    for step in range(steps):
        if step in points:
            tokens.append(_number(points[step]))
            before = points[step]
        elif before is _MISSING or step not in scraped:
            tokens.append("_")
        else:
            tokens.append("stale")
            before = _MISSING
    at = 0
    while at < len(tokens):
        end = at
        while end + 1 < len(tokens) and tokens[end + 1] == tokens[at]:
            end += 1
        more = end - at
        if not more or tokens[at] in ("stale", "NaN", "Inf", "-Inf"):
            yield from tokens[at : end + 1]
        else:
            yield f"{tokens[at]}x{more + 1 if tokens[at] == '_' else more}"
        at = end + 1


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _selector(series: Labels) -> str:
    rest = tuple(pair for pair in series if pair[0] != NAME)
    return value_of(series, NAME) + show(rest)


def _expectations(
    by_step: Mapping[int, LabelledScrape],
    steps: int,
    files: Sequence[RuleFile],
    semantics: PromqlSemantics,
    step_ns: int,
) -> Iterator[str]:
    """What fires at the steps where that changes, and at those beside them."""
    played = RuleReplay(files, semantics=semantics)
    firing: list[dict[str, list[AlertInstance]]] = []
    for step in range(steps):
        scrape = by_step.get(step)
        if scrape is not None:
            played.take(replace(scrape, t_ns=step * step_ns))
        at: dict[str, list[AlertInstance]] = {}
        for alert in played.at(step * step_ns).alerts:
            if alert.state == "firing":
                at.setdefault(alert.name, []).append(alert)
        firing.append(at)
    for name in sorted({rule.alert for file in files for rule in file.alerts}):
        labels = [sorted(a.labels for a in at.get(name, ())) for at in firing]
        changes = [step for step in range(1, steps) if labels[step] != labels[step - 1]]
        asked = sorted({each for step in changes for each in (step - 1, step)} | {steps - 1})
        for step in asked:
            yield _item(
                eval_time=_duration(step * step_ns),
                alertname=name,
                exp_alerts=[_expected(each) for each in firing[step].get(name, ())],
            )


def _expected(alert: AlertInstance) -> dict[str, dict[str, str]]:
    labels = {key: value for key, value in alert.labels if key != "alertname"}
    return {"exp_labels": labels, "exp_annotations": dict(alert.annotations)}


def _duration(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, NS)
    return f"{seconds}s" if not rest_ns else f"{time_ns // _MS}ms"


def _item(**members: object) -> str:
    """An item of a list in YAML, as JSON, which YAML is a superset of."""
    return f"      - {json.dumps(members)}"
