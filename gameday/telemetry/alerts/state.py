"""From the results of expressions to firing alerts and recorded series, as in Prometheus.

An alert is one label set of a rule: the result's labels without the name, the rule's own
labels on top, and `alertname`. Seen first, it is pending; it fires at the first evaluation at
least `for` later; one evaluation without it drops it, unless `keep_firing_for` holds it. What a
recording rule gives goes into the store at once, so that the rules below it in its group read it.
Source: Prometheus, rules/alerting.go, rules/recording.go and rules/group.go.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Final, Literal

from gameday.core.clock import NS
from gameday.telemetry.alerts import templates
from gameday.telemetry.alerts.rules import (
    ALERTS,
    ALERTS_FOR_STATE,
    AlertRule,
    Group,
    RecordingRule,
    Rule,
    RuleFile,
)
from gameday.telemetry.promql import (
    EvaluationError,
    InstantEvaluator,
    Labels,
    Query,
    SeriesStore,
    Value,
    Vector,
    label_set,
    show,
    value_of,
)
from gameday.telemetry.promql.labels import EMPTY, NAME, nameless
from gameday.telemetry.promql.nodes import Matcher, Node, Selector, children

RESOLVED_RETENTION_NS = 15 * 60 * NS  # Prometheus' resolvedRetention, 15 min
MOST_RECORDED: Final = 10_000
"""Series that one rule may record at an instant: one that reads its own can double them."""
MOST_RECORDED_TOGETHER: Final = 5 * MOST_RECORDED
"""Different series that all rules may record in a run: those of a changing label stay for long."""
_REMEMBERED: Final = 1_000  # label sets of one rule: some times what one page of alerts has
_MOST_ASKED: Final = 100  # matched with each name of a thousand: a tenth of a second
MOST_CHARACTERS: Final = 32 * 1024 * 1024
"""Characters of the labels of all these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInstance:
    """One alert that is pending or firing."""

    labels: Labels
    state: Literal["pending", "firing"]
    active_at_ns: int
    fired_at_ns: int | None
    value: float
    annotations: tuple[tuple[str, str], ...] = ()
    missing_since_ns: int | None = None  # it fires on, as `keep_firing_for` asks

    @property
    def name(self) -> str:
        """The alert's name."""
        return value_of(self.labels, "alertname")


@dataclass(slots=True)
class _Active:
    """The machine's memory of one label set."""

    value: float
    annotations: tuple[tuple[str, str], ...]
    active_at_ns: int
    fired_at_ns: int | None = None
    resolved_at_ns: int | None = None
    missing_since_ns: int | None = None

    @property
    def state(self) -> Literal["pending", "firing", "inactive"]:
        if self.resolved_at_ns is not None:
            return "inactive"
        return "pending" if self.fired_at_ns is None else "firing"


class RuleState:
    """The memory of one rule from evaluation to evaluation."""

    def __init__(self, rule: AlertRule, limit: int = 0) -> None:
        self.rule = rule
        self.limit = limit
        self._active: dict[Labels, _Active] = {}
        self._is_templated = any("{{" in text for _, text in rule.labels)
        self._labels: dict[Labels, Labels] = {}  # of results, where they hang on nothing else

    def evaluate(self, result: Value, t_ns: int) -> list[AlertInstance]:
        """Take the expression's value at `t_ns`: the alerts since then. Raises EvaluationError."""
        self.take(result, t_ns)
        return self.alerts()

    def take(self, result: Value, t_ns: int) -> None:
        """Take the expression's value at `t_ns`. Raises EvaluationError.

        Two results with the same labels leave the state as it was; more alerts than the
        group's limit clear it.
        """
        vector = result if isinstance(result, dict) else {EMPTY: result}
        seen = self._seen(vector, t_ns)
        for labels, found in seen.items():
            known = self._active.get(labels)
            if known is None or known.state == "inactive":
                self._active[labels] = found
            else:
                known.value, known.annotations = found.value, found.annotations
        for labels, alert in list(self._active.items()):
            if labels in seen:
                alert.missing_since_ns = None
                self._fire(alert, t_ns)
            elif self._is_over(alert, t_ns):
                del self._active[labels]
        count = len(self.alerts()) if self.limit > 0 else 0
        if count > self.limit:
            self._active.clear()
            raise EvaluationError(
                f"{count} alerts exceed the limit of {self.limit}", self.rule.alert
            )

    def series(self, wall_offset_ns: int) -> Vector:
        """The series `ALERTS` and `ALERTS_FOR_STATE` of the alerts there are."""
        found: Vector = {}
        for alert in self.alerts():
            labels = dict(alert.labels)
            found[label_set({**labels, NAME: ALERTS, "alertstate": alert.state})] = 1.0
            since_s = (alert.active_at_ns + wall_offset_ns) // NS
            found[label_set({**labels, NAME: ALERTS_FOR_STATE})] = float(since_s)
        return found

    def alerts(self) -> list[AlertInstance]:
        """The alerts that are pending or firing since the last evaluation."""
        found = []
        for labels, alert in self._active.items():
            state = alert.state
            if state == "inactive":
                continue
            found.append(
                AlertInstance(
                    labels=labels,
                    state=state,
                    active_at_ns=alert.active_at_ns,
                    fired_at_ns=alert.fired_at_ns,
                    value=alert.value,
                    annotations=alert.annotations,
                    missing_since_ns=alert.missing_since_ns,
                )
            )
        return found

    def resolved(self) -> dict[Labels, int]:
        """When each alert resolved in the last 15 minutes did so, in ns."""
        return {
            labels: alert.resolved_at_ns
            for labels, alert in self._active.items()
            if alert.resolved_at_ns is not None
        }

    def _seen(self, vector: dict[Labels, float], t_ns: int) -> dict[Labels, _Active]:
        seen: dict[Labels, _Active] = {}
        for found, value in vector.items():
            labels = self._labels.get(found) or self._labels_of(found, value)
            if labels in seen:
                raise EvaluationError(
                    f"two results have the labels {show(labels)} once the rule's are added",
                    self.rule.query.text,
                )
            notes = tuple((k, templates.expand(v, found, value)) for k, v in self.rule.annotations)
            seen[labels] = _Active(value, notes, t_ns)
        return seen

    def _labels_of(self, found: Labels, value: float) -> Labels:
        """The labels of an alert: those of the result, the rule's own, and its name."""
        own = {k: templates.expand(v, found, value) for k, v in self.rule.labels}
        labels = label_set({**dict(nameless(found)), **own, "alertname": self.rule.alert})
        if not self._is_templated:
            if len(self._labels) >= _REMEMBERED:
                self._labels.clear()
            self._labels[found] = labels
        return labels

    def _fire(self, alert: _Active, t_ns: int) -> None:
        if alert.state == "pending" and t_ns - alert.active_at_ns >= self.rule.for_ns:
            alert.fired_at_ns = t_ns

    def _is_over(self, alert: _Active, t_ns: int) -> bool:
        """Take note that an alert is missing; True where it can be forgotten."""
        if alert.resolved_at_ns is not None:
            return t_ns - alert.resolved_at_ns > RESOLVED_RETENTION_NS
        if alert.state == "pending":
            return True
        if alert.missing_since_ns is None:
            alert.missing_since_ns = t_ns
        if t_ns - alert.missing_since_ns >= self.rule.keep_firing_ns:
            alert.resolved_at_ns = t_ns
        return False


def recorded(rule: RecordingRule, result: Value, limit: int = 0) -> Vector:
    """The series that a recording rule makes of its result. Raises EvaluationError."""
    vector = result if isinstance(result, dict) else {EMPTY: result}
    if len(vector) > MOST_RECORDED:
        raise EvaluationError(f"{len(vector)} series are more than {MOST_RECORDED}", rule.record)
    own = dict(rule.labels)
    found: Vector = {}
    for labels, value in vector.items():
        series = label_set({**dict(labels), NAME: rule.record, **own})
        if series in found:
            raise EvaluationError(
                f"two results have the labels {show(series)} once the rule's are added",
                rule.query.text,
            )
        found[series] = value
    if 0 < limit < len(found):
        raise EvaluationError(f"{len(found)} series exceed the limit of {limit}", rule.record)
    return found


@dataclass(frozen=True, slots=True)
class _GroupedRule:
    """A rule of a group; `key` tells it from every other, also where an alias made two of one."""

    key: str
    state: RuleState | RecordingRule

    @property
    def rule(self) -> Rule:
        return self.state if isinstance(self.state, RecordingRule) else self.state.rule

    @property
    def alerts(self) -> Sequence[AlertInstance]:
        return () if isinstance(self.state, RecordingRule) else self.state.alerts()

    @property
    def name(self) -> str:
        return self.state.record if isinstance(self.state, RecordingRule) else self.state.rule.alert


def _grouped(rule: AlertRule | RecordingRule, group: Group, keys: set[str]) -> _GroupedRule:
    """The rule with the first key that is none of `keys`, to which it is added."""
    key = f"{rule.place} {rule.alert if isinstance(rule, AlertRule) else rule.record}"
    if key in keys:
        key = f"{key} (group {group.name!r}, rule {len(keys) + 1} of all)"
    keys.add(key)
    return _GroupedRule(key, RuleState(rule, group.limit) if isinstance(rule, AlertRule) else rule)


@dataclass(frozen=True, slots=True)
class EvaluatedRule:
    """A rule, its alerts that are pending or firing, and why it had no value, "" where it had.

    `took_ns` is the time of its last evaluation, as `evaluationTime` of Prometheus.
    """

    rule: Rule
    alerts: Sequence[AlertInstance]
    problem: str
    took_ns: int


@dataclass(frozen=True, slots=True)
class EvaluatedGroup:
    """A group of the file `path` as it was evaluated last; None: it never was."""

    path: Path
    group: Group
    evaluated_ns: int | None
    took_ns: int
    rules: Sequence[EvaluatedRule]


class _GroupState:
    """A group's rules, and when it is due."""

    def __init__(self, path: Path, group: Group, keys: set[str]) -> None:
        self.path = path
        self.group = group
        self.evaluated_ns: int | None = None
        self.took_ns = 0
        self.rules = [_grouped(rule, group, keys) for rule in group.rules]
        self._first_ns: int | None = None
        self._slot = -1

    def is_due(self, t_ns: int) -> bool:
        """True once for each interval since the first time asked; late ones are skipped."""
        if self.group.interval_ns is None:
            return True
        if self._first_ns is None:
            self._first_ns = t_ns
        slot = (t_ns - self._first_ns) // self.group.interval_ns
        due, self._slot = slot > self._slot, max(slot, self._slot)
        return due


class Evaluator:
    """Every rule of some files, evaluated together; groups with an interval at their own pace.

    `queries` are expressions beside the rules, which may read what these write.
    """

    def __init__(self, files: Sequence[RuleFile], queries: Iterable[Query] = ()) -> None:
        keys: set[str] = set()
        self._groups = [
            _GroupState(file.path, group, keys) for file in files for group in file.groups
        ]
        self.problems: dict[str, str] = {}
        self._took_ns: dict[str, int] = {}
        self._created = self._characters = 0
        every = [*queries, *(query for file in files for query in file.queries)]
        rules = [rule for file in files for group in file.groups for rule in group.rules]
        names = {rule.record for rule in rules if isinstance(rule, RecordingRule)}
        nodes = [query.node for query in every]
        self._readers = _readers({*names, ALERTS, ALERTS_FOR_STATE}, nodes)
        self._tells_alerts = bool(self._readers[ALERTS] or self._readers[ALERTS_FOR_STATE])

    def tick(
        self, store: SeriesStore, t_ns: int, moment: InstantEvaluator | None = None
    ) -> list[AlertInstance]:
        """Evaluate what is due at `t_ns`; every alert that is pending or firing now.

        A rule that cannot be evaluated keeps its alerts as they were, as in Prometheus, and
        stands in `problems` by name until it can be again. With a `moment` of the same store and
        instant, expressions evaluated already are not evaluated again.
        """
        moment = moment or InstantEvaluator(store, t_ns)
        for group in self._groups:
            if not group.is_due(t_ns):
                continue
            group.evaluated_ns = t_ns
            begin_ns = monotonic_ns()
            offset_ns = group.group.offset_ns
            then = moment
            if offset_ns:
                then = InstantEvaluator(
                    store, t_ns - offset_ns, moment.semantics, budget=moment.budget
                )
            for rule in group.rules:
                self._evaluate(rule, then, t_ns, group.group.limit)
            if then is not moment:
                moment.forget()
            group.took_ns = monotonic_ns() - begin_ns
        return [a for state in self._alert_rules() for a in state.alerts()]

    def groups(self) -> list[EvaluatedGroup]:
        """Every group, and what became of its rules when they were evaluated last."""
        return [
            EvaluatedGroup(
                each.path,
                each.group,
                each.evaluated_ns,
                each.took_ns,
                [
                    EvaluatedRule(
                        rule.rule,
                        rule.alerts,
                        self.problems.get(rule.key, ""),
                        self._took_ns.get(rule.key, 0),
                    )
                    for rule in each.rules
                ],
            )
            for each in self._groups
        ]

    def _alert_rules(self) -> Iterator[RuleState]:
        return (
            rule.state
            for group in self._groups
            for rule in group.rules
            if isinstance(rule.state, RuleState)
        )

    def _evaluate(
        self, rule: _GroupedRule, moment: InstantEvaluator, t_ns: int, limit: int
    ) -> None:
        self.problems.pop(rule.key, None)
        state = rule.state
        begin_ns = monotonic_ns()
        try:
            moment.budget.begin()
            if isinstance(state, RecordingRule):
                result = moment.value(state.query.node)
                self._write(moment, rule, recorded(state, result, limit), (state.record,))
                return
            state.take(moment.value(state.rule.query.node), t_ns)
            if self._tells_alerts:
                series = state.series(moment.store.wall_offset_ns)
                self._write(moment, rule, series, (ALERTS, ALERTS_FOR_STATE))
        except EvaluationError as error:
            self.problems[rule.key] = error.message
        finally:
            self._took_ns[rule.key] = monotonic_ns() - begin_ns

    def _write(
        self, moment: InstantEvaluator, rule: _GroupedRule, series: Vector, names: Iterable[str]
    ) -> None:
        """Put series into the store, and forget every value that may have read them before.

        Raises EvaluationError where there are too many, or the store did not take all of them.
        """
        store = moment.store
        is_full = self._created >= MOST_RECORDED_TOGETHER or self._characters >= MOST_CHARACTERS
        if is_full and any(labels not in store for labels in series):
            problem = f"all rules have recorded {self._created} different series"
            raise EvaluationError(f"{problem}: no more are taken", rule.name)
        created, characters = store.created, store.created_characters
        refused = store.append(moment.t_ns, series.items(), source=f"rule {rule.key}")
        self._created += store.created - created
        self._characters += store.created_characters - characters
        for name in names:
            for texts in self._readers[name]:
                moment.forget(texts)
        if refused:
            problem = f"{refused} of its {len(series)} series were refused"
            raise EvaluationError(f"{problem}: others have them at this instant", rule.name)


def _readers(names: Collection[str], nodes: Iterable[Node]) -> dict[str, list[set[str]]]:
    """The texts of all expressions, and of their parts, that may read series of each name.

    Those that ask the same of a name are one set, which all names share: a thousand rules may
    stand beside ten thousand selectors that read any of them. Many regular expressions are taken
    to accept any name: what is evaluated once too often is as right.
    """
    named: dict[str, set[str]] = {name: set() for name in names}
    others: dict[tuple[Matcher, ...], set[str]] = {}
    for selector, texts in _selectors_within(nodes):
        asked = tuple(each for each in selector.matchers if each.name == NAME)
        if len(asked) != 1 or asked[0].op != "=":
            others.setdefault(asked, set()).update(texts)
        elif asked[0].value in named:
            named[asked[0].value].update(texts)
    if len(others) > _MOST_ASKED:
        others = {(): set().union(*others.values())}
    return {
        name: [texts for texts in (own, *_reading(name, others)) if texts]
        for name, own in named.items()
    }


def _reading(name: str, others: Mapping[tuple[Matcher, ...], set[str]]) -> Iterator[set[str]]:
    labels = ((NAME, name),)
    for asked, texts in others.items():
        if all(matcher.accepts(labels) for matcher in asked):
            yield texts


def _selectors_within(
    nodes: Iterable[Node], around: tuple[str, ...] = ()
) -> Iterator[tuple[Selector, tuple[str, ...]]]:
    """Every selector, with its own text and those of all expressions around it."""
    for node in nodes:
        texts = (*around, node.text)
        if isinstance(node, Selector):
            yield node, texts
        yield from _selectors_within(children(node), texts)
